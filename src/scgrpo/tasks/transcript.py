"""An episode as text: how a corpus writes one down, and how a teacher is shown one."""

from collections.abc import Iterable
from dataclasses import dataclass

ACTION, OBSERVATION = "[action]\n", "[observation]\n"
CUT_MARK = "\n[...]\n"
"""Where a part is left out."""


@dataclass(frozen=True)
class Span:
    """A turn of the model, or what a tool answered to it."""

    text: str
    is_written: bool


def transcript(spans: Iterable[Span]) -> str:
    """An episode as text: each turn and each answer under a mark of its own.

    Example:
        >>> transcript([Span("look fig", True), Span("fig=7", False), Span("answer 7", True)])
        '[action]\\nlook fig\\n[observation]\\nfig=7\\n[action]\\nanswer 7'
    """
    return "\n".join(
        (ACTION if span.is_written else OBSERVATION) + span.text.strip("\n") for span in spans
    )
