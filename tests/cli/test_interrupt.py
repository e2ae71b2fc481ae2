"""The first Ctrl-C asks for a checkpoint, the second stops at once."""

import signal
from types import SimpleNamespace

import pytest
import torch

from scgrpo.cli.interrupt import SIGNALS, InterruptCallback

ARGS = SimpleNamespace(device=torch.device("cpu"))


@pytest.fixture
def callback():
    messages: list[str] = []
    callback = InterruptCallback(announce=messages.append)
    callback.messages = messages
    before = [signal.getsignal(number) for number in SIGNALS]
    callback.on_train_begin(ARGS, None, None)
    yield callback
    callback.restore()
    assert [signal.getsignal(number) for number in SIGNALS] == before


def control() -> SimpleNamespace:
    return SimpleNamespace(should_save=False, should_training_stop=False)


def test_nothing_happens_without_a_signal(callback) -> None:
    after = callback.on_step_end(ARGS, None, control())
    assert not (after.should_save or after.should_training_stop or callback.interrupted)


@pytest.mark.parametrize(
    ("number", "words"), [(signal.SIGINT, "Ctrl-C again"), (signal.SIGTERM, "SIGTERM again")]
)
def test_first_saves_and_stops(callback, number, words) -> None:
    signal.raise_signal(number)
    assert callback.interrupted
    assert words in callback.messages[0]
    after = callback.on_step_end(ARGS, None, control())
    assert after.should_save and after.should_training_stop


@pytest.mark.parametrize("number", SIGNALS)
def test_second_stops_at_once(callback, number) -> None:
    signal.raise_signal(number)
    signal.raise_signal(number)  # the launcher handing on the same Ctrl-C
    assert len(callback.messages) == 1
    callback.grace = 0.0
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)


def test_end_of_training_gives_the_signal_back(callback) -> None:
    callback.on_train_end(ARGS, None, None)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert not callback.interrupted
