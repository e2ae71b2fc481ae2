"""The house: arrows go down only, no circle is left, files and functions stay small."""

import ast
import sys
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "scgrpo"
FILES = sorted(SOURCE.rglob("*.py"))
FLOORS = {
    part: floor
    for floor, parts in enumerate(
        [
            ("method",),
            ("mistakes", "rivals"),
            ("extras", "files", "importing", "jobs", "limits", "locks"),
            ("written",),
            ("config", "presets", "run_folder", "world"),
            ("tasks",),
            ("embedded",),
            ("rollouts",),
            ("teachers",),
            ("credit",),
            ("evaluation",),
            ("trainer",),
            ("runs",),
            ("comparison", "probe"),
            ("reports",),
            ("cli",),
        ]
    )
    for part in parts
}
"""Each part imports itself and what lies below; neighbours do not know each other."""
FORBIDDEN = {
    "files": {"torch", "trl", "transformers"},
    "mistakes": {"torch", "trl", "transformers"},
    "written": {"torch", "trl", "transformers"},
    "config": {"trl", "transformers"},
    "limits": {"trl", "transformers"},
    "run_folder": {"torch", "trl", "transformers"},
    "tasks": {"torch", "trl"},
    "embedded": {"trl"},
    "teachers": {"trl", "accelerate"},
    "rollouts": {"trl", "accelerate", "transformers"},
    "credit": {"accelerate"},
    "evaluation": {"trl"},
    "comparison": {"trl"},
    "probe": {"trl"},
    "reports": {"torch", "trl", "transformers"},
}
METHOD_MAY_IMPORT = {"torch", "jaxtyping", "scgrpo", *sys.stdlib_module_names}


def module_of(path):
    parts = ("scgrpo", *path.relative_to(SOURCE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def part_of(module):
    return module.split(".")[1] if "." in module else "scgrpo"


MODULES = {module_of(path): path for path in FILES}


def imports(path):
    """Full names of everything that a file imports, also inside functions and for types."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def modules_of(names):
    """The modules of ours that these names stand in."""
    for name in names:
        parent = name.rpartition(".")[0]
        if name in MODULES or parent in MODULES:
            yield name if name in MODULES else parent


def named(path):
    return str(path.relative_to(SOURCE))


@pytest.mark.parametrize("path", FILES, ids=named)
def test_imports_only_go_down(path):
    part = part_of(module_of(path))
    if part == "scgrpo":  # the package's own front door
        return
    for name in imports(path):
        top = name.partition(".")[0]
        pure = part in ("method", "rivals")
        assert not pure or top in METHOD_MAY_IMPORT, f"{part} imports {name}"
        assert top not in FORBIDDEN.get(part, set()), f"{part} imports {name}"
    for name in modules_of(imports(path)):
        other = part_of(name)
        below = other == "scgrpo" or FLOORS[other] < FLOORS[part]
        assert below or other == part, f"{part} imports {name}"


def test_no_circle_is_left():
    graph = defaultdict(set)
    for name, path in MODULES.items():
        # A package's own __init__ re-exports what is in it.
        graph[name] = {other for other in modules_of(imports(path)) if other != name}
        if path.name == "__init__.py":
            graph[name] = set()
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_every_part_has_its_floor():
    assert {part_of(name) for name in MODULES} - {"scgrpo"} <= set(FLOORS)


def test_nothing_takes_a_whole_trainer():
    """A part says what it needs; only what subclasses TRL's trainer is one."""
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.arg) and node.arg == "trainer":
                kind = ast.unparse(node.annotation) if node.annotation else "Any"
                assert kind not in ("Any", "object"), f"{named(path)} takes a trainer"


@pytest.mark.parametrize("path", FILES, ids=named)
def test_files_and_functions_are_small(path):
    text = path.read_text()
    assert text.count("\n") <= 350
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = (ast.get_docstring(node, clean=False) or "").count("\n")
            length = (node.end_lineno or 0) - node.lineno + 1 - docstring
            assert length <= 60, f"{node.name} has {length} lines of code"


def test_the_trainer_hands_over():
    assert (SOURCE / "trainer" / "trainer.py").read_text().count("\n") < 250


def test_method_is_read_in_one_sitting():
    assert sum(p.read_text().count("\n") for p in (SOURCE / "method").glob("*.py")) < 1250
