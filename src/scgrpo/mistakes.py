"""What was asked for and cannot be, said with the nearest thing that can."""

import difflib
from collections.abc import Iterable


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
