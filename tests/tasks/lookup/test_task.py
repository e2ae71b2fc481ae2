"""The lookup task: what is right, what is not, and what never overlaps."""

import random
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scgrpo.tasks import load_task
from scgrpo.tasks.base import Task
from scgrpo.tasks.episodes import EpisodeTask
from scgrpo.tasks.lookup.environments import (
    LookupText,
    LookupTools,
    find_answer,
    find_call,
    replay,
)
from scgrpo.tasks.lookup.problems import NAMES, Problem, draw_problem
from scgrpo.tasks.lookup.task import LookupTask, as_calls, as_text
from scgrpo.tasks.lookup.writer import ErrorRates, Writer
from tests.tasks.playing import play

NUMBERS = tuple(range(1, 17))
PROBLEM = Problem(("fig", "plum"), NUMBERS)
"""fig is 3 and plum is 15."""
ROW = {"asked": ["fig", "plum"], "numbers": list(NUMBERS), "problem_id": "p"}


def conversation(*turns):
    """Assistant messages, with something in between."""
    messages = []
    for turn in turns:
        messages += [
            {"role": "user", "content": "look kiwi"},
            {"role": "assistant", "content": turn},
        ]
    return messages[1:]


def test_the_task_is_found_by_name_and_is_an_episode_task():
    task = load_task("lookup", names=3)
    assert isinstance(task, Task) and isinstance(task, EpisodeTask)
    assert task.max_turns == 6 and not task.environment_scores


@pytest.mark.parametrize(
    ("turns", "reward"),
    [
        (("look fig", "so look plum", "well 3+15=18; answer 18"), 1.0),
        (("look plum", "look fig", "15+3=18; answer 18"), 1.0),
        (("look plum", "look fig", "15+3=99; answer 18"), 1.0),  # only the outcome counts
        (("look plum", "look fig", "15+3=18; answer 19"), 0.0),
        (("look plum", "look fig", "15+3=18; "), 0.0),
        (("look plum", "look fig"), 0.0),
        (("look plum", "3+15=18; answer 18"), 0.0),
        (("look plum", "look fig", "look kiwi", "answer 18"), 0.0),
        (("look plum", "look fig", "look fig", "answer 18"), 0.0),
        (("look plum look fig", "answer 18"), 0.0),
        (("look plum", "look fig", "answer 18 answer 17"), 0.0),
        (("look plum", "look fig", "answer 18 or so"), 0.0),
        (("look plum", "look fig", "answer 018"), 0.0),
        (("look plum", "look fig", "answer 1", "answer 18"), 0.0),  # the first answer ends it
        (("look plum", "hm", "look fig", "answer 18"), 0.0),
        ((), 0.0),
    ],
)
def test_rewards_worked_by_hand(turns, reward):
    assert replay(PROBLEM, conversation(*turns)) == reward


@pytest.mark.parametrize("name", ["look", "find"])
@pytest.mark.parametrize("arguments", ["fig", ["fig"], None, {}, {"names": "fig"}, {"name": 7}])
def test_calls_of_any_shape_are_wrong_looks(name, arguments):
    def call(**function):
        return {"role": "assistant", "tool_calls": [{"type": "function", "function": function}]}

    asked = [call(name="look", arguments={"name": n}) for n in PROBLEM.asked]
    answer = {"role": "assistant", "content": "answer 18"}
    assert replay(PROBLEM, [*asked, answer]) == 1.0
    assert replay(PROBLEM, [*asked, call(name=name, arguments=arguments), answer]) == 0.0
    assert replay(PROBLEM, [call(name=name, arguments=arguments), asked[1], answer]) == 0.0


def test_a_text_is_an_episode_of_one_turn():
    assert replay(PROBLEM, "answer 18") == 0.0
    assert LookupTask().verify(["answer 18", ""], asked=[["fig"]] * 2, numbers=[NUMBERS] * 2) == [
        0.0,
        0.0,
    ]


@pytest.mark.parametrize(
    ("text", "call", "answer"),
    [
        ("so now look fig", "fig", None),
        ("look ", "", None),
        ("12+7=19; answer 19", None, 19),
        ("answer 19 ", None, 19),
        ("reanswer 19", None, None),
        ("answer 1234567", None, None),
        ("answer", None, None),
        ("", None, None),
    ],
)
def test_what_a_turn_means(text, call, answer):
    assert (find_call(text), find_answer(text)) == (call, answer)


def test_a_look_shows_the_entry_and_behind_it_one_that_was_not_asked_for():
    for name in PROBLEM.asked:
        beside = PROBLEM.beside(name)
        assert beside not in PROBLEM.asked
        entries = [f"{n}={PROBLEM.number(n)}; " for n in (name, beside)]
        assert PROBLEM.look(name) == "".join(entries), "the same at every look"
    assert PROBLEM.look("figs") == "none"


def test_tools_and_text_show_the_same():
    tools, text = LookupTools(), LookupText()
    assert tools.reset(**ROW, prompt=[], answer="18") is None
    assert text.reset(ROW) == ""
    for name in ("fig", "kiwi", "", "no such name"):
        assert tools.look(name) == text.step(f"well look {name}").observation
    step = text.step("answer 18")
    assert step.done and step.reward == 0.0, "kiwi was not asked for"


@pytest.mark.parametrize("row", [{}, {"asked": ["fig"]}, {"asked": ["figs"], "numbers": NUMBERS}])
def test_a_row_of_another_task_is_refused(row):
    for environment in (LookupTools(), LookupText()):
        with pytest.raises(ValueError, match="none of the lookup task"):
            environment.reset(**row) if isinstance(environment, LookupTools) else (
                environment.reset(row)
            )


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10**6), names=st.integers(2, 6), rate=st.sampled_from([0.0, 0.2, 1.0]))
def test_written_episodes_are_right_exactly_where_nobody_erred(seed, names, rate):
    rng = random.Random(seed)
    problem = draw_problem(rng, names)
    episode = Writer(rng, 2, ErrorRates(rate, rate, rate)).write(problem)
    assert len(episode.turns) == names + 1 == len(episode.observations) + 1
    rewards = {replay(problem, as_text(episode)), replay(problem, as_calls(episode))}
    assert len(rewards) == 1, "both forms have the same reward"
    if rate == 0.0:
        assert rewards == {1.0}
    if rate == 1.0:
        assert rewards == {0.0}
    assert sorted(episode.looked) == sorted(set(episode.looked))


def test_played_episodes_get_the_reward_of_their_replay():
    task = LookupTask(train_size=32)
    rng = random.Random(0)
    rows = task.rows("train").to_list()
    writer = Writer(rng, 2, ErrorRates(0.1, 0.1, 0.1))
    written = [writer.write(Problem.of_row(row)) for row in rows]

    def respond(conversations):
        turns = []
        for messages in conversations:
            place = next(i for i, row in enumerate(rows) if messages[0] == row["prompt"][0])
            turns.append(written[place].turns[sum(m["role"] == "assistant" for m in messages)])
        return turns

    episodes = play(task.text_environment, rows, respond, max_turns=task.max_turns)
    assert all(episode.done for episode in episodes)
    replayed = task.verify(
        [episode.messages for episode in episodes],
        asked=[row["asked"] for row in rows],
        numbers=[row["numbers"] for row in rows],
    )
    assert [episode.reward for episode in episodes] == replayed
    assert {0.0, 1.0} == set(replayed)
    for episode, own in zip(episodes, written, strict=True):
        assert episode.messages[1:] == as_text(own)


def test_known_things_are_written_rightly():
    rng = random.Random(0)
    writer = Writer(rng, 0, ErrorRates(1.0, 1.0, 1.0), known_errors=ErrorRates())
    for _ in range(20):
        problem = draw_problem(rng, 2)  # two names have one sum, whatever the order
        shown = Writer(rng).write(problem)
        assert replay(problem, as_text(writer.write(problem, shown.known))) == 1.0
        assert replay(problem, as_text(writer.write(problem))) == 0.0


def test_splits_are_apart_and_the_same_every_time():
    task = LookupTask(train_size=400, heldout_size=200, ood_size=50)
    splits = {split: task.rows(split).to_list() for split in task.splits}
    assert set(splits) == {"train", "heldout", "ood", "validation"}
    problems = {
        split: {(tuple(sorted(r["asked"])), tuple(r["numbers"])) for r in rows}
        for split, rows in splits.items()
    }
    assert all(not a & b for a, b in combinations(problems.values(), 2))
    assert {r["level"] for r in splits["train"]} == {3, 4}
    assert {r["level"] for r in splits["ood"]} == {5}
    assert all(len({r["problem_id"] for r in rows}) == len(rows) for rows in splits.values())
    again = LookupTask(train_size=400).rows("train").to_list()
    assert again == splits["train"]
    assert all(r["answer"] == str(sum(r["numbers"][NAMES.index(n)] for n in r["asked"]))
               for r in splits["train"])  # fmt: skip


def test_the_verifier_is_proven():
    checked = LookupTask().validate()
    assert checked.ok and (checked.gold, checked.damaged) == (128, 1152)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"names": 1}, "names is 1; the lookup task has 2 to 6"),
        ({"words": 9}, "words is 9; the lookup task has 0 to 8"),
        ({"ood_size": 0}, "ood_size is 0"),
        ({"length": 3}, "no option 'length'"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        LookupTask(**options)


def test_unknown_split():
    with pytest.raises(
        ValueError, match="split is 'test'; the lookup task has train, heldout, ood, val"
    ):
        LookupTask().rows("test")
