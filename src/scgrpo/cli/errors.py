"""From exceptions to one sentence on stderr and an exit code."""

import functools
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import typer
from rich.console import Console
from rich.markup import escape

OK, FAILED, MISTAKE, INTERRUPTED = 0, 1, 2, 130
HEADS = {INTERRUPTED: "interrupted"}

Command = TypeVar("Command", bound=Callable[..., Any])


class Failure(Exception):
    """Something failed that the message explains; no defect of this program."""


class Debugging:
    """Whether tracebacks are shown."""

    on = False


def guarded(command: Command) -> Command:
    """Let a command end with a sentence instead of a traceback.

    ValueErrors are mistakes in what was asked (exit code 2); rewards that fail, checkpoints that
    cannot be written and files that cannot be read or written are failures (1). Anything else is
    our own defect and keeps its traceback.
    """

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except KeyboardInterrupt:
            fail("the same command goes on from what was saved.", INTERRUPTED)
        except Exception as error:
            code = exit_code(error)
            if code is None or Debugging.on:
                raise
            fail(one_sentence(error), code)

    return run  # type: ignore[return-value]


def exit_code(error: BaseException) -> int | None:
    """Exit code of an error that the user can do something about, None for our own defects."""
    failures = {
        "RewardError",
        "CheckpointError",
        "DataExhausted",
    }  # by name, since their modules import torch
    if failures & {kind.__name__ for kind in type(error).__mro__}:
        return FAILED
    if isinstance(error, ValueError):
        return MISTAKE
    if isinstance(error, Failure | OSError | ImportError):
        return FAILED
    return None


def one_sentence(error: BaseException) -> str:
    """The error's message on one line."""
    return " ".join(str(error).split()) or type(error).__name__


def fail(message: str, code: int) -> None:
    """Say what is wrong, in red, and leave with an exit code."""
    with suppress(BrokenPipeError):
        Console(stderr=True, soft_wrap=True, highlight=False).print(
            f"[bold red]{HEADS.get(code, 'error')}:[/] [red]{escape(message)}[/]"
        )
    raise typer.Exit(code)
