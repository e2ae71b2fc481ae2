"""What progress shows, and where."""

from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from scgrpo.cli.progress import ProgressDisplay
from scgrpo.cli.progress_text import duration, facts, line
from scgrpo.runs.callbacks import Evaluating

LOGS = {
    "loss": 0.1,
    "reward": 0.40625,
    "completions/mean_length": 41.26,
    "completions/clipped_ratio": 0.125,
    "credit/route_partial": 0.5,
    "credit/route_none": 0.25,
    "credit/route_plain": 0.25,
    "credit/threshold_c": 0.0312,
    "eval/heldout/avg@8": 0.381,
    "num_tokens": 3000,
}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def state(step: int, tokens: int = 0, main: bool = True) -> Any:
    return SimpleNamespace(
        global_step=step,
        max_steps=100,
        num_input_tokens_seen=tokens,
        is_world_process_zero=main,
    )


@pytest.fixture
def display() -> ProgressDisplay:
    console = Console(file=StringIO(), force_terminal=False, width=40)
    return ProgressDisplay(console, "run", Clock())


def text_of(display: ProgressDisplay) -> str:
    return display.console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("logs", "shown"),
    [
        ({"eval/test/avg@4": 0.25, "eval/test/pass@4": 0.75}, "Avg@4 0.250"),
        ({"eval/ood/avg@4": 0.25, "eval/heldout/avg@4": 0.5}, "Avg@4 0.500"),
        ({"eval/ood/avg@4": 0.25}, None),
    ],
)
def test_the_average_is_of_whatever_split_the_task_has(
    display: ProgressDisplay, logs: dict[str, float], shown: str | None
) -> None:
    text = line(display._read(state(1), {"reward": 0.5} | logs))
    assert shown in text if shown else "Avg" not in text


def test_facts_of_a_step() -> None:
    shown = facts(LOGS, 12, 100, ("8", 0.381), 812.4, 200)
    assert line(shown) == (
        "step 12/100  reward 0.406  length 41  clipped 12%  Avg@8 0.381  "
        "routes partial 50% none 25% plain 25%  "
        "c 0.031  tokens/s 812  left 3:20"
    )


def test_what_is_unknown_is_left_out() -> None:
    logs = {"reward": 0.5, "credit/threshold_c": float("nan"), "credit/route_plain": None}
    assert line(facts(logs, 1, 100)) == "step 1/100  reward 0.500"


def test_one_line_a_log_without_a_terminal(display: ProgressDisplay) -> None:
    display.on_train_begin(None, state(10, tokens=1000), None)
    display.clock.now = 4.0  # type: ignore[attr-defined]
    display.on_log(None, state(12), None, logs=LOGS)
    display.clock.now = 8.0  # type: ignore[attr-defined]
    display.on_log(None, state(14), None, logs={"reward": 1.0, "num_tokens": 3400})
    display.on_log(None, state(14), None, logs={"train_runtime": 8.0})
    resumed, first, second = text_of(display).splitlines()
    assert resumed == "resuming at step 10 of 100"
    assert first.endswith("tokens/s 500  left 2:56")
    assert second == "step 14/100  reward 1.000  Avg@8 0.381  tokens/s 100  left 2:52"


def test_other_processes_stay_silent(display: ProgressDisplay) -> None:
    display.on_train_begin(None, state(0, main=False), None)
    display.on_log(None, state(1, main=False), None, logs=LOGS)
    assert text_of(display) == ""


def test_panel_on_a_terminal_ends_with_the_context() -> None:
    console = Console(file=StringIO(), force_terminal=True, width=120)
    with pytest.raises(RuntimeError), ProgressDisplay(console, "my-run") as display:
        display.on_train_begin(None, state(0), None)
        display.on_log(None, state(50), None, logs=LOGS)
        raise RuntimeError
    text = text_of(display)
    assert "my-run" in text and "0.406" in text and "partial 50%" in text
    assert "\x1b[?25h" in text  # the cursor is back


EVALUATION = (
    Evaluating(0, "heldout", 8, 1),
    Evaluating(0, "heldout", 8, 1, token=17),
    Evaluating(0, "heldout", 8, 1, done=5),
    Evaluating(0, "heldout", 8, 1, done=8),
)


def test_an_evaluation_is_one_line_without_a_terminal(display: ProgressDisplay) -> None:
    for now in (*EVALUATION, Evaluating(50, "ood", 1, 4)):
        display.evaluating(now)
    assert text_of(display).splitlines() == [
        "evaluating before the first step: heldout, 8 problems x 1 sample",
        "evaluating after step 50: ood, 1 problem x 4 samples",
    ]


def test_an_evaluation_moves_on_a_terminal_and_gives_the_panel_back() -> None:
    console = Console(file=StringIO(), force_terminal=True, width=120)
    seen = []
    with ProgressDisplay(console, "my-run") as display:
        for now in EVALUATION:
            display.evaluating(now)
            assert display._live is not None
            with console.capture() as capture:
                console.print(display._live.renderable)
            seen.append(capture.get())
        display.on_train_begin(None, state(0), None)
    words = "heldout, 8 problems x 1 sample: "
    assert f"{words}0/8" in seen[0] and f"{words}0/8, token 17" in seen[1]
    assert f"{words}5/8" in seen[2] and "token" not in seen[2] and "evaluating" not in seen[3]
    assert "first step" in text_of(display)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (3599, "59:59"), (7325, "2:02:05")]
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text
