"""Signed weights, trust and controls in a step without a trainer, against dense log-probs."""

import math
from dataclasses import replace

import pytest
import torch

from scgrpo.config import Method
from scgrpo.credit.build import build_credit
from scgrpo.credit.trust import PATIENCE, Trust
from scgrpo.credit.use import Update
from scgrpo.method import Ranking
from scgrpo.teachers import own_rollouts
from scgrpo.world import OneProcess
from tests.credit.parts import TOKENIZER, host_of, rollouts_of
from tests.credit.test_credit import TEXTS, credited, dense_kl
from tests.credit.test_scoring import dense_log_probs
from tests.processes import in_processes
from tests.trainer.tiny import tiny_model

SIGNED = Method(weight="signed", reference_set="partial")
# Partly solved, with ties of neither kind; an unscored rollout; solved.
REWARDS = [1.0, 0.0, 1.0, 0.0, 1.0, 1.0, math.nan, 0.0, 1.0, 1.0, 1.0, 1.0]


@pytest.fixture(autouse=True)
def rewards(monkeypatch):
    monkeypatch.setattr("tests.credit.test_credit.REWARDS", REWARDS)


def log_probs(model, prompt, completion):
    """Log-probs `(T)` of a completion's tokens, from full logits."""
    return dense_log_probs(model, prompt, completion).gather(1, torch.tensor(completion)[:, None])[
        :, 0
    ]


def dense_log_ratio(model, attached, row, prompts=None):
    """d `(T)` of a rollout, None where it has no teacher."""
    shown = (prompts or attached.prompts.ids)[row]
    if not shown:
        return None
    completion = attached.step.rollouts.completion_ids[row]
    own = log_probs(model, attached.step.rollouts.prompt_ids[row], completion)
    return log_probs(model, shown[0], completion) - own


def dense_auc(ratios):
    """AUC by loops over the pairs of each group."""
    wins = pairs = 0.0
    for first in range(0, len(REWARDS), 4):
        rows = [r for r in range(first, first + 4) if ratios[r] is not None]
        for i in (r for r in rows if REWARDS[r] == 1):
            for j in (r for r in rows if REWARDS[r] == 0):
                above = float(ratios[i].sum() - ratios[j].sum())
                wins, pairs = wins + (0.5 if above == 0 else float(above > 0)), pairs + 1
    return wins / pairs


@pytest.mark.parametrize("trust", ["none", "auc"])
def test_weight_and_trust_against_dense_log_probs(trust):
    model = tiny_model(seed=4).eval()
    batch, attached, logged = credited(replace(SIGNED, trust=trust), model=model)
    ratios = [dense_log_ratio(model, attached, row) for row in range(12)]
    taught = [row for row in range(12) if ratios[row] is not None]
    assert taught == [0, 1, 2, 3, 4, 5, 7]
    auc = dense_auc(ratios)
    assert attached.logged["credit/teacher_auc"] == pytest.approx(auc)
    assert attached.logged["credit/trust"] == pytest.approx(max(0, 2 * auc - 1))
    believed = 1.0 if trust == "none" else max(0, 2 * auc - 1)
    assert 0.5 < auc < 1
    for row in taught:
        sign = 1 if REWARDS[row] == 1 else -1
        weight = (sign * ratios[row]).exp().clamp(0, 2)
        found = batch["weight"][row, : len(weight)].double()
        torch.testing.assert_close(found, 1 + believed * (weight - 1), atol=1e-4, rtol=1e-4)
    assert torch.equal(batch["weight"][8:], torch.ones_like(batch["weight"][8:]))
    assert "kl" not in batch and "threshold_c" not in batch
    assert "credit/threshold_c" not in logged and "credit/kl_p50" not in logged
    middle = torch.cat([ratios[row] for row in taught]).float().quantile(0.5)
    assert logged["credit/log_ratio_p50"] == pytest.approx(float(middle), abs=1e-4)


def test_who_has_no_teacher_is_in_no_pair(monkeypatch):
    """A lone verified rollout, which the others are shown."""
    monkeypatch.setattr("tests.credit.test_credit.REWARDS", [1.0, 0.0, 0.0, 0.0, *[1.0] * 8])
    batch, attached, _ = credited(replace(SIGNED, reference_set="any-partial"))
    assert batch["credit_active"].any(1).nonzero()[:, 0].tolist() == [1, 2, 3]
    assert "credit/teacher_auc" not in attached.logged


def test_no_divergence_is_taken(monkeypatch):
    def refuse(*_):
        raise AssertionError("a divergence over the vocabulary")

    for taken_by in ("divergence", "comparison"):
        monkeypatch.setattr(f"scgrpo.credit.heads.PolicyHeads.{taken_by}", refuse)
    credited(SIGNED)
    with pytest.raises(AssertionError, match="over the vocabulary"):
        credited(replace(SIGNED, weight="signed*credit"))


def test_divergence_and_sign_together():
    model = tiny_model().eval()
    batch, attached, logged = credited(replace(SIGNED, weight="signed*credit"), model=model)
    c = logged["credit/threshold_c"]
    for row in (1, 2):
        d, kl = dense_log_ratio(model, attached, row), dense_kl(model, attached, row)
        expected = (d if row == 2 else -d).exp().clamp(0, 2) * kl / (kl + c)
        found = batch["weight"][row, : len(d)].double()
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("processes", [2, 3])
@pytest.mark.parametrize(
    "fields",
    [
        {"trust": "auc"},
        {"weight": "signed-shuffled", "weight_normalisation": "batch"},
        {"weight": "shuffled", "weight_normalisation": "sequence"},
        {"reference_kind": "other-problem"},
        {"weight": "contrast", "reference_set": "any-partial"},
    ],
)
def test_processes_do_not_matter(processes, fields):
    method = replace(SIGNED, **fields)
    whole, attached, logged = credited(method)
    models = [tiny_model().eval() for _ in range(processes)]
    found = in_processes(
        processes, lambda world: credited(method, world, model=models[world.process_index])
    )
    mask = whole["completion_mask"].bool()
    weights = [batch["weight"] for batch, _, _ in found]
    width = mask.shape[1]
    padded = [torch.nn.functional.pad(w, (0, width - w.shape[1])) for w in weights]
    torch.testing.assert_close(torch.cat(padded)[mask], whole["weight"][mask], atol=1e-5, rtol=1e-4)
    for _, other, logged_there in found:
        assert other.logged == pytest.approx(attached.logged, abs=1e-5)
        assert logged_there == pytest.approx(logged, abs=1e-5)


def test_shuffled_is_a_permutation_by_the_seed():
    straight, _, _ = credited(Method(reference_set="partial"))
    active = straight["credit_active"]
    found = [
        credited(Method(reference_set="partial", weight="shuffled"), cut=cut)[0] for cut in (1, 3)
    ]
    for batch in found:
        weight = batch["weight"][active]
        assert torch.equal(weight.sort().values, straight["weight"][active].sort().values)
        assert not torch.equal(weight, straight["weight"][active])
    assert torch.equal(found[0]["weight"], found[1]["weight"])


def test_inverse_is_one_less():
    straight, _, _ = credited(Method(reference_set="partial"))
    inverse, _, _ = credited(Method(reference_set="partial", weight="inverse"))
    active = straight["credit_active"]
    torch.testing.assert_close(inverse["weight"][active], 1 - straight["weight"][active])


@pytest.mark.parametrize("kind", ["sequence", "batch"])
@pytest.mark.parametrize("trust", [{}, {"trust": "fixed", "trust_value": 0.25}])
def test_normalised_weights_have_a_mean_of_one(kind, trust):
    method = Method(reference_set="partial", weight_normalisation=kind, **trust)
    plain, _, _ = credited(Method(reference_set="partial"))
    batch, _, logged = credited(method, cut=2)
    active = batch["credit_active"]
    assert logged["credit/weight_mean"] == pytest.approx(1)
    share = method.trust_value or 1.0
    for row in (0, 1, 4):
        mean = plain["weight"][row][active[row]].mean() if kind == "sequence" else None
        mean = plain["weight"][active].mean() if mean is None else mean
        expected = 1 + share * (plain["weight"][row] / mean - 1)
        torch.testing.assert_close(batch["weight"][row][active[row]], expected[active[row]])


def references_of(kind, monkeypatch=None):
    _, attached, _ = credited(replace(SIGNED, reference_kind=kind))
    return [
        [TOKENIZER.decode(reference.ids) for reference in shown]
        for shown in attached.references.shown
    ]


def test_a_failed_reference_is_a_failed_rollout():
    shown = references_of("failed")
    assert shown[0] in (["cd=22"], ["fgh=4"]) and shown[1] == ["fgh=4"] and shown[3] == ["cd=22"]
    # The second group has one failed rollout, which is shown nothing; an unscored one is neither.
    assert shown[4] == shown[5] == ["ee=4"] and shown[6:] == [[]] * 6


def test_a_teacher_of_the_same_outcome():
    shown = references_of("same-outcome")
    assert shown[:4] == [["e=3"], ["fgh=4"], ["ab=1"], ["cd=22"]]
    assert shown[4:8] == [["bc=2"], ["a=1"], [], []]


def test_a_reference_of_another_problem():
    shown = references_of("other-problem")
    own = [set(TEXTS[:4]), set(TEXTS[4:8])]
    verified = {text for text, reward in zip(TEXTS, REWARDS, strict=True) if reward == 1}
    for row in (0, 1, 2, 3, 4, 5, 7):
        (text,) = shown[row]
        assert text in verified - own[row // 4]
    assert shown[6] == [] and shown[8:] == [[]] * 4


def test_an_unrelated_text_is_as_long_as_the_reference():
    _, verified, _ = credited(SIGNED)
    _, unrelated, _ = credited(replace(SIGNED, reference_kind="unrelated"))
    pairs = list(zip(verified.references.shown, unrelated.references.shown, strict=True))
    assert [len(a) for a, _ in pairs] == [len(b) for _, b in pairs]
    for (a, *_), (b, *_) in (pair for pair in pairs if pair[0]):
        assert len(a.ids) == len(b.ids) and a.ids != b.ids and b.number == -1
        assert not {*b.ids} & {*TOKENIZER.all_special_ids}


@pytest.mark.parametrize("name", ["contrast", "signed-contrast"])
def test_contrast_of_two_teachers(name):
    model = tiny_model().eval()
    batch, attached, _ = credited(replace(SIGNED, weight=name), model=model)
    shown = {row: p[0] for row, p in enumerate(attached.prompts.ids) if p}
    failed = {row: p[0] for row, p in enumerate(attached.prompts.contrast) if p}
    for row, prompt in failed.items():
        texts = {TEXTS[r] for r in range(12) if REWARDS[r] == 0 and r // 4 == row // 4 and r != row}
        assert any(text in TOKENIZER.decode(prompt) for text in texts)
    both = sorted(set(shown) & set(failed))
    assert both == [0, 1, 2, 3, 4, 5]  # the only failed rollout of the second group has no contrast
    assert batch["credit_active"].any(1).nonzero()[:, 0].tolist() == both
    ids = attached.step.rollouts.completion_ids
    found = batch["contrast_kl" if name == "contrast" else "contrast_log_ratio"]
    for row in both:
        log_p, log_f = (dense_log_probs(model, p[row], ids[row]) for p in (shown, failed))
        if name == "contrast":
            expected = (log_p.exp() * (log_p - log_f)).sum(-1)
        else:
            expected = (log_p - log_f).gather(1, torch.tensor(ids[row])[:, None])[:, 0]
            sign = 1 if REWARDS[row] == 1 else -1
            weight = (sign * expected).exp().clamp(0, 2)
            torch.testing.assert_close(
                batch["weight"][row, : len(weight)].double(), weight, atol=1e-4, rtol=1e-4
            )
        torch.testing.assert_close(
            found[row, : len(expected)].double(), expected, atol=5e-5, rtol=1e-3
        )


def test_contrast_does_not_show_remembered_solutions_as_failures(monkeypatch):
    """A memory holds verified rollouts alone."""
    kinds = []
    draw = own_rollouts.draw_references

    def seen(*args, **kwargs):
        kinds.append((kwargs["kind"], kwargs["remembered"] is None))
        return draw(*args, **kwargs)

    monkeypatch.setattr(own_rollouts, "draw_references", seen)
    credited(replace(SIGNED, weight="contrast", memory_size=2))
    assert kinds == [("verified", False), ("failed", True)]


def test_the_teacher_of_a_loss_is_judged_too():
    """By whole optimizer steps, whatever the micro-batches into which their groups were torn."""
    method = Method(use="loss", reference_set="any-partial")
    model = tiny_model().eval()
    credit = build_credit(host_of(method, model=model))
    batch, step = rollouts_of(TEXTS, REWARDS, 4)
    attached = credit.attach(batch, step)
    batch |= attached.columns
    order = torch.tensor([0, 5, 9, 7, 1, 10, 2, 8, 3, 4, 11, 6])
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
    logged = []
    for place, rows in enumerate(order.split(4)):
        part = {name: values[rows] for name, values in batch.items()}
        loss = credit.loss(
            part, lambda r=rows: model(input_ids=ids[r]).logits.sum() * 0, Update(0, 3, place == 2)
        )
        logged.append(loss.logged)
    ratios = [dense_log_ratio(model, attached, row) for row in range(12)]
    assert ["credit/teacher_auc" in row for row in logged] == [False, False, True]
    assert logged[-1]["credit/teacher_auc"] == pytest.approx(dense_auc(ratios))


# --- the running record ---


def opinions(verified, failed):
    """Rows of one group of these sums of d."""
    rows = [(0, 1, d) for d in verified] + [(0, 0, d) for d in failed]
    return torch.tensor([*rows, (-1, 1, 100.0), (0, -1, 100.0)])


def test_the_record_is_a_running_mean():
    trust = Trust(replace(SIGNED, trust="auc", trust_decay=0.5), OneProcess())
    assert trust.see(opinions([1.0, 3.0], [2.0, 0.0]), 0)["credit/teacher_auc"] == 0.75
    # 0.5 x 3 of 4, and 1 of 1.
    logged = trust.see(opinions([1.0], [0.0]), 1)
    assert logged["credit/teacher_auc"] == pytest.approx(2.5 / 3)
    assert logged["credit/trust"] == trust.value(1) == pytest.approx(2 / 3)
    again = Trust(trust.method, OneProcess())
    again.load_state_dict(trust.state_dict())
    assert again.record == trust.record


def test_trust_by_schedule_and_fixed():
    scheduled = Trust(
        replace(SIGNED, trust="scheduled", trust_value=0.5, trust_steps=50), OneProcess()
    )
    assert [scheduled.value(step) for step in (0, 25, 60)] == [0.5, 0.25, 0]
    assert Trust(replace(SIGNED, trust="fixed", trust_value=0.3), OneProcess()).value(9) == 0.3


def test_no_evidence_is_no_trust():
    logged = Trust(SIGNED, OneProcess()).see(opinions([1.0], []), 0)
    assert logged == {"credit/trust": 0.0}


def test_doubt_is_said_once_in_words(caplog):
    trust = Trust(SIGNED, OneProcess())
    for step in range(PATIENCE):
        trust.see(opinions([1.0, 0.0], [1.0, 0.0]), step)
    assert not caplog.records
    for step in range(PATIENCE, PATIENCE + 5):
        trust.see(opinions([1.0, 0.0], [1.0, 0.0]), step)
    (record,) = caplog.records
    assert "for 50 steps nothing has shown that the teacher can tell" in record.message
    assert "AUC 0.50" in record.message


def test_a_teacher_that_knows_is_not_doubted(caplog):
    trust = Trust(SIGNED, OneProcess())
    for step in range(2 * PATIENCE):
        trust.see(opinions([3.0, 2.0], [1.0, 0.0]), step)
    assert not caplog.records and trust.record.interval[0] > 0.5
    trust.record = Ranking(1.0, 2.0, 2.0)
    trust.see(opinions([1.0], [1.0]), 2 * PATIENCE)
    assert trust.doubtful_since == 2 * PATIENCE
