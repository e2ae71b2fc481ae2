"""The program of a chat answer."""

import re

LANGUAGES = ("python", "python3", "py", "py3")
_THOUGHT_END = "</think>"
_THOUGHT_START = "<think>"
_FENCE = re.compile(r"^([ \t]*)(`{3,}|~{3,})[ \t]*([^\s`]*)[^`\n]*$", re.MULTILINE)


def program_of(answer: str) -> str | None:
    """The last fenced Python block of an answer.

    1. Thoughts do not count: only what follows the last `</think>`; an answer whose thoughts do
       not end has no program.
    2. A block begins at a line of three or more backticks or tildes, alone or with a language,
       and ends at the next line of at least as many of the same sign and nothing else. The last
       block may lack its end.
    3. Of the blocks, the last one marked python, python3, py or py3 (in any case); if there is
       none, the last one without a language. Other languages are never run.
    4. Indentation of the opening line is taken off every line.

    Args:
        answer: text of the model's message.

    Returns:
        The program; None if there is none or it is empty.
    """
    _, ended, after = answer.rpartition(_THOUGHT_END)
    if _THOUGHT_START in after:
        return None
    blocks = _blocks(after if ended else answer)
    marked = [code for language, code in blocks if language.lower() in LANGUAGES]
    plain = [code for language, code in blocks if not language]
    chosen = marked or plain
    return chosen[-1] if chosen and chosen[-1].strip() else None


def _blocks(text: str) -> list[tuple[str, str]]:
    """Language and content of each block."""
    blocks: list[tuple[str, str]] = []
    place = 0
    while opening := _FENCE.search(text, place):
        indent, sign, language = opening.groups()
        start = opening.end() + 1
        closing = re.compile(
            rf"^[ \t]*{re.escape(sign[0])}{{{len(sign)},}}[ \t]*\r?$", re.MULTILINE
        ).search(text, start)
        content = text[start : closing.start() if closing else len(text)]
        blocks.append((language, _dedent(content, indent)))
        if closing is None:
            break
        place = closing.end()
    return blocks


def _dedent(content: str, indent: str) -> str:
    if not indent:
        return content
    return re.sub(rf"^[ \t]{{0,{len(indent)}}}", "", content, flags=re.MULTILINE)
