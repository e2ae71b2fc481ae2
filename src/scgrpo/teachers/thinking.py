"""What a rollout thought before it answered, and whether a reference shows it.

Chat templates differ in what they keep of earlier turns: Qwen3's drops the thoughts, others keep
them. A reference is an earlier attempt, so that by default it is shown as its template would.
"""

import re

from scgrpo.teachers.templates import ChatTemplate

THINKING = ("template", "keep", "remove")
OPEN, CLOSE = "<think>", "</think>"
_BLOCK = re.compile(f"{OPEN}.*?{CLOSE}\\s*", re.DOTALL)
_PROBE = "scgrpo-probe"


def check_thinking(choice: str) -> None:
    """Refuse an unknown choice.

    Raises:
        ValueError: naming the choices.
    """
    if choice not in THINKING:
        raise ValueError(f"reference_thinking is {choice!r}; choose one of {', '.join(THINKING)}.")


def shows_thinking(choice: str, template: ChatTemplate) -> bool:
    """Whether references show what was thought.

    Args:
        choice: one of `THINKING`.
        template: says what becomes of the thoughts of an earlier turn; without a chat template,
            or with one that refuses an earlier turn, they are kept.
    """
    if choice != "template":
        return choice == "keep"
    earlier = f"{OPEN}\n{_PROBE}\n{CLOSE}\n\nx"
    roles = {"user": "x", "assistant": earlier}
    turns = [{"role": role, "content": roles[role]} for role in ("user", "assistant", "user")]
    rendered = template.try_render(turns)
    return rendered is None or _PROBE in rendered


def without_thinking(text: str) -> str:
    """A turn without its thoughts.

    A block that the prompt opened already ends at its `</think>`. One that is never closed, as in a
    rollout that was cut off, is kept, and so is a turn of thoughts alone: there is nothing else of
    it to show.

    Example:
        >>> without_thinking("<think>1 and 1, so 2</think>\\n\\nIt is 2.")
        'It is 2.'
    """
    opened, close, rest = text.partition(CLOSE)
    closed = rest.lstrip() if close and OPEN not in opened else text
    answer = _BLOCK.sub("", closed)
    return answer if answer.strip() else text
