"""Ctrl-C and SIGTERM that lose nothing: the first ends the step and saves, the second stops."""

import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
from transformers import TrainerCallback

SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""Ctrl-C, and what schedulers and `kill` send."""


class InterruptCallback(TrainerCallback):
    """Turns the first SIGINT or SIGTERM into a checkpoint and an orderly end of training.

    On several processes all of them stop at the same step, whichever was told to.

    Args:
        announce: says that the signal was understood.
        grace: seconds after the first within which another signal is the same one, which a
            terminal or scheduler sends to a launcher and its processes alike, and the launcher
            hands on.
    """

    def __init__(self, announce: Callable[[str], None] = print, grace: float = 0.5) -> None:
        self.announce, self.grace = announce, grace
        self._told_at: float | None = None
        self.interrupted = False
        self._previous: dict[int, Any] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._previous = {number: signal.signal(number, self._on_signal) for number in SIGNALS}

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        if self._interrupted_anywhere(args.device):
            self.interrupted = True
            control.should_save = True
            control.should_training_stop = True
        return control

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.restore()

    def restore(self) -> None:
        """Give the signals back to whoever had them."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}

    def _on_signal(self, number: int, frame: Any) -> None:
        now = time.monotonic()
        if self._told_at is None:
            self._told_at, self.interrupted = now, True
            with suppress(RuntimeError):  # the signal may have come in the middle of a print
                again = "Ctrl-C" if number == signal.SIGINT else "SIGTERM"
                self.announce(
                    f"Interrupted: finishing this step and saving; {again} again stops at once."
                )
        elif now - self._told_at > self.grace:
            self.restore()
            raise KeyboardInterrupt

    def _interrupted_anywhere(self, device: torch.device) -> bool:
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return self.interrupted
        told = torch.tensor(int(self.interrupted), device=device)
        torch.distributed.all_reduce(told, op=torch.distributed.ReduceOp.MAX)
        return bool(told.item())
