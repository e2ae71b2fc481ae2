"""The house: imports only go down, files and functions stay small."""

import ast
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "scgrpo"
FILES = sorted(SOURCE.rglob("*.py"))
FLOORS = {
    "method": 0,
    "importing": 1,
    "files": 1,
    "jobs": 1,
    "mistakes": 1,
    "shipped": 1,
    "config": 1,
    "presets": 1,
    "tasks": 1,
    "rollouts": 1,
    "teachers": 1,
    "credit": 2,
    "trainer": 2,
    "runs": 2,
    "embedded": 2,
    "evaluation": 2,
    "comparison": 3,
    "reports": 3,
    "cli": 4,
}
FORBIDDEN = {
    "tasks": {"torch", "trl"},
    "reports": {"torch", "trl", "transformers"},
}
METHOD_MAY_IMPORT = {"torch", "jaxtyping", "scgrpo", *sys.stdlib_module_names}


def part_of(path):
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(path):
    """Full names of everything that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield f"{node.module}.{node.names[0].name}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_only_go_down(path):
    part = part_of(path)
    if part in ("__init__", "assets"):
        return
    for name in imports(path):
        top, _, rest = name.partition(".")
        if part == "method":
            assert top in METHOD_MAY_IMPORT, f"method imports {name}"
        assert top not in FORBIDDEN.get(part, set()), f"{part} imports {name}"
        target = rest.partition(".")[0]
        if top == "scgrpo" and target in FLOORS:
            assert FLOORS[target] <= FLOORS[part], f"{part} imports {name}"


def test_method_imports_nothing_but_itself():
    for path in (SOURCE / "method").glob("*.py"):
        ours = [name for name in imports(path) if name.startswith("scgrpo")]
        assert all(name.startswith("scgrpo.method") for name in ours), path


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_files_and_functions_are_small(path):
    text = path.read_text()
    assert text.count("\n") <= 350
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = (ast.get_docstring(node, clean=False) or "").count("\n")
            length = (node.end_lineno or 0) - node.lineno + 1 - docstring
            assert length <= 60, f"{node.name} has {length} lines of code"


def test_method_is_read_in_one_sitting():
    assert sum(p.read_text().count("\n") for p in (SOURCE / "method").glob("*.py")) < 900
