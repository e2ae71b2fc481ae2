"""Programs that look right and are not, made from right ones, for validation."""

import ast

_CHANGED = """
def _changed(function):
    def wrong(*arguments, **keywords):
        value = function(*arguments, **keywords)
        if isinstance(value, bool):
            return not value
        if isinstance(value, (int, float, complex)):
            return value + 1
        if isinstance(value, str):
            return value + "x"
        if isinstance(value, (list, tuple)):
            return type(value)([*value, 0])
        if isinstance(value, (set, frozenset)):
            return value | {{"x"}}
        if isinstance(value, dict):
            return value | {{"x": 0}}
        return 0
    return wrong
{name} = _changed({name})
"""
LEAVES = "import os\nos._exit(0)\n"


def damaged_functions(source: str, name: str, owner: str = "") -> tuple[str, ...]:
    """A function without a body, one whose value is a little off, and a program that leaves.

    Args:
        source: a program.
        name: of its function.
        owner: class of which the function is a method, if it is one.
    """
    changed = source + _CHANGED.format(name=f"{owner}.{name}" if owner else name)
    return _without_body(source, name), changed, LEAVES


def damaged_scripts(source: str) -> tuple[str, ...]:
    """A script that says nothing, one that says too much, one that fails late, one that leaves."""
    return "pass\n", source + "\nprint(0)\n", source + "\nraise ValueError\n", LEAVES


def _without_body(source: str, name: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            node.body = [ast.Pass()]
    return ast.unparse(tree)
