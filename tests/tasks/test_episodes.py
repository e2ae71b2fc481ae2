"""Episodes: who speaks when, when an episode ends, and that environments are given back."""

import pytest

from scgrpo.tasks.episodes import Step, TextEnvironment, opening
from tests.tasks.playing import play

PROMPT = [{"role": "system", "content": "Count."}, {"role": "user", "content": "Start at "}]


class Countdown:
    """Counts down from a number; the reward is 1 when `stop` is written at zero."""

    open = 0

    def __init__(self):
        self.left = None

    def reset(self, row):
        type(self).open += 1
        self.left = row["start"]
        return str(self.left)

    def step(self, action):
        if action == "stop":
            return Step("stopped", float(self.left == 0), True)
        self.left -= 1
        return Step(str(self.left), 0.0, False)

    def close(self):
        type(self).open -= 1


@pytest.fixture(autouse=True)
def _none_open():
    Countdown.open = 0


def rows(*starts):
    return [{"prompt": PROMPT, "start": start} for start in starts]


def stop_at_zero(conversations):
    return ["stop" if c[-1]["content"].endswith("0") else "next" for c in conversations]


def test_the_shape():
    assert isinstance(Countdown(), TextEnvironment)


def test_one_episode_message_by_message():
    (episode,) = play(Countdown, rows(2), stop_at_zero, max_turns=9)
    assert episode.messages == [
        {"role": "system", "content": "Count."},
        {"role": "user", "content": "Start at 2"},
        {"role": "assistant", "content": "next"},
        {"role": "user", "content": "1"},
        {"role": "assistant", "content": "next"},
        {"role": "user", "content": "0"},
        {"role": "assistant", "content": "stop"},
    ]
    assert (episode.reward, episode.done, episode.turns) == (1.0, True, 3)
    assert Countdown.open == 0


def test_side_by_side_as_alone():
    starts = [3, 0, 5, 1]
    together = play(Countdown, rows(*starts), stop_at_zero, max_turns=9)
    alone = [play(Countdown, rows(start), stop_at_zero, max_turns=9)[0] for start in starts]
    assert [e.messages for e in together] == [e.messages for e in alone]
    assert [e.turns for e in together] == [4, 1, 6, 2]


def test_the_limit_of_turns_ends_without_a_last_observation():
    (episode,) = play(Countdown, rows(9), stop_at_zero, max_turns=2)
    assert (episode.reward, episode.done, episode.turns) == (0.0, False, 2)
    assert episode.messages[-1]["role"] == "assistant"
    assert Countdown.open == 0


def test_no_room_ends_an_episode():
    assert play(Countdown, rows(9), lambda c: [None], max_turns=9) == []
    assert Countdown.open == 0

    def stop_for_want_of_room(conversations):
        return ["next" if len(c) < 4 else None for c in conversations]

    (episode,) = play(Countdown, rows(9), stop_for_want_of_room, max_turns=9)
    assert (episode.turns, episode.done) == (1, False)
    assert Countdown.open == 0


def test_environments_are_given_back_when_the_model_fails():
    def fail(conversations):
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        play(Countdown, rows(1, 2, 3), fail, max_turns=9)
    assert Countdown.open == 0


def test_opening_leaves_the_row_untouched():
    assert opening(PROMPT, "4")[-1] == {"role": "user", "content": "Start at 4"}
    assert PROMPT[-1]["content"] == "Start at "
    only_system = [{"role": "system", "content": "s"}]
    assert opening(only_system, "x") == [*only_system, {"role": "user", "content": "x"}]
