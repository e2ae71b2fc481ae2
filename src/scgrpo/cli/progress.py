"""Live progress of a run: one panel on a terminal, one line a step elsewhere."""

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from rich.console import Console
from rich.live import Live
from transformers import TrainerCallback

from scgrpo.cli.progress_text import AVERAGE, extent, facts, line, panel
from scgrpo.runs.callbacks import Evaluating


class ProgressDisplay(TrainerCallback):
    """Shows the numbers that matter, in place of the trainer's own printing.

    Use as a context manager around training, so that the display ends with it, whatever happens.

    Args:
        console: where to show; stdout by default.
        title: name of the run.
        clock: seconds, for the speed and the time left.
    """

    def __init__(
        self,
        console: Console | None = None,
        title: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.console = console or Console()
        self.title, self.clock = title, clock
        self.shown: dict[str, str] = {}
        self._share = 0.0
        self._live: Live | None = None
        self._average: tuple[str, float] | None = None
        self._began = self._logged = (0.0, 0.0, 0.0)

    def __enter__(self) -> "ProgressDisplay":
        return self

    def __exit__(self, *_: Any) -> None:
        self._stop()

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if not state.is_world_process_zero:
            return
        now = (self.clock(), state.global_step, state.num_input_tokens_seen)
        self._began = self._logged = now
        if state.global_step:
            self.say(f"resuming at step {state.global_step} of {state.max_steps}")
        self.shown = {"step": f"{state.global_step}/{state.max_steps}", "": "first step ..."}
        self._show()

    def evaluating(self, now: Evaluating) -> None:
        """Show where an evaluation stands; without a terminal, that it begins."""
        text = f"{now.split}, {extent(now.problems, now.k)}"
        if not self.console.is_terminal:
            if not now.done and not now.token:
                when = f"after step {now.step}" if now.step else "before the first step"
                self._print(f"evaluating {when}: {text}")
            return
        token = f", token {now.token}" if now.token else ""
        going = {"evaluating": f"{text}: {now.done}/{now.samples}{token}"}
        self._show(going if now.done < now.samples else {})

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if not state.is_world_process_zero or not logs or "reward" not in logs:
            return
        self.shown = self._read(state, logs)
        self._share = state.global_step / max(state.max_steps, 1)
        if self.console.is_terminal:
            self._show()
        else:
            self._print(line(self.shown))

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._stop()

    def say(self, message: str) -> None:
        """Print a message without disturbing the panel."""
        self.console.print(message, style="yellow", soft_wrap=True)

    def _print(self, text: str) -> None:
        self.console.print(text, soft_wrap=True, highlight=False, markup=False)

    def _show(self, more: Mapping[str, str] = MappingProxyType({})) -> None:
        """The panel, on a terminal."""
        if not self.console.is_terminal:
            return
        if self._live is None:
            self._live = Live(console=self.console, refresh_per_second=4, transient=False)
            self._live.start()
        self._live.update(panel(self.title, {**self.shown, **more}, self._share))

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _read(self, state: Any, logs: Mapping[str, Any]) -> dict[str, str]:
        now, step = self.clock(), state.global_step
        tokens = float(logs.get("num_tokens", self._logged[2]))
        then, _, tokens_then = self._logged
        self._logged = (now, step, tokens)
        averages = [(m[1], v) for name, v in logs.items() if (m := AVERAGE.fullmatch(name))]
        self._average = averages[0] if averages else self._average
        done = step - self._began[1]
        left = (now - self._began[0]) / done * (state.max_steps - step) if done > 0 else None
        speed = (tokens - tokens_then) / (now - then) if now > then else None
        return facts(logs, step, state.max_steps, self._average, speed, left)
