"""Which versions of TRL are taken: known ones, newer ones with a warning, none with other hooks."""

import inspect
import warnings

import pytest
import trl

from scgrpo.trainer import compat, hooks
from scgrpo.trainer.trainer import SCGRPOTrainer


def test_the_source_says_what_the_live_class_says():
    assert compat.check_trl() == hooks.problems_in_source() == []


def test_whatever_of_theirs_is_overridden_is_held_to_its_signature():
    ours = [kind for kind in SCGRPOTrainer.__mro__ if kind.__module__.startswith("scgrpo.")]
    overridden = {
        name
        for kind in ours
        for name, value in vars(kind).items()
        if inspect.isfunction(value) and hasattr(compat.GRPOTrainer, name)
    }
    assert len(ours) > 5 and "_clip_grad_norm" in overridden
    assert overridden <= set(hooks.HOOKS) | set(hooks.HEADS)


def test_a_version_that_is_known_only_by_its_signatures_is_taken_with_a_warning(monkeypatch):
    monkeypatch.setattr(trl, "__version__", "1.99.0")
    with pytest.warns(UserWarning, match=r"trl 1\.99\.0 is none of .*1\.16.* same param"):
        compat.require_known_trl()
    monkeypatch.setattr(trl, "__version__", f"{hooks.KNOWN[0]}.0")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compat.require_known_trl()


@pytest.mark.parametrize("version", ["1.99.0", "1.16.0"])
def test_another_signature_is_refused_in_any_version(monkeypatch, version):
    monkeypatch.setattr(trl, "__version__", version)
    monkeypatch.setattr(compat.GRPOTrainer, "_generate", lambda self, prompts, more: None)
    with pytest.raises(ImportError, match=r"_generate takes \(self, prompts, more\).*pip install"):
        compat.require_known_trl()


def test_what_is_gone_or_has_more_parameters_is_named():
    found = {name: list(names) for name, names in hooks.HOOKS.items()}
    found |= {name: [*names, "more"] for name, names in hooks.HEADS.items()}
    assert hooks.problems_of(found.get) == []
    del found["_generate"]
    found["training_step"].append("more")
    assert hooks.problems_of(found.get) == [
        "GRPOTrainer._generate is gone",
        "GRPOTrainer.training_step takes (self, model, inputs, num_items_in_batch, more)",
    ]
