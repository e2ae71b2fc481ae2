"""A batch of a probe against the loss that TRL's trainer would have had on it."""

from typing import Any

import pytest
import torch

from scgrpo.probe.batch import Instrument
from scgrpo.probe.gradients import Coordinates, chosen_parameters
from scgrpo.probe.names import ONLY, UNIFORM
from scgrpo.probe.sampling import subject_of
from scgrpo.probe.weightings import weightings_of
from scgrpo.runs.run_config import RunConfig

OPTIONS = {"steps": 2}


@pytest.mark.parametrize("preset", ["sc-grpo", "reinforce++"])
def test_gradients_are_those_of_the_trainers_loss(preset, tmp_path):
    """Means over rollouts (`grpo`) and over tokens (`dapo`), uniform weights and f(D)."""
    config = RunConfig(preset=preset, task_options=OPTIONS)
    subject = subject_of(config, 1, None, tmp_path)
    trainer, caught = subject.trainer, dict[str, Any]()
    generate = trainer._generate_and_score_completions

    def catching(rows):
        caught["batch"] = generate(rows)
        return caught["batch"]

    trainer._generate_and_score_completions = catching
    sampled = subject.sample(next(subject.rounds(0)), seed=0, number=0)
    parameters = chosen_parameters(subject.policy, "all")
    where = Coordinates.of(parameters, 10**9, 0)
    weightings = weightings_of("credit") | {"of the text": _digits}
    instrument = Instrument(subject, weightings, parameters, where, 0, 4096)
    gradients, names, kept = instrument.measure(sampled, 0, [])
    batch = caught["batch"]
    assert bool(sampled.advantage.any())
    trainer.current_gradient_accumulation_steps = 1
    trainer.model.eval()
    for row, name in enumerate([UNIFORM, "credit"]):
        weights = torch.ones(batch["completion_ids"].shape)
        weights[sampled.written] = torch.tensor(kept.arrays["weights"][row])
        weighted = batch | {"advantages": batch["advantages"][:, None] * weights}
        loss = trainer._compute_loss(trainer.model, weighted)
        found = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
        of_loss = dict(zip(parameters, found, strict=True))
        expected = -where.of_gradients(of_loss)
        error = (torch.tensor(gradients[names.index(name)]) - expected).norm()
        assert error < 1e-3 * expected.norm()
    of_text, of_kind = (gradients[names.index(n)] for n in ("of the text", f"{ONLY}digit"))
    assert of_kind.any() and (of_text == of_kind).all()


def _digits(facts):
    return torch.tensor([float(piece.isdigit()) for piece in facts.pieces])
