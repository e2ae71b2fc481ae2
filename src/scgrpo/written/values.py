"""Values as people write them in YAML or on a command line, made to fit a type."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from scgrpo.mistakes import ConfigError
from scgrpo.written.plain import fits_64_bits


class Misfit(Exception):
    """The value does not fit; the message says what would."""


def coerce(value: Any, hint: Any, *, as_written: bool = False) -> Any:
    """The value as the type of `hint`.

    Text that reads as the type is taken, nothing is rounded or cut. Types that are none of the
    plain ones are not checked.

    Args:
        value: from YAML, or text from the command line (a list of it for several values).
        hint: annotation of the field.
        as_written: for values that are never text from a command line: text stands for nothing but
            a real number (`1e-6` is text in YAML 1.1), entries of mappings and dataclasses are
            checked too, and whole numbers stay whole.

    Raises:
        Misfit: saying what the value must be.

    Example:
        >>> coerce("1e-6", float), coerce("null", int | None), coerce(3, float)
        (1e-06, None, 3.0)
    """
    members = _members(hint)
    tried = members
    if isinstance(value, str) and str in members and not value.startswith("["):
        tried = [member for member in members if get_origin(member) is not list]
    for member in sorted(tried, key=lambda m: not _is_exactly(value, m)):
        fits, result = _fit_written(value, member) if as_written else _fit(value, member)
        if fits:
            return result
    raise Misfit(in_words(hint) + " of at most 64 bits" * (int in members and _is_large(value)))


def in_words(hint: Any) -> str:
    """What a value of this type is, such as "a whole number or a list"."""
    return " or ".join(dict.fromkeys(_in_words(member) for member in _members(hint)))


def _members(hint: Any) -> list[Any]:
    """Alternatives of a union, in the order in which text is tried."""
    alternatives = list(get_args(hint)) if get_origin(hint) in (Union, UnionType) else [hint]
    if any(_is_enum(member) for member in alternatives):
        # transformers writes `Kind | str` for a text that must be one of Kind.
        alternatives = [member for member in alternatives if member is not str]
    return sorted(alternatives, key=lambda m: _ORDER.get(get_origin(m) or m, 0))


def _is_exactly(value: Any, member: Any) -> bool:
    # Text comes last: on a command line everything is text.
    return not isinstance(value, str) and type(value) is (get_origin(member) or member)


def _is_large(value: Any) -> bool:
    if isinstance(value, str):
        return re.fullmatch(r"[-+]?\d{19,}", value) is not None
    return type(value) is int and not fits_64_bits(value)


def _is_enum(member: Any) -> bool:
    return isinstance(member, type) and issubclass(member, Enum)


def _fit(value: Any, member: Any) -> tuple[bool, Any]:
    kind = get_origin(member) or member
    if kind in _FITS:
        return _FITS[kind](value)
    if kind is list:
        return _fit_list(value, (*get_args(member), Any)[0])
    if kind is Literal:
        return value in get_args(member), value
    if _is_enum(kind):
        return value in [choice.value for choice in kind], value
    return True, value


def _fit_written(value: Any, member: Any) -> tuple[bool, Any]:
    kind, inner = get_origin(member) or member, get_args(member)
    if kind in (NoneType, bool, int, list, dict) and isinstance(value, str):
        return False, None
    if kind is float and type(value) is int:
        return fits_64_bits(value), value
    if kind in (list, tuple, dict, Mapping) and inner:
        return _fit_entries(value, kind, inner)
    if isinstance(kind, type) and kind not in _FITS and not _is_enum(kind):
        return isinstance(value, kind), value
    return _fit(value, member)


def _fit_entries(value: Any, kind: Any, inner: tuple[Any, ...]) -> tuple[bool, Any]:
    if not isinstance(value, (list, tuple) if kind is tuple else kind):
        return False, None
    try:
        if kind in (list, tuple):
            return True, kind(coerce(entry, inner[0], as_written=True) for entry in value)
        return True, {
            coerce(key, inner[0], as_written=True): coerce(entry, inner[1], as_written=True)
            for key, entry in value.items()
        }
    except Misfit:
        return False, None


def _fit_list(value: Any, item: Any) -> tuple[bool, Any]:
    if isinstance(value, str):
        value = _read(value) if value.startswith("[") else [value]
    if not isinstance(value, list):
        return False, None
    try:
        return True, [coerce(entry, item) for entry in value]
    except Misfit:
        return False, None


def _fit_none(value: Any) -> tuple[bool, Any]:
    return value is None or value == "null", None


def _fit_bool(value: Any) -> tuple[bool, Any]:
    if isinstance(value, bool):
        return True, value
    word = value.lower() if isinstance(value, str) else None
    return word in ("true", "false", "yes", "no", "on", "off"), word in ("true", "yes", "on")


def _fit_number(kind: type) -> Callable[[Any], tuple[bool, Any]]:
    def fit(value: Any) -> tuple[bool, Any]:
        wider = kind is float and isinstance(value, int)
        if isinstance(value, bool) or not (isinstance(value, kind | str) or wider):
            return False, None
        try:
            number = kind(value)
        except (ValueError, OverflowError):
            return False, None
        return fits_64_bits(number) if kind is int else not math.isnan(number), number

    return fit


def _fit_dict(value: Any) -> tuple[bool, Any]:
    if isinstance(value, str) and value.startswith("{"):
        value = _read(value)
    return isinstance(value, dict), value


def _read(text: str) -> Any:
    from scgrpo.written.yaml_text import read_yaml

    try:
        return read_yaml(text, "the value")
    except ConfigError:
        return None


def _in_words(member: Any) -> str:
    kind = _KINDS.get(get_origin(member), get_origin(member)) or member
    if kind is Literal:
        return " or ".join(repr(choice) for choice in get_args(member))
    if _is_enum(kind):
        return f"one of {', '.join(str(choice.value) for choice in kind)}"
    inner = get_args(member)
    if kind is list and inner and inner[0] in _PLURALS:
        return f"a list of {_PLURALS[inner[0]]}"
    if kind is dict and inner and inner[1] is not Any:
        return f"a mapping, each value {in_words(inner[1])}"
    if is_dataclass(kind):
        return "a mapping of keys"
    return _WORDS.get(kind, f"a {getattr(kind, '__name__', kind)}")


_FITS: dict[Any, Callable[[Any], tuple[bool, Any]]] = {
    NoneType: _fit_none,
    bool: _fit_bool,
    int: _fit_number(int),
    float: _fit_number(float),
    str: lambda value: (isinstance(value, str), value),
    dict: _fit_dict,
    Any: lambda value: (True, value),
}
_ORDER: dict[Any, int] = {
    kind: place for place, kind in enumerate((dict, NoneType, bool, int, float, list, str))
}
_WORDS = {
    NoneType: "null",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "a mapping",
}
_KINDS = {tuple: list, Mapping: dict}
"""What YAML has for a type."""
_PLURALS = {int: "whole numbers", float: "numbers", str: "texts"}
