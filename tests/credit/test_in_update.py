"""Weights that are made in the update's own forward: what they would be with a pass before it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import log_softmax, pad
from trl.trainer.utils import add_fused_lm_head

from scgrpo.config import Method
from scgrpo.credit import heads, scoring
from scgrpo.credit.build import build_credit
from scgrpo.credit.in_update import LATER
from scgrpo.credit.use import Update
from scgrpo.method import Ranking
from scgrpo.teachers.policy import Policy
from tests.credit.parts import TOKENIZER, host_of, rollouts_of
from tests.credit.test_credit import REWARDS, TEXTS, dense_kl
from tests.processes import in_processes
from tests.trainer.tiny import tiny_model

SIGNED = Method(weight="signed", reference_set="partial")
FIXED = Method(threshold_fixed=0.3)
PREVIOUS = Method(threshold_scope="previous")


def padded_left(batch):
    """Prompts padded on the left, as TRL has them."""
    rows = [row[row != 0] for row in batch["prompt_ids"]]
    width = batch["prompt_ids"].shape[1]
    ids = torch.stack([pad(row, (width - len(row), 0)) for row in rows])
    return batch | {"prompt_ids": ids, "prompt_mask": (ids != 0).long()}


def surrogate_of(model, batch):
    """Sum over the tokens of A log pi, whose forward is made before A is read."""
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1)
    width = batch["completion_ids"].shape[1]
    logits = model(input_ids=ids, attention_mask=mask).logits[:, -width - 1 : -1]
    logp = log_softmax(logits, -1).gather(2, batch["completion_ids"][..., None])[..., 0]
    advantage = batch["advantages"]
    advantage = advantage if advantage.dim() == 2 else advantage[:, None]
    return (logp * advantage * batch["completion_mask"]).sum()


def fused(model):
    """A model with TRL's fused head, which says log-probs and no logits."""
    add_fused_lm_head(model, outputs=("log_probs", "entropy"))
    return model


def surrogate_of_trl(model, batch):
    """The same sum from the log-probs of TRL's fused head, as its trainer asks for them."""
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1)
    width = batch["completion_ids"].shape[1]
    labels = ids.masked_fill(mask == 0, -100)
    labels[:, :-width] = -100
    output = model(input_ids=ids, attention_mask=mask, labels=labels, fused_lm_head=True)
    advantage = batch["advantages"]
    advantage = advantage if advantage.dim() == 2 else advantage[:, None]
    return (output.log_probs[:, -width:] * advantage * batch["completion_mask"]).sum()


class Step:
    """Optimizer steps of a credit, each of one generation batch."""

    def __init__(self, method, world=None, model=None, order=None, surrogate=None, **options):
        self.model = model or tiny_model().eval()
        self.surrogate = surrogate or surrogate_of
        self.credit = build_credit(host_of(method, world, self.model, **options))
        self.world, self.order = world, order

    def __call__(self, number=0, cut=1, updates_once=True, texts=TEXTS, rewards=REWARDS):
        """Loss, what was logged, and the micro-batches with all that they have."""
        batch, step = rollouts_of(texts, rewards, 4, self.world)
        step = replace(step, step=number, updates_once=updates_once)
        attached = self.credit.attach(batch, step)
        batch = padded_left(batch | attached.columns)
        rows = self.order or range(len(batch["advantages"]))
        parts = torch.tensor([*rows]).chunk(cut)
        micro_batches = [{name: values[part] for name, values in batch.items()} for part in parts]
        weighed = self.credit.weigh(micro_batches, per_step=cut)
        for micro_batch, columns in zip(micro_batches, weighed.columns, strict=True):
            micro_batch |= columns
        logged, total = attached.logged | weighed.logged, 0.0
        self.model.zero_grad()
        for place, micro_batch in enumerate(micro_batches):
            update = Update(number, cut, place == cut - 1)
            loss = self.credit.loss(
                micro_batch, lambda m=micro_batch: self.surrogate(self.model, m), update
            )
            loss.value.backward()
            total += loss.value.item()
            logged |= loss.logged
        self.attached = attached
        return total, logged, micro_batches

    @property
    def gradient(self):
        return torch.cat([p.grad.flatten() for p in self.model.parameters()])


def assert_same_gradient(found, expected):
    assert expected.norm() > 0
    assert (found - expected).norm() < 1e-5 * expected.norm()


def read_by_the_student(monkeypatch):
    """Prompts without a system message, to which hidden states were asked for in passes."""
    seen = []
    states = Policy.hidden_states

    def spied(self, prompts, completions):
        seen.extend(p for p in prompts if "<sys>" not in TOKENIZER.decode([*p]))
        return states(self, prompts, completions)

    monkeypatch.setattr(Policy, "hidden_states", spied)
    return seen


SAME = [
    SIGNED,
    replace(SIGNED, reference_set="any-partial", trust="fixed", trust_value=0.5),
    replace(SIGNED, weight="rlrt", weight_normalisation="sequence"),
    FIXED,
    replace(FIXED, references=3, reference_set="any-partial", reference_reduction="max"),
    replace(FIXED, weight="signed*credit", reference_set="partial"),
]


@pytest.mark.parametrize("method", SAME, ids=lambda m: f"{m.weight}, {m.reference_set}")
@pytest.mark.parametrize("cut", [1, 3])
def test_value_and_gradient_are_those_with_a_pass(method, cut):
    order = [0, 9, 2, 7, 4, 11, 6, 3, 8, 1, 10, 5]
    passed, waited = Step(method), Step(method, order=order)
    value, logged, whole = passed(updates_once=False)
    found, logged_then, parts = waited(cut=cut)
    assert found == pytest.approx(value, rel=1e-5)
    assert_same_gradient(waited.gradient, passed.gradient)
    names = {n for n in logged if n.startswith("credit/") and "diversity" not in n}
    for name in names:
        assert logged_then[name] == pytest.approx(logged[name], rel=1e-4), name
    for name in ("weight", "log_ratio", "advantages", *(("kl",) if "kl" in whole[0] else ())):
        joined = torch.cat([m[name] for m in parts])
        torch.testing.assert_close(joined, whole[0][name][order], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("method", [SIGNED, FIXED], ids=["d", "D"])
def test_the_students_head_is_asked_once_beside_that_of_the_loss_or_not_at_all(method, monkeypatch):
    """Where the loss has the log-probs of the sampled tokens, they are d's; D has both at once."""
    order = [0, 9, 2, 7, 4, 11, 6, 3, 8, 1, 10, 5]
    passed = Step(method)
    value, _, whole = passed(updates_once=False)
    asked = []
    linear = heads.linear
    monkeypatch.setattr(heads, "linear", lambda x, w: asked.append(len(x)) or linear(x, w))
    waited = Step(method, model=fused(tiny_model().eval()), order=order, surrogate=surrogate_of_trl)
    found, _, parts = waited(cut=3)
    tokens = int(sum(m["credit_active"][m[LATER]].sum() for m in parts))
    kept = int(sum(m["credit_active"][~m[LATER]].sum() for m in parts))
    assert sum(asked) == 2 * kept + tokens * (2 if method is FIXED else 1)
    assert found == pytest.approx(value, rel=1e-5)
    assert_same_gradient(waited.gradient, passed.gradient)
    joined = torch.cat([m["log_ratio"] for m in parts])
    torch.testing.assert_close(joined, whole[0]["log_ratio"][order], atol=1e-5, rtol=1e-4)


def test_rounded_log_probs_of_the_loss_are_not_taken():
    """They would be of logits in bfloat16; ours are of float32, whatever was multiplied."""
    model = fused(tiny_model().eval().bfloat16())
    step = Step(SIGNED, model=model, surrogate=surrogate_of_trl)
    _, _, (batch,) = step()
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1)
    width = batch["completion_ids"].shape[1]
    with torch.no_grad():
        states = model.model(input_ids=ids, attention_mask=mask).last_hidden_state
    logits = states[:, -width - 1 : -1].float() @ model.get_output_embeddings().weight.float().T
    logp = log_softmax(logits, -1).gather(2, batch["completion_ids"][..., None])[..., 0]
    active = batch["credit_active"]
    found = batch["teacher_logp"] - batch["log_ratio"]
    torch.testing.assert_close(found[active], logp[active], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("method", "rows"), [(SIGNED, 0), (FIXED, 3), (replace(FIXED, reference_set="partial"), 0)]
)
def test_the_student_is_read_where_a_group_is_compared_and_nowhere_else(monkeypatch, method, rows):
    seen = read_by_the_student(monkeypatch)
    step = Step(method)
    object.__setattr__(step.credit.use.scorer, "shares_prompts", False)
    step()
    assert len(seen) == rows
    seen.clear()
    step(updates_once=False)
    assert len(seen) == (7 if rows else 4)


def test_c_is_that_of_the_step_before():
    """By hand from full logits; the first step has its own."""
    step = Step(PREVIOUS)
    _, logged, parts = step(cut=3)
    model, attached = step.model, step.attached
    kl = [dense_kl(model, attached, row) for row in range(8) if attached.prompts.ids[row]]
    c = float(np.percentile(torch.cat(kl).numpy(), 75))
    assert logged["credit/threshold_c"] == pytest.approx(c, rel=1e-4)
    assert LATER not in parts[0]
    assert step.credit.state_dict()["use"]["c"] == pytest.approx(c, rel=1e-4)
    texts = [text[::-1] + "1" for text in TEXTS]
    value, logged, parts = step(1, cut=3, texts=texts)
    assert logged["credit/threshold_c"] == pytest.approx(c, rel=1e-4)
    fixed = Step(replace(PREVIOUS, threshold_scope="batch", threshold_fixed=c))
    expected, logged_fixed, _ = fixed(1, texts=texts, updates_once=False)
    assert value == pytest.approx(expected, rel=1e-4)
    assert (step.gradient - fixed.gradient).norm() < 1e-4 * fixed.gradient.norm()
    model, attached = fixed.model, fixed.attached
    kl = [dense_kl(model, attached, row) for row in range(8) if attached.prompts.ids[row]]
    for q in (50, 75, 95):
        own = float(np.percentile(torch.cat(kl).numpy(), q))
        assert logged[f"credit/kl_p{q}"] == pytest.approx(own, rel=1e-3)
    for name in ("credit/weight_mean", "credit/none_share", "credit/diversity_std"):
        assert logged[name] == pytest.approx(logged_fixed[name], rel=1e-4)
    # What the step after this one will know is this one's percentile.
    own = float(np.percentile(torch.cat(kl).numpy(), 75))
    assert step.credit.state_dict()["use"]["c"] == pytest.approx(own, rel=1e-3)
    again = Step(PREVIOUS)
    again.credit.load_state_dict(step.credit.state_dict())
    assert again.credit.use.previous == step.credit.use.previous


def test_a_pass_that_is_made_for_records_has_c_of_the_step_before_too():
    steps = [Step(PREVIOUS), Step(PREVIOUS)]
    for step in steps:
        step()
    (value, logged, _), (expected, logged_then, _) = (
        step(1, texts=[t + "2" for t in TEXTS], updates_once=once)
        for step, once in zip(steps, (True, False), strict=True)
    )
    assert value == pytest.approx(expected, rel=1e-5)
    assert_same_gradient(steps[0].gradient, steps[1].gradient)
    assert logged["credit/threshold_c"] == logged_then["credit/threshold_c"]


def test_trust_is_that_of_the_step_before():
    step = Step(replace(SIGNED, trust="auc", threshold_scope="previous"))
    _, _, parts = step()
    assert LATER not in parts[0]  # nothing was known
    step.credit.trust.record = Ranking(9.0, 10.0, 10.0)
    for once in (True, False):
        _, logged, parts = step(1, updates_once=once, cut=3)
        assert (LATER in parts[0]) == once
        assert torch.cat([m["trust"] for m in parts]).tolist() == pytest.approx([0.8] * 12)
        assert logged["credit/trust"] == pytest.approx(2 * logged["credit/teacher_auc"] - 1)
        assert logged["credit/trust"] < 0.8
        step.credit.trust.record = Ranking(9.0, 10.0, 10.0)


@pytest.mark.parametrize("processes", [2, 3])
@pytest.mark.parametrize("method", [SIGNED, PREVIOUS])
def test_processes_do_not_matter(method, processes):
    def two_steps(world, model):
        step = Step(method, world, model)
        step()
        value, logged, parts = step(1, texts=[t + "2" for t in TEXTS])
        assert LATER in parts[0]
        return value, logged, step.gradient, step.credit.state_dict()

    value, logged, gradient, state = two_steps(None, tiny_model().eval())
    models = [tiny_model().eval() for _ in range(processes)]
    found = in_processes(processes, lambda world: two_steps(world, models[world.process_index]))
    assert sum(own[0] for own in found) == pytest.approx(value, rel=1e-4)
    assert (sum(own[2] for own in found) - gradient).norm() < 1e-4 * gradient.norm()
    for _, logged_there, _, state_there in found:
        assert logged_there == pytest.approx(logged, rel=1e-4, abs=1e-5)
        c = state["use"]["c"]
        assert state_there["use"]["c"] == (c and pytest.approx(c, rel=1e-4))
        assert state_there["record"] == pytest.approx(state["record"])


def test_states_are_kept_of_active_tokens_alone_and_let_go():
    step = Step(FIXED)
    batch, context = rollouts_of(TEXTS, REWARDS, 4)
    context = replace(context, updates_once=True)
    batch["tool_mask"] = batch["completion_mask"].clone()
    batch["tool_mask"][1, 1:3] = 0
    step.credit.attach(batch, context)
    taught = step.credit.use.taught
    assert {row: s.shape[:2] for row, s in taught.items()} == {
        row: (1, len(TOKENIZER(TEXTS[row])["input_ids"]) - 2 * (row == 1)) for row in range(4)
    }
    step()
    assert not taught and not step.credit.use.taught
    step.credit.attach(batch, context)
    step(updates_once=False)
    assert not taught
    step = Step(PREVIOUS)
    step()
    step(1)
    assert not step.credit.use.read and not step.credit.use.divergences


def test_states_that_wait_on_the_cpu_are_those_that_are_read(monkeypatch):
    """What is kept goes through `offloaded`; tests/credit/test_cuda.py has its copies on a GPU."""
    plain, moved = Step(FIXED), []
    value, _, _ = plain(cut=3)
    offload = lambda states: moved.append(states.shape) or states.clone()  # noqa: E731
    monkeypatch.setattr(scoring, "offloaded", offload)
    for offloads in (False, True):
        step = Step(FIXED, offloads_states=offloads)
        found, _, _ = step(cut=3)
        assert found == value and torch.equal(step.gradient, plain.gradient)
        assert len(moved) == (4 if offloads else 0)


def test_a_rollout_that_only_fills_a_micro_batch_is_not_read():
    """As `Recut` empties it where another process has more to read."""
    step = Step(FIXED)
    batch, context = rollouts_of(TEXTS, REWARDS, 4)
    attached = step.credit.attach(batch, replace(context, updates_once=True))
    batch = padded_left(batch | attached.columns)
    batch["completion_mask"][1] = 0
    loss = step.credit.loss(batch, lambda: surrogate_of(step.model, batch), Update(0, 1))
    taught = [row for row in range(8) if attached.prompts.ids[row] and row != 1]
    tokens = sum(len(attached.step.rollouts.completion_ids[row]) for row in taught)
    assert loss.logged["credit/active_tokens"] == tokens
    assert list(step.credit.use.taught) == [1] and not batch["credit_active"][1].any()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"weight": "shuffled"}, "threshold_scope='previous' weighs each token before"),
        ({"weight_normalisation": "batch"}, "threshold_scope='previous' weighs each token before"),
        ({"weight": "signed", "reference_set": "partial"}, "needs neither; leave threshold_scope"),
        ({"reference_set": "all"}, "solved groups of reference_set='all'"),
        ({"use": "loss", "reference_set": "partial"}, "use='loss' has none of"),
    ],
)
def test_what_cannot_be_known_before_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        replace(PREVIOUS, **fields).check()
