"""Rows of every data set from its published schema, draws by seed, rewards in workers."""

import logging
import random
from pathlib import Path

import pytest

from scgrpo.tasks import Task, load_task
from scgrpo.tasks.math.task import SYSTEM_PROMPT
from scgrpo.tasks.math.verifier import score_answer
from tests.tasks.math.published import (
    AIME_ROWS,
    AMC_ROWS,
    GSM8K_ROWS,
    MATH500_ROWS,
    MATH_ROWS,
    dapo_row,
    write_rows,
)

NAMES = ("dapo-math", "math", "gsm8k", "aime24", "aime25", "math500", "amc23")
DATA = Path(__file__).parents[4] / "shared" / "data"


@pytest.mark.parametrize("name", NAMES)
def test_every_data_set_is_a_task(name):
    task = load_task(name)
    assert isinstance(task, Task)
    assert (task.name, task.family, task.guide) == (name, "math", "math")
    assert all(task.data_state(split).state in ("downloadable", "missing") for split in task.splits)
    with pytest.raises(ValueError, match=f"the {name} task has"):
        task.rows("dev")
    with pytest.raises(ValueError, match="cannot be loaded from the hub"):
        task.rows(task.splits[0])


def test_what_trains_and_what_evaluates():
    splits = {name: load_task(name).splits for name in NAMES}
    assert splits == {
        "dapo-math": ("train", "heldout"),
        "math": ("train", "test"),
        "gsm8k": ("train", "test"),
        **dict.fromkeys(("aime24", "aime25", "math500", "amc23"), ("test",)),
    }
    benchmarks = {name for name in NAMES if load_task(name).training_split is None}
    assert benchmarks == {"aime24", "aime25", "math500", "amc23"}


@pytest.mark.parametrize(
    ("name", "split", "rows", "problems", "answers"),
    [
        ("math", "train", MATH_ROWS, None, ["8", "2\\sqrt{2}", "\\left(0,1\\right)"]),
        ("math500", "test", MATH500_ROWS, None, [row["answer"] for row in MATH500_ROWS]),
        ("gsm8k", "train", GSM8K_ROWS[:3], None, ["900", "1,000", "1,100"]),
        ("aime24", "test", AIME_ROWS, None, ["025", "204"]),
        ("amc23", "test", AMC_ROWS, ["What is $3^3$?"], ["27"]),
        ("aime25", "test", [{"Question": "q", "Answer": 7}], ["q"], ["7"]),
        ("aime24", "test", [{"ID": "I-1", "Problem": "q", "Solution": "\\boxed{7}"}], ["q"], ["7"]),
    ],
)
def test_published_schemas(tmp_path, name, split, rows, problems, answers):
    task = load_task(name, data=str(write_rows(tmp_path / "rows.jsonl", rows)))
    loaded = task.rows(split)
    expected = problems or [row.get("problem") or row["question"] for row in rows]
    assert [prompt[-1]["content"] for prompt in loaded["prompt"]] == expected
    assert loaded["answer"][:] == answers
    assert task.data_state(split).state == "present"
    assert load_task(name, data=str(tmp_path)).rows(split)[:] == loaded[:]


@pytest.mark.parametrize(
    ("problem", "solution", "gold"),
    [
        ("Find all values of $x$.", "$\\boxed{3}$ and $\\boxed{-2}$.", "3, -2"),
        ("Enter the roots, separated by commas.", "\\boxed{1}, \\boxed{1}, \\boxed{2}", "1, 2"),
        ("What is $x$?", "\\boxed{ 3 }, so again \\boxed{3}.", "3"),
        ("What is $x$?", "\\boxed{\\boxed{3}}", "3"),
        ("What is $x$?", "\\boxed{4}? No: \\boxed{3}.", None),
        ("Find the sum of all values of $x$.", "\\boxed{4}, \\boxed{3}", None),
    ],
)
def test_gold_answers_of_solutions_with_several_boxes(tmp_path, caplog, problem, solution, gold):
    rows = [{"problem": "q", "solution": "\\boxed{1}"}, {"problem": problem, "solution": solution}]
    task = load_task("math", data=str(write_rows(tmp_path / "rows.jsonl", rows)))
    assert task.rows("train")["answer"][1:] == ([gold] if gold else [])
    assert ("1 problems without one gold answer were left out" in caplog.text) == (gold is None)


@pytest.mark.parametrize(
    ("name", "options", "reward"),
    [
        ("math", {}, 0.0),
        ("math500", {}, 0.0),
        ("math", {"form": False}, 1.0),
        ("dapo-math", {}, 1.0),
        ("dapo-math", {"form": True}, 0.0),
    ],
)
def test_a_copy_of_the_problem_is_refused_where_the_form_counts(monkeypatch, name, options, reward):
    task = load_task(name, **options)
    monkeypatch.setattr(task.workers, "score", lambda items, _: [score_answer(*i) for i in items])
    prompts = [[{"role": "user", "content": "Expand $(x+1)^2$."}]] * 2
    completions = [r"\boxed{(1+x)^2}", r"\boxed{x^2+1+2x}"]
    assert task.verify(completions, answer=["x^2+2x+1"] * 2, prompts=prompts) == [reward, 1.0]


def test_prompts_ask_for_a_boxed_answer(tmp_path):
    data = str(write_rows(tmp_path / "rows.jsonl", AIME_ROWS))
    row = load_task("aime24", data=data).rows("test")[0]
    assert row["prompt"][0] == {"role": "system", "content": SYSTEM_PROMPT}
    assert "\\boxed{}" in SYSTEM_PROMPT
    assert [message["role"] for message in row["prompt"]] == ["system", "user"]
    bare = load_task("aime24", data=data, system="").rows("test")[0]
    assert [message["role"] for message in bare["prompt"]] == ["user"]
    assert bare["problem_id"] == row["problem_id"]


def dapo(tmp_path, rows, **options):
    path = tmp_path / f"{len(list(tmp_path.iterdir()))}.parquet"
    return load_task("dapo-math", data=str(write_rows(path, rows)), **options)


def test_dapo_is_read_without_duplicates_and_without_its_own_instructions(tmp_path, caplog):
    rows = [dapo_row(f"Problem {n}?", str(n), i) for i in range(100) for n in range(5)]
    rows += [dapo_row("Doubtful?", "1"), dapo_row("Doubtful?", "2"), dapo_row("Doubtful?", "1")]
    with caplog.at_level(logging.WARNING):
        loaded = dapo(tmp_path, rows).rows("train")
    assert sorted(p[-1]["content"] for p in loaded["prompt"]) == [f"Problem {n}?" for n in range(5)]
    assert sorted(loaded["answer"]) == ["0", "1", "2", "3", "4"]
    assert "1 problems without one gold answer were left out" in caplog.text


def test_the_draw_of_dapo_is_fixed_by_the_seed_and_not_by_the_order(tmp_path):
    rows = [dapo_row(f"Problem {n}?", str(n)) for n in range(60)]
    shuffled = random.Random(0).sample(rows, len(rows))
    first = dapo(tmp_path, rows, size=20, seed=3)
    second = dapo(tmp_path, shuffled + rows[:7], size=20, seed=3)
    train = first.rows("train")
    assert train[:] == second.rows("train")[:] and len(train) == 20
    assert (
        train["problem_id"][:]
        != dapo(tmp_path, rows, size=20, seed=4).rows("train")["problem_id"][:]
    )
    assert dapo(tmp_path, rows, size=10, seed=3).rows("train")[:] == train[:10]

    held_out = set(first.rows("heldout")["problem_id"])
    assert len(held_out) == 6  # a tenth of 60
    everything = dapo(tmp_path, rows, size=1000, seed=3).rows("train")["problem_id"]
    assert len(everything) == 54 and held_out.isdisjoint(everything)
    assert len(dapo(tmp_path, rows, heldout_size=2).rows("heldout")) == 2


def test_dapo_takes_the_papers_4000_problems(tmp_path):
    rows = [dapo_row(f"Problem {n}?", str(n)) for n in range(4500)]
    assert len(dapo(tmp_path, rows).rows("train")) == 4000


def test_too_few_problems_to_hold_any_out(tmp_path):
    with pytest.raises(ValueError, match="no problem for the split 'heldout': there are too few"):
        dapo(tmp_path, [dapo_row("Problem?", "1")]).rows("heldout")


def test_one_file_is_not_both_trained_and_evaluated_on(tmp_path):
    path = write_rows(tmp_path / "rows.jsonl", GSM8K_ROWS)
    task = load_task("gsm8k", data=str(path))
    assert len(task.rows("train")) == 12 and len(task.rows("train")) == 12
    with pytest.raises(ValueError, match="would have been trained on"):
        task.rows("test")
    other = write_rows(tmp_path / "other.jsonl", GSM8K_ROWS[:2])
    task = load_task("gsm8k", data={"train": str(path), "test": str(other)})
    assert (len(task.rows("train")), len(task.rows("test"))) == (12, 2)


@pytest.mark.parametrize("name", ["gsm8k", "math"])
@pytest.mark.parametrize("first", ["train", "test"])
def test_a_folder_that_leads_both_splits_to_one_file_is_refused(tmp_path, name, first):
    write_rows(tmp_path / "problems.jsonl", {"gsm8k": GSM8K_ROWS, "math": MATH_ROWS}[name])
    task = load_task(name, data=str(tmp_path))
    second = "test" if first == "train" else "train"
    assert len(task.rows(first)) == len(task.rows(first)) > 0
    with pytest.raises(ValueError, match=r"leads both splits.*problems\.jsonl.*been trained on"):
        task.rows(second)


def test_a_link_to_the_training_file_is_refused(tmp_path):
    path = write_rows(tmp_path / "train.jsonl", GSM8K_ROWS)
    (tmp_path / "test.jsonl").symlink_to(path)
    task = load_task("gsm8k", data=str(tmp_path))
    task.rows("train")
    with pytest.raises(ValueError, match="would have been trained on"):
        task.rows("test")


def test_a_folder_with_a_file_for_each_split(tmp_path):
    write_rows(tmp_path / "train.jsonl", GSM8K_ROWS[2:])
    write_rows(tmp_path / "test.jsonl", GSM8K_ROWS[:2])
    task = load_task("gsm8k", data=str(tmp_path))
    assert (len(task.rows("train")), len(task.rows("test"))) == (10, 2)


def test_dapo_splits_the_one_file_of_a_folder(tmp_path):
    rows = [dapo_row(f"Problem {n}?", str(n)) for n in range(60)]
    write_rows(tmp_path / "problems.parquet", rows)
    task = load_task("dapo-math", data=str(tmp_path))
    train, held_out = (set(task.rows(split)["problem_id"]) for split in task.splits)
    assert (len(train), len(held_out)) == (54, 6) and train.isdisjoint(held_out)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sise": 3}, "the gsm8k task has no option 'sise'; it has data, "),
        ({"size": 0}, "size is 0; it must be a whole number of at least 1"),
        ({"size": "many"}, "size is 'many'"),
        ({"seconds": -1}, "time limit of gsm8k is -1 s"),
    ],
)
def test_options_that_cannot_be(options, words):
    with pytest.raises(ValueError, match=words):
        load_task("gsm8k", **options)


@pytest.mark.slow
def test_rewards_come_from_workers_and_a_slow_comparison_costs_its_item(caplog):
    task = load_task("math500", processes=1, seconds=3)
    assert task.workers._pool is None
    slow = r"\boxed{(x+1)^{3000}}"  # minutes of sympy
    logged = []
    rewards = task.verify(
        [[{"role": "assistant", "content": rf"\boxed{{{n}}}"}] for n in (1, 2)]
        + [[{"role": "assistant", "content": slow}], r"\boxed{4}"],
        answer=["1", "1", "x+1", "4"],
        log_metric=lambda *metric: logged.append(metric),
        prompts=None,
    )
    assert rewards == [1.0, 0.0, 0.0, 1.0]
    assert task.failures == {"timeout": 1}
    assert logged == [("reward/verifier_failures", 0.25)]
    task.workers.close()


def test_proof_of_hand_written_rows(tmp_path):
    task = load_task("math", data=str(write_rows(tmp_path / "rows.jsonl", MATH_ROWS)))
    proof = task.validate("train")
    assert proof.ok and (proof.rows, proof.gold) == (3, 3 * 5 + 8)  # solutions too
    task.workers.close()


def test_a_lenient_verifier_would_be_caught(tmp_path, monkeypatch):
    task = load_task("aime24", data=str(write_rows(tmp_path / "rows.jsonl", AIME_ROWS)))
    monkeypatch.setattr(task.workers, "score", lambda items, log: [1.0] * len(items))
    proof = task.validate(limit=1)
    assert not proof.ok and len(proof.disagreements) == proof.damaged > 20


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "rows", "limit"),
    [("aime24", 30, None), ("aime25", 30, None), ("amc23", 40, None), ("gsm8k", 1319, 40)],
)
def test_verifier_agrees_with_real_data(name, rows, limit):
    if not (DATA / name).is_dir():
        pytest.skip(f"no copy of {name} in ../shared/data")
    task = load_task(name, data=str(DATA / name))
    assert len(task.rows("test")) == rows
    proof = task.validate("test", limit)
    assert proof.ok and proof.rows == (limit or rows), proof.disagreements[:3]
    assert not task.failures
    task.workers.close()


@pytest.mark.slow
def test_verifier_agrees_with_all_of_gsm8k():
    if not (DATA / "gsm8k").is_dir():
        pytest.skip("no copy of gsm8k in ../shared/data")
    task = load_task("gsm8k", data=str(DATA / "gsm8k"))
    proof = task.validate("test")
    assert proof.ok and (proof.rows, proof.gold) == (1319, 1319 * 13)
    task.workers.close()
