"""Word lists of the shop, which ship with the package."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import yaml


@cache
def read_yaml(name: str) -> dict[str, Any]:
    """The content of one of the shop's YAML files."""
    text = (files("scgrpo.tasks.shop") / name).read_text(encoding="utf-8")
    content: dict[str, Any] = yaml.safe_load(text)
    return content


@cache
def words() -> Mapping[str, Any]:
    """`colors` in their order, and the sets `stop_words` and `function_words`."""
    lists = read_yaml("words.yaml")
    return {
        "colors": tuple(lists["colors"]),
        "stop_words": frozenset(lists["stop_words"]),
        "function_words": frozenset(lists["function_words"]),
    }
