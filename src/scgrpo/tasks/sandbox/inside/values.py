"""Plain values as JSON trees: what may pass between a program's interpreter and any other.

Numbers, strings, None and lists stand for themselves; the other types carry a tag. Whatever is no
plain value is left behind, and a reference to it passes instead. Reading a tree builds plain types
only, so it runs no code of the program. This file is used on both sides of the sandbox, so it
imports nothing but the standard library.
"""

from collections.abc import Callable
from typing import Any

Tree = Any
_TAGGED: dict[str, Callable[[list[Any]], Any]] = {
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
}


def to_tree(value: Any, keep: Callable[[Any], int]) -> Tree:
    """The tree of a value.

    Args:
        value: anything.
        keep: stores an object that is no plain value and returns its number.

    Raises:
        RecursionError: for a value that is nested too deeply.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list):
        return [to_tree(item, keep) for item in value]
    if isinstance(value, dict):
        return {"dict": [[to_tree(k, keep), to_tree(v, keep)] for k, v in value.items()]}
    for tag, kind in _TAGGED.items():
        if isinstance(value, kind):  # type: ignore[arg-type]
            return {tag: [to_tree(item, keep) for item in value]}
    if isinstance(value, bytes | bytearray):
        return {"bytes": value.hex()}
    if isinstance(value, complex):
        return {"complex": [value.real, value.imag]}
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        return to_tree(value.tolist(), keep)
    return {"ref": keep(value)}


def from_tree(tree: Tree, resolve: Callable[[int], Any]) -> Any:
    """The value of a tree.

    Args:
        tree: what `to_tree` returned, or what somebody forged.
        resolve: the object that a reference's number stands for.

    Raises:
        ValueError: for a tree of another form.
        TypeError: for a set or dict of unhashable values.
    """
    if tree is None or isinstance(tree, bool | int | float | str):
        return tree
    if isinstance(tree, list):
        return [from_tree(item, resolve) for item in tree]
    if not isinstance(tree, dict) or len(tree) != 1:
        raise ValueError("a value that is neither plain nor tagged")
    ((tag, content),) = tree.items()
    if tag == "ref" and isinstance(content, int):
        return resolve(content)
    if tag == "bytes" and isinstance(content, str):
        return bytes.fromhex(content)
    if tag in ("dict", "complex", *_TAGGED) and isinstance(content, list):
        items = [from_tree(item, resolve) for item in content]
        if tag == "dict":
            return dict(items)
        return complex(*items) if tag == "complex" else _TAGGED[tag](items)
    raise ValueError(f"a value with the tag {tag!r}")
