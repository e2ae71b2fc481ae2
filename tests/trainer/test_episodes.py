"""Credit over several turns, through TRL's own tool loop; only the writing is scripted.

Eight rollouts of two problems: of the first, some are solved, of the second none.
"""

import random

import pytest
import torch

from scgrpo.credit.scoring import ScoreRequest
from scgrpo.embedded.lookup.corpus import interleave, reference_text
from scgrpo.embedded.lookup.tokenizer import build_tokenizer
from scgrpo.method import credit_weight, diversity_advantage, diversity_score
from scgrpo.tasks.lookup import LookupTask
from scgrpo.tasks.lookup.problems import Problem
from scgrpo.tasks.lookup.writer import WORDS, Episode, ErrorRates, Writer
from scgrpo.teachers.memory import TrajectoryMemory
from tests.credit.test_scoring import dense_kl
from tests.trainer.runs import config
from tests.trainer.scripted import ScriptedTrainer
from tests.trainer.tiny import tiny_model

GROUP = 4
ALWAYS = ErrorRates(look=1.0, read=1.0, add=1.0)
TOKENIZER = build_tokenizer()


def rows():
    return LookupTask(train_size=2).rows("train")


def scripts(solved=lambda problem, place: problem == 0 and place < 2):
    """The episode of each rollout, whose first word says which one it is."""
    episodes = {}
    for number, row in enumerate(rows().to_list()):
        for place in range(GROUP):
            rng = random.Random(f"{number}/{place}")
            errors = ErrorRates() if solved(number, place) else ALWAYS
            episode = Writer(rng, 1, errors).write(Problem.of_row(row))
            episode.turns[0] = f"{WORDS[place]} {episode.turns[0].partition(' ')[2]}"
            episodes[row["prompt"][0]["content"], WORDS[place]] = episode
    return episodes


def run_scripted(folder, *episodes_of_steps, preset="sc-grpo", **overrides):
    """A run whose rollouts are the scripts of its steps; the model stays as it is."""

    def write(text, place):
        episodes = episodes_of_steps[trainer.state.global_step]
        asked = next(asked for asked, _ in episodes if f"<|user|>{asked}<|end|>" in text)
        *earlier, _ = text.partition(f"<|user|>{asked}<|end|>")[2].split("<|assistant|>")[1:]
        name = earlier[0].partition(" ")[0] if earlier else WORDS[place % GROUP]
        return episodes[asked, name].turns[len(earlier)]

    task = LookupTask()
    args = config(
        folder,
        preset,
        **{
            "per_device_train_batch_size": 2 * GROUP,
            "num_generations": GROUP,
            "max_completion_length": task.trainer_defaults["max_completion_length"],
            "max_steps": len(episodes_of_steps),
            "rollout_steps": 1,
            "shuffle_dataset": False,
            "learning_rate": 0.0,
        }
        | overrides,
    )
    trainer = ScriptedTrainer(
        write,
        tiny_model(vocab_size=len(TOKENIZER), max_position_embeddings=512),
        task.verify,
        args,
        rows(),
        processing_class=build_tokenizer(),
        environment_factory=task.environment,
    )
    trainer.train()
    return trainer


@pytest.fixture(scope="module")
def episodes():
    return scripts()


@pytest.fixture(scope="module")
def run(tmp_path_factory, episodes):
    return run_scripted(tmp_path_factory.mktemp("episodes"), episodes)


@pytest.fixture(scope="module")
def records(run):
    return run.records[0]


def episode_of(episodes, record) -> Episode:
    return episodes[record["prompt"], record["tokens"][0].strip()]


def test_rewards_and_routes(run, records):
    assert [r["reward"] for r in records] == [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    assert [r["route"] for r in records] == ["partial"] * 4 + ["none"] * 4
    (log,) = [row for row in run.state.log_history if "credit/route_partial" in row]
    assert log["tools/failure_frequency"] == 0
    assert log["tools/call_frequency"] == sum(r["tokens"].count("look ") for r in records) / 8


def test_written_is_what_the_scripts_wrote_and_the_rest_what_came_back(records, episodes):
    for record in records:
        spans, kinds = [""], [True]
        for token, own in zip(record["tokens"], record["written"], strict=True):
            if own != kinds[-1]:
                spans.append("")
                kinds.append(own)
            spans[-1] += token
        expected = [
            f"{text}<|end|>" if place % 2 == 0 else f"<|user|>{text}<|end|><|assistant|>"
            for place, text in enumerate(interleave(episode_of(episodes, record)))
        ]
        assert spans == expected


def test_the_teacher_reads_the_whole_other_episode(run, records, episodes):
    """D of every written token, from prompts put together by hand."""
    scored = [r for r in records if r["reference"] >= 0]
    assert len(scored) == 7, "all but the reference of the unsolved group"
    for record in scored:
        group = [r for r in records if r["group"] == record["group"]]
        shown = reference_text(episode_of(episodes, group[record["reference"]]))
        assert record["reference_text"] == shown
        student = f"<|user|>{record['prompt']}<|end|><|assistant|>"
        prompts = [
            TOKENIZER(t)["input_ids"] for t in (student, f"<|system|>{shown}<|end|>{student}")
        ]
        request = ScoreRequest(prompts[0], prompts[1:], record["completion_ids"])
        kl = dense_kl(run.model.eval(), request)
        written = torch.tensor(record["written"])
        found = torch.tensor(record["kl"]).double()
        torch.testing.assert_close(found[written], kl[written], atol=5e-5, rtol=1e-3)
        assert not found[~written].any() and kl[~written].any()


def test_threshold_and_percentiles_are_those_of_written_tokens(run, records):
    own = torch.tensor(
        [k for r in records if r["kl"] for k, w in zip(r["kl"], r["written"], strict=True) if w]
    )
    (log,) = [row for row in run.state.log_history if "credit/route_partial" in row]
    assert records[0]["threshold_c"] == pytest.approx(torch.quantile(own, 0.75).item(), rel=1e-5)
    for percent in (50, 75, 95):
        expected = torch.quantile(own, percent / 100).item()
        assert log[f"credit/kl_p{percent}"] == pytest.approx(expected, rel=1e-5)
    assert log["credit/active_tokens"] == len(own)


def test_diversity_counts_written_tokens_up_to_the_shorter_episode(records):
    group = [r for r in records if r["route"] == "none"]
    kl = [[k for k, own in zip(r["kl"] or [], r["written"], strict=False) if own] for r in group]
    (shared,) = [r for r in group if r["kl"] is None]
    length = sum(shared["written"])
    c = group[0]["threshold_c"]
    weights = [[k / (k + c) for k in own[:length]] for own in kl]
    scores = torch.tensor([sum(own) / max(len(own), 1) for own in weights])
    scored = torch.tensor([[bool(own) for own in kl]])
    expected = diversity_advantage(scores[None], scored, 0.1)[0]
    found = torch.tensor([r["advantage"] for r in group])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    assert found.abs().max() > 0.01
    # The same from the padded tensors, where tool tokens stand in between.
    width = max(len(r["written"]) for r in group)
    kl_BT, written_BT = torch.zeros(4, width), torch.zeros(4, width, dtype=torch.bool)
    for row, r in enumerate(group):
        written_BT[row, : len(r["written"])] = torch.tensor(r["written"])
        kl_BT[row, : len(r["kl"] or [])] = torch.tensor(r["kl"] or [])
    weight_BT = credit_weight(kl_BT, torch.tensor(c))
    padded = diversity_score(weight_BT, written_BT, torch.full((4,), length))
    torch.testing.assert_close(padded, scores)


def test_the_loss_is_the_mean_of_written_tokens(run, records):
    batch = {k: v.clone() if torch.is_tensor(v) else v for k, v in run._buffered_inputs[0].items()}
    run.model.train()

    def loss(**changes):
        return run._compute_loss(run.model, batch | changes).item()

    # The policy has not moved, so that all importance ratios are 1.
    by_hand = [
        sum(f * r["advantage"] for f, own in zip(r["weight"], r["written"], strict=True) if own)
        / sum(r["written"])
        for r in records
    ]
    assert loss() == pytest.approx(-sum(by_hand) / len(by_hand), rel=1e-4)
    mask = batch["tool_mask"].bool() & batch["completion_mask"].bool()
    advantages = batch["advantages"]
    assert loss(advantages=torch.where(mask, advantages, 1e3)) == pytest.approx(loss(), rel=1e-6)
    assert loss(advantages=torch.where(mask, 2 * advantages, advantages)) == pytest.approx(
        2 * loss(), rel=1e-4
    )


def test_observations_are_shortened_before_the_models_turns(tmp_path, episodes):
    whole = run_scripted(tmp_path / "whole", episodes)
    prompts = [p[0] for p in whole._attached.prompts.ids if p]
    longest = max(map(len, prompts)) + max(len(r["completion_ids"]) for r in whole.records[0])
    short = run_scripted(tmp_path / "short", episodes, teacher_max_length=longest - 25)
    cut = [p[0] for p in short._attached.prompts.ids if p]
    assert [len(p) for p in cut] != [len(p) for p in prompts]
    counted = sum(a != b for a, b in zip(cut, prompts, strict=True))
    (log,) = [row for row in short.state.log_history if "credit/reference_truncated" in row]
    assert log["credit/reference_truncated"] == counted > 0
    for ids, record in zip(cut, [r for r in short.records[0] if r["kl"]], strict=True):
        group = [r for r in short.records[0] if r["group"] == record["group"]]
        reference = episode_of(episodes, group[record["reference"]])
        text = TOKENIZER.decode(ids)
        assert all(f"[action]\n{turn}" in text for turn in reference.turns)
        assert len(ids) + len(record["completion_ids"]) <= longest - 25


def test_a_remembered_episode_is_shown_as_a_transcript(tmp_path):
    """Solved at the first visit, never again: the memory knows what was written, too."""
    solved = scripts(lambda problem, place: place < 2)
    failed = scripts(lambda problem, place: False)
    run = run_scripted(tmp_path, solved, failed, preset="sc-grpo-memory")
    first, second = run.records[0], run.records[1]
    verified = {
        (r["prompt"], reference_text(episode_of(solved, r))) for r in first if r["reward"] == 1.0
    }
    assert len(verified) == 4
    assert {r["route"] for r in second} == {"none"}
    for record in second:
        assert record["reference"] == -1
        assert (record["prompt"], record["reference_text"]) in verified
    (shown,) = [p[0] for p in run._attached.prompts.ids[:1]]
    assert f"<|system|>{second[0]['reference_text']}<|end|>" in TOKENIZER.decode(shown)
    again = TrajectoryMemory(run._memory.size, run._memory.max_age)
    torch.save(run._memory.state_dict(), tmp_path / "state.pt")
    again = again.restored(torch.load(tmp_path / "state.pt", weights_only=True))
    assert again == run._memory
    assert all(0 in r.mask for kept in again.kept.values() for r in kept)
