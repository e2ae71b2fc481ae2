"""Keys, numbers and texts that every file can hold; imports no YAML."""

from collections.abc import Mapping
from typing import Any

from scgrpo.mistakes import ConfigError


def plain_keys(content: Mapping[str, Any]) -> dict[str, Any]:
    """The same by names with `_`, for which `-` may be written.

    Raises:
        ConfigError: for a name that is there both ways.
    """
    plain: dict[str, Any] = {}
    for name, value in content.items():
        key = str(name).replace("-", "_")
        if key in plain:
            raise ConfigError(f"{key} is written twice, with '-' and with '_'; leave one out.")
        plain[key] = value
    return plain


def fits_64_bits(number: int) -> bool:
    """Whether what computes can hold a whole number."""
    return -(2**63) <= number < 2**63


def can_be_written(text: str) -> bool:
    """Whether files and their names can hold a text: it has no NUL, and UTF-8 has all of it."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False
