"""What was asked for and cannot be, said with the nearest thing that can."""

import difflib
from collections.abc import Iterable
from dataclasses import fields
from typing import Any


class ConfigError(ValueError):
    """A key or a value that a user wrote and that cannot be."""


def shown(value: Any, most: int = 120) -> str:
    """A value for a message: on one line, of bounded length, and whatever its `repr` does."""
    try:
        text = repr(value)
    except Exception as error:  # a user's class may raise anything
        text = f"<{type(value).__name__}, whose repr raises {type(error).__name__}>"
    return on_one_line(text, most)


def on_one_line(message: object, most: int = 400) -> str:
    """What an exception or a text says, on one line without a full stop, and of bounded length."""
    try:
        text = str(message).encode(errors="backslashreplace").decode()
    except Exception:  # a user's exception may raise anything
        text = ""
    text = text if text.isprintable() else " ".join(text.split())
    text = text.rstrip(".") or type(message).__name__
    return text if len(text) <= most else f"{text[:most]} ..."


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like this one, that it abbreviates or is part of; or None."""
    known = list(known)
    name = name.replace("-", "_") if name.replace("-", "_") in known else name
    initials = abbreviated(name, known)
    alike = difflib.get_close_matches(name, known, n=1)
    holding = sorted((k for k in known if len(name) > 3 and f"_{name}_" in f"_{k}_"), key=len)
    return next(iter([*initials, *alike, *holding]), None)


def abbreviated(name: str, known: Iterable[str]) -> list[str]:
    """The known names of which this one has the initials, or for which it is usual."""
    known = list(known)
    usual = {"batch_size": "per_device_train_batch_size", "epochs": "num_train_epochs"}
    initials = [k for k in known if "_" in k and name == "".join(w[:1] for w in k.split("_"))]
    return initials + ([usual[name]] if usual.get(name) in known else [])


def require_known(kind: str, name: str, known: Iterable[str]) -> None:
    """Refuse a name that is none of the known ones.

    Raises:
        ConfigError: with the nearest known name and all of them.
    """
    known = list(known)
    if name not in known:
        near = nearest(name, known)
        meant = f"did you mean {near!r}? The" if near else "the"
        raise ConfigError(f"unknown {kind} {shown(name)}; {meant} {kind}s are {', '.join(known)}.")


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
