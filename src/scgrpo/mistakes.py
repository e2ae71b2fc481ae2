"""What was asked for and cannot be, said with the nearest thing that can."""

import difflib
from collections.abc import Iterable
from dataclasses import fields
from typing import Any


class ConfigError(ValueError):
    """A key or a value that a user wrote and that cannot be."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like this one, None where none is."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1)), None)


def require_known(kind: str, name: str, known: Iterable[str]) -> None:
    """Refuse a name that is none of the known ones.

    Raises:
        ConfigError: with the nearest known name and all of them.
    """
    known = list(known)
    if name not in known:
        near = nearest(name, known)
        meant = f"did you mean {near!r}? The" if near else "the"
        raise ConfigError(f"unknown {kind} {name!r}; {meant} {kind}s are {', '.join(known)}.")


def require_ranges(request: Any) -> None:
    """Refuse numbers of a dataclass that are out of the range in their field's metadata.

    Raises:
        ConfigError: naming the first, its value, and its `least` or `most`.
    """
    for spec in fields(request):
        value = getattr(request, spec.name)
        least, most = spec.metadata.get("least"), spec.metadata.get("most")
        if value is not None and least is not None and value < least:
            raise ConfigError(f"{spec.name} is {value}; it must be at least {least}.")
        if value is not None and most is not None and value > most:
            raise ConfigError(f"{spec.name} is {value}; it must be at most {most}.")
