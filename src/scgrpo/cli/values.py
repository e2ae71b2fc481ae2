"""Values as people write them in YAML or on a command line, made to fit a type."""

from collections.abc import Callable
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import yaml


class Misfit(Exception):
    """The value does not fit; the message says what would."""


def coerce(value: Any, hint: Any) -> Any:
    """The value as the type of `hint`.

    Text that reads as the type is taken (`1e-6` is text in YAML 1.1), nothing is rounded or cut.
    Types that are none of the plain ones are not checked.

    Args:
        value: from YAML, or text from the command line (a list of it for several values).
        hint: annotation of the field.

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
        fits, result = _fit(value, member)
        if fits:
            return result
    raise Misfit(" or ".join(dict.fromkeys(_in_words(m) for m in members)))


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
        return value in {choice.value for choice in kind}, value
    return True, value


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
            return True, kind(value)
        except ValueError:
            return False, None

    return fit


def _fit_dict(value: Any) -> tuple[bool, Any]:
    if isinstance(value, str) and value.startswith("{"):
        value = _read(value)
    return isinstance(value, dict), value


def _read(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return None


def _in_words(member: Any) -> str:
    kind = get_origin(member) or member
    if kind is Literal:
        return " or ".join(repr(choice) for choice in get_args(member))
    if _is_enum(kind):
        return f"one of {', '.join(str(choice.value) for choice in kind)}"
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
