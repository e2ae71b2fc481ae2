"""The final answer of a completion, as text: which one counts, and whether it is finished."""

import re

LONGEST = 1000
"""Characters of an answer, above which it is none."""

_BOX = re.compile(r"\\(?:boxed|fbox|framebox)(?![A-Za-z])\s*")
_HASHES = re.compile(r"^[ \t]*####(.*)$", re.MULTILINE)
_BARE = re.compile(r"[^\s$]+")


def final_answer(completion: str, *, hashes: bool = False) -> str | None:
    r"""What a completion commits itself to: the content of its last `\boxed{...}`.

    Only what follows the last `</think>` is read, and nothing where a `<think>` stays open.

    Args:
        completion: text of the completion.
        hashes: whether, where nothing is boxed, the last line `#### ...` counts.

    Returns:
        None where there is no answer: nothing boxed, or the last box is empty, cut off or longer
        than `LONGEST`.
    """
    text = completion.rpartition("</think>")[2]
    if "<think>" in text:
        return None
    boxes = list(_BOX.finditer(text))
    if boxes:
        return _boxed_at(text, boxes[-1].end())
    lines = _HASHES.findall(text) if hashes else []
    last = lines[-1].strip() if lines else ""
    return last if 0 < len(last) <= LONGEST else None


def _boxed_at(text: str, start: int) -> str | None:
    if not text.startswith("{", start):
        bare = _BARE.match(text, start)  # TeX allows \boxed 5
        return bare[0] if bare and len(bare[0]) <= LONGEST else None
    depth, place = 0, start
    while place < min(len(text), start + LONGEST + 2):
        character = text[place]
        if character == "\\":
            place += 1
        elif character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
            if depth == 0:
                return text[start + 1 : place].strip() or None
        place += 1
    return None


_NOISE = re.compile(
    r"^(?:\\displaystyle|\\[,;:! ]|\\\(|\\\[|[€£¥₹\s])+|(?:\\q?quad|\\[,;:! ]|\\\)|\\\]|[.,;:\s])+$"
)
_SIZING = re.compile(r"\\(?:left|right|displaystyle|bigl?|bigr)(?![A-Za-z])")
_WRAPPED = re.compile(
    r"\\(?:text|textbf|textrm|textit|mathbf|mathrm|mathit|boldsymbol|mbox)"
    r"\{([-+(]?[\d€£¥₹.][^{}]*)\}"
)
_ALTERNATIVES = re.compile(
    r"\\(?:text|mbox)\{\s*(?:or|and)\s*\}|(?<![A-Za-z])(?:or|and)(?![A-Za-z])"
)
_UNIT = re.compile(
    r"(?<=[\w})])(?:\s|~|\\[,;:! ])*\\(?:text|textbf|textrm|mathrm|mbox)"
    r"\{(?![^{}]*percent)[^{}\d]*\}(?:\s*\^\s*\{?\d\}?)?"
)
_THOUSANDS = re.compile(
    r"(?<![\d.,])\d{1,3}(?:(?:\{,\}|\\[,;:! ]|~|\s)\d{3})+(?!\s*[\d/])(?![.,]\d*[\s~]*\d{3}\b)"
)
_SEPARATOR = re.compile(r"\{,\}|\\[,;:! ]|~|\s")


def tidy(answer: str) -> str:
    """An answer without noise: dollar signs, spacing, closing points, units, spaces in numbers.

    Units are cut off here and not by math-verify, which drops all from the first unit to the last:
    `5 cm, 6 cm` would be 5 to it. `or` and `and` become commas.
    """
    text = re.sub(r"\\?\$", "", answer.replace("°", r"^\circ ")).strip()
    text = re.sub(r"\.{3,}|…", r"\\ldots ", text)  # a closing point is noise, an ellipsis is not
    text = _SIZING.sub("", re.sub(r"\s+", " ", text).replace(r"\varnothing", r"\emptyset"))
    before = None
    while before != text:
        before = text
        text = _NOISE.sub("", text).rstrip("\\ ")
        wrapped = _WRAPPED.fullmatch(text)
        text = wrapped[1] if wrapped else text
    text = _UNIT.sub(" ", _ALTERNATIVES.sub(" , ", text)).strip()
    text = re.sub(r"(?<![\d.])0,(?=\d)", "0, ", text)  # to math-verify 0,125 is 0.125
    return _THOUSANDS.sub(lambda number: _SEPARATOR.sub("", number[0]), text)


_DECORATION = re.compile(r"\^\s*\{?\s*\\circ\s*\}?|\\?%|\\text\{[^{}\d]*\}")
_POWER_OF_TEN = re.compile(
    r"(?<=\d)\s*(?:\\times|\\cdot|\u00d7)\s*10\s*\^\s*(?:\d|\{[-+]?\d+\})\s*$"
)
_WHOLE = r"(?:[1-9]\d{0,2}(?:,\d{3})+|\d+)"
NUMBER = rf"(?:{_WHOLE}(?:\.\d+)?|\.\d+)"
"""Regular expression; commas separate thousands only: `1,234` is one number, `1,2` is a list."""
_FRACTION = (
    r"(?:\d+\s*)?(?:\\[dtc]?frac\s*(?:\{-?\d+\}|\d)\s*(?:\{-?\d+\}|\d)|\d+\s*/\s*\d+|\d+\s*:\s*\d+)"
)
_KINDS = {
    "whole": re.compile(r"[-+\u2212]?" + _WHOLE),
    "decimal": re.compile(r"[-+\u2212]?" + NUMBER),
    "fraction": re.compile(r"[-+\u2212]?" + _FRACTION),
}
_VALUE = re.compile(f"{_FRACTION}|{NUMBER}")
_SIDE_BY_SIDE = re.compile(r"\d\}?(?:\s|~|\\[,;:! ]|\\q?quad)+\.?\d(?!\d*\s*/)")
_BASE = re.compile(r"(?<=\d)_\s*(?:\{\s*(\d+)\s*\}|(\d))")
_COMPUTATION = re.compile(
    r"(?<=[\d)}\]])\s*(?:[-+\u2212*\u00d7\u00f7^]|\\(?:cdot|times|div|pm|mp|ast)(?![A-Za-z]))"
    r"|\\sqrt|\||[-+\u2212][\s({\[]*[-+\u2212]"
)
_DIVISION = re.compile(r"\\[dtc]?frac|/|(?<=\d)\s*:\s*(?=\d)|\\over(?![a-z])")
_OPERATIONS = {
    "series": r"\\(?:sum|prod|i*int|oint|lim|limsup|liminf)(?![A-Za-z])",
    "counting": r"\\[dt]?binom|\\choose|(?<!\\)!",
    "trigonometry": r"\\(?:arc)?(?:sin|cos|tan|cot|sec|csc)h?(?![A-Za-z])",
    "logarithm": r"\\(?:log|ln|lg|exp)(?![A-Za-z])",
    "rounding": r"\\[lr]?(?:floor|ceil)|[⌊⌈]",
    "ellipsis": r"\\[lcdv]?dots(?![A-Za-z])",
    "function": r"\\(?:gcd|lcm|max|min|sup|inf|det|[bp]?mod|deg|arg|operatorname\*?)(?![A-Za-z])",
}
_OPERATION = {name: re.compile(pattern) for name, pattern in _OPERATIONS.items()}


def result(answer: str, gold: str) -> str | None:
    r"""What is to be compared with the gold answer, or None where something is left to compute.

    A symbolic verifier evaluates what it is given, so the problem's own expression, boxed, would
    be right. Where the gold answer is a number, an answer is one number (or a chain that ends in
    one, as `x=2+3=5`), a fraction only where the gold is no whole number; in general it uses no
    sums, binomials, factorials, trigonometric or other functions unless the gold does. Numbers
    side by side (`1 2 204`) are no answer, nor is one in another base than the gold's.

    Args:
        answer: the answer, tidied.
        gold: the gold answer, tidied.
    """
    if _SIDE_BY_SIDE.search(answer) and not _SIDE_BY_SIDE.search(gold):
        return None
    if not (_operations(answer) <= _operations(gold) and _bases(answer) <= _bases(gold)):
        return None
    kind = _number_kind(gold)
    if kind is None:
        return answer
    value = answer.rpartition("=")[2].strip()
    bare = _POWER_OF_TEN.sub("", _DECORATION.sub("", value))
    alone = not any(character.isdigit() for character in _VALUE.sub("", bare, count=1))
    computes = _COMPUTATION.search(bare) or (kind == "whole" and _DIVISION.search(bare))
    return value if alone and not computes else None


def _operations(text: str) -> set[str]:
    return {name for name, pattern in _OPERATION.items() if pattern.search(text)}


def _bases(text: str) -> set[str]:
    return {"".join(found) for found in _BASE.findall(text)}


def _number_kind(gold: str) -> str | None:
    bare = _DECORATION.sub("", gold).strip()
    return next((kind for kind, pattern in _KINDS.items() if pattern.fullmatch(bare)), None)
