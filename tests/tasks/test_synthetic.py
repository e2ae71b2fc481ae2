"""The synthetic task: an exact verifier, disjoint splits, and dials that do what they say."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgrpo.tasks import Task, available_tasks, load_task
from scgrpo.tasks.synthetic.solutions import (
    is_correct,
    steps_of,
    write_solution,
)
from scgrpo.tasks.synthetic.task import SyntheticTask, is_held_out

NUMBERS = st.lists(st.integers(10, 99), min_size=2, max_size=5)


@pytest.mark.parametrize(
    ("solution", "correct"),
    [
        ("82+18=100; 27+100=127; ", True),
        ("27+18=45; 45+82=127; ", True),
        ("well so 82+18=100; now 27+100=127; ", True),
        ("82+18=101; 27+101=128; ", False),
        ("82+18=101; 27+100=127; ", False),
        ("82+18=100; ", False),
        ("27+82=109; 27+82=109; ", False),
        ("82+18=100; 27+100=127; so ", False),
        ("82+18=100; 27+100=127; 127+0=127; ", False),
        ("82+018=100; 27+100=127; ", False),
        ("82+18=" + "9" * 5000 + "; ", False),
        ("127", False),
        ("", False),
    ],
)
def test_verifier_by_hand(solution, correct):
    assert is_correct(solution, [27, 82, 18]) is correct


@pytest.mark.parametrize(
    ("solution", "correct"),
    [
        ("7302; 82+18=100; 27+100=127; ", True),
        ("7302; 82+18=100; 4+19; 27+100=127; ", True),
        ("7302; 5; 82+18=100; 27+100=127; ", True),
        ("82+18=100; 27+100=127; 55; ", False),
        ("82+18=100; 127; ", False),
        ("27+82+18=127; ", False),
        ("5=5; 82+18=100; 27+100=127; ", False),
        ("so 82+18=100; 27+100=127; ", False),
        ("4+19; 82+19=101; 27+101=128; ", False),
    ],
)
@pytest.mark.parametrize("wording", ["digits", "sums"])
def test_numbers_without_an_equals_sign_are_wording(solution, correct, wording):
    assert is_correct(solution, [27, 82, 18], wording) is correct
    assert is_correct(solution, [27, 82, 18]) is (solution.startswith("so "))


@pytest.mark.parametrize("wording", ["digits", "sums"])
@pytest.mark.parametrize("routine", [0.15, 0.5, 0.8])
def test_wording_in_the_symbols_of_steps_is_read_by_no_verifier(wording, routine):
    task = load_task("synthetic", wording=wording, routine=routine, steps=3)
    proof = task.validate()
    assert proof.ok and proof.gold == 128 and proof.damaged == 64 * 7
    row = task.rows("heldout")[0]
    segments = row["demonstration"].split("; ")[:-1]
    assert ["=" in segment for segment in segments] == [False, True] * row["level"]
    assert not set("".join(segments)) - set("0123456789+=")
    assert any("+" in s for s in segments[::2]) <= (wording == "sums")


def test_long_solutions_of_small_numbers():
    task = load_task("synthetic", steps=12, largest=9, train_size=50)
    rows = task.rows("train")
    assert set(rows["level"]) == {11, 12}
    assert {n for numbers in rows["numbers"] for n in numbers} == set(range(1, 10))


@given(NUMBERS, st.integers(0, 2**32), st.integers(0, 4))
def test_every_order_and_wording_is_accepted(numbers, seed, words):
    assert is_correct(write_solution(numbers, random.Random(seed), words=words), numbers)


@given(NUMBERS, st.integers(0, 2**32))
def test_one_wrong_digit_in_any_sum_is_rejected(numbers, seed):
    rng = random.Random(seed)
    assert not is_correct(write_solution(numbers, rng, error_rate=1.0), numbers)
    gold = write_solution(numbers, rng)
    place = rng.choice([i for i, character in enumerate(gold) if character.isdigit()])
    changed = str((int(gold[place]) + rng.randint(1, 9)) % 10)
    assert not is_correct(gold[:place] + changed + gold[place + 1 :], numbers)


def test_task_proves_itself():
    task = load_task("synthetic")
    assert isinstance(task, Task) and "synthetic" in available_tasks()
    proof = task.validate()
    assert proof.ok and proof.rows == 64 and proof.gold == 2 * 64 and proof.damaged == 64 * 7
    assert task.splits == ("train", "heldout", "ood", "validation")
    assert task.data_state("train").state == "present"


def test_a_lenient_verifier_would_be_caught(monkeypatch):
    monkeypatch.setattr("scgrpo.tasks.synthetic.task.is_correct", lambda *_: True)
    proof = SyntheticTask().validate(limit=2)
    assert not proof.ok and len(proof.disagreements) == proof.damaged == 14
    assert all((d.expected, d.reward) == (0.0, 1.0) for d in proof.disagreements)


def test_verify_is_a_trl_reward_function():
    rows = SyntheticTask(heldout_size=3).rows("heldout")
    gold = [write_solution(numbers, random.Random(0)) for numbers in rows["numbers"]]
    messages = [[{"role": "assistant", "content": text}] for text in gold]
    columns = {"prompts": rows["prompt"], "numbers": rows["numbers"], "trainer_state": None}
    assert SyntheticTask().verify(messages, **columns) == [1.0, 1.0, 1.0]
    assert SyntheticTask().verify([gold[0], gold[0], ""], **columns) == [1.0, 0.0, 0.0]


def test_splits_are_disjoint_whatever_the_order_of_the_numbers():
    task = SyntheticTask(train_size=2000, heldout_size=400, ood_size=200)
    problems = {
        s: {tuple(sorted(n)) for n in task.rows(s)["numbers"]} for s in ("train", "heldout")
    }
    assert not problems["train"] & problems["heldout"]
    assert all(is_held_out(numbers) for numbers in task.rows("ood")["numbers"])
    assert set(task.rows("train")["level"]) == {3, 4}
    assert set(task.rows("ood")["level"]) == {5}


def test_a_split_ends_where_there_are_no_more_problems():
    rows = SyntheticTask(steps=1).rows("train")
    assert len(rows) == sum(not is_held_out([a, b]) for a in range(1, 21) for b in range(1, 21))


def test_rows_are_the_same_for_the_same_options():
    assert SyntheticTask(seed=3).rows("ood")[:] == SyntheticTask(seed=3).rows("ood")[:]
    assert SyntheticTask(seed=3).rows("ood")[:] != SyntheticTask(seed=4).rows("ood")[:]


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_steps_dial_is_the_number_of_additions(steps):
    rows = SyntheticTask(steps=steps, train_size=100).rows("train")
    assert set(rows["level"]) == set(range(max(1, steps - 1), steps + 1))


def test_known_steps_are_copied_with_fewer_errors():
    rng = random.Random(0)
    known = steps_of("10+20=30; ")
    assert known == {"10+20=30", "20+10=30"}
    options = {"error_rate": 1.0, "known": known, "known_error_rate": 0.0}
    assert is_correct(write_solution([10, 20], rng, **options), [10, 20])
    assert not is_correct(write_solution([10, 21], rng, **options), [10, 21])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps is 0; the synthetic task has 1 to 20"),
        ({"steps": 21}, "steps is 21; the synthetic task has 1 to 20"),
        ({"wording": "digit"}, "unknown wording 'digit'; did you mean 'digits'"),
        ({"largest": 21}, "largest is 21; it lies between 2 and 20"),
        ({"routine": 0.95}, "routine is 0.95; the share lies"),
        ({"train_size": 0}, "train_size is 0"),
        ({"step": 3}, "has no option 'step'; it has seed, train_size"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        load_task("synthetic", **options)


def test_unknown_task_and_split():
    with pytest.raises(ValueError, match="unknown task 'synth'; did you mean 'synthetic'"):
        load_task("synth")
    with pytest.raises(ValueError, match="split is 'test'"):
        SyntheticTask().rows("test")


def test_validation_shares_no_problem_with_what_is_reported():
    task = SyntheticTask()
    names = {split: set(task.rows(split)["problem_id"]) for split in task.splits}
    assert len(names["validation"]) == 128
    assert not names["validation"] & (names["heldout"] | names["train"] | names["ood"])
