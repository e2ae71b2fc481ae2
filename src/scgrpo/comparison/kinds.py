"""Whether the values of a comparison's YAML are of the kinds that its keys have."""

from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints


def fitted(kind: type, values: Mapping[str, Any], place: str) -> dict[str, Any]:
    """The values of a dataclass, each of its field's kind.

    Text that reads as a number is taken where a real number is wanted (`1e-6` is text in YAML 1.1).

    Args:
        kind: the dataclass.
        values: by field.
        place: where they stand, for messages.

    Raises:
        ValueError: naming the key, its place and what it must be.
    """
    hints = get_type_hints(kind)
    found = {}
    for key, value in values.items():
        try:
            found[key] = _fit(value, hints[key])
        except TypeError:
            raise ValueError(
                f"{key} of {place} is {_said(value)}; it must be {_words(hints[key])}."
            ) from None
    return found


def _fit(value: Any, hint: Any) -> Any:
    """The value as the hint has it; TypeError where it is none."""
    kind, inner = get_origin(hint) or hint, get_args(hint)
    if kind is Any:
        return value
    if kind in (Union, UnionType):
        for member in inner:
            try:
                return _fit(value, member)
            except TypeError:
                continue
        raise TypeError
    if kind is float:
        return _real(value)
    if kind is list and isinstance(value, list):
        return [_fit(entry, inner[0]) for entry in value]
    if kind is dict and isinstance(value, dict):
        return {_fit(key, inner[0]): _fit(entry, inner[1]) for key, entry in value.items()}
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise TypeError
    return value


def _real(value: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if not isinstance(value, str):
        raise TypeError
    try:
        return float(value)
    except ValueError:
        raise TypeError from None


def _words(hint: Any) -> str:
    kind, inner = get_origin(hint) or hint, get_args(hint)
    if kind in (Union, UnionType):
        return " or ".join(_words(member) for member in inner)
    if kind is dict:
        of = "" if inner[1] is Any else f", each value {_words(inner[1])}"
        return f"a mapping{of} ({{}} for none)"
    if kind is list:
        return f"a list, each entry {_words(inner[0])}"
    return _WORDS.get(kind, "a mapping of keys")


def _said(value: Any) -> str:
    return "null" if value is None else repr(value)


_WORDS = {int: "a whole number", float: "a number", str: "a text", NoneType: "null"}
