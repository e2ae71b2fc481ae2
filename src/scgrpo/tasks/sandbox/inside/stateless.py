"""Whether a script can leave nothing behind in its interpreter, told from its text alone.

Such a script may run test after test in one process: its names are gone with its namespace, and it
reaches nothing that outlives it. Told is only what is certain; "no" costs time and nothing else.

What it may use: most built-in functions, and some names of some modules. Nearly all of them are
made in C and cannot be changed; the few that can, functions and classes written in Python, are
watched while it runs. Attributes with an underscore, frames, `type`, `getattr`, `open` and their
like are ways to everything else, and so no script that has them is told to be stateless.
"""

import ast
import builtins
import importlib
import types
from collections.abc import Iterator
from typing import Any

UNSAFE_BUILTINS = {
    *("exec", "eval", "compile", "open", "getattr", "setattr", "delattr", "vars", "globals"),
    *("locals", "breakpoint", "help", "type", "copyright", "credits", "license"),
}
_SOME = {
    "__future__": "annotations",
    "heapq": "heappush heappop heapify heapreplace heappushpop nlargest nsmallest merge",
    "collections": "deque defaultdict OrderedDict Counter namedtuple",
    "functools": "reduce cmp_to_key lru_cache cache partial",
    "operator": "itemgetter add sub mul mod floordiv truediv xor and_ or_ neg lt le gt ge eq ne",
    "string": "ascii_letters ascii_lowercase ascii_uppercase digits punctuation whitespace",
    "random": "randint choice shuffle random randrange seed sample uniform",
    "sys": "stdin stdout stderr setrecursionlimit getrecursionlimit exit maxsize "
    "set_int_max_str_digits",
    "re": "compile match fullmatch search sub subn split findall finditer escape",
    "json": "loads dumps",
    "copy": "copy deepcopy",
    "datetime": "date datetime timedelta",
    "decimal": "Decimal ROUND_HALF_UP ROUND_HALF_EVEN ROUND_DOWN ROUND_UP ROUND_FLOOR",
    "io": "StringIO BytesIO",
    "typing": "List Dict Tuple Set FrozenSet Optional Union Any Deque DefaultDict Counter "
    "OrderedDict",
    "time": "time perf_counter monotonic",
    "array": "array",
}
_WHOLE = ("math", "itertools", "bisect")
SAFE = {module: frozenset(names.split()) for module, names in _SOME.items()} | {
    module: frozenset(n for n in vars(importlib.import_module(module)) if not n.startswith("_"))
    for module in _WHOLE
}
"""Module -> its names that a script may use."""
_FRAMES = {
    *("gi_frame", "gi_code", "gi_yieldfrom", "cr_frame", "cr_code", "cr_await", "cr_origin"),
    *("ag_frame", "ag_code", "ag_await", "tb_frame", "tb_next", "f_back", "f_builtins"),
    *("f_code", "f_globals", "f_locals", "f_trace"),
}
_TO_IMPORT = ("__import__", "__build_class__")
_CATCH_NAME_ERRORS = frozenset(("Exception", "BaseException", "NameError"))
_CONSTANTS = (int, float, str, bool, type(None))
_IMMUTABLE, _ON_HEAP = 1 << 8, 1 << 9


def safe_builtins() -> dict[str, Any]:
    """What such a script has as built-in functions."""
    every = vars(builtins)
    return {
        name: value
        for name, value in every.items()
        if name in _TO_IMPORT or not (name.startswith("_") or name in UNSAFE_BUILTINS)
    }


def _safe_objects() -> Iterator[Any]:
    yield from (value for name, value in safe_builtins().items() if name not in _TO_IMPORT)
    for module, names in SAFE.items():
        home = importlib.import_module(module)
        yield from (getattr(home, name) for name in names)


def names_to_keep(tree: ast.Module, given: dict[str, Any]) -> dict[str, Any] | None:
    """What such a script may have of the names that are given.

    Args:
        tree: the script.
        given: what would stand in its namespace before it, such as modules.

    Returns:
        These names; None if it is not certain that it leaves nothing behind.
    """
    reading = _Reading()
    if not all(map(reading.allows, ast.walk(tree))):
        return None
    safe = set(map(id, _safe_objects()))
    kept, modules = {}, dict(reading.modules)
    for name, value in given.items():
        if isinstance(value, types.ModuleType):
            if value.__name__ in SAFE and name not in reading.bound:
                kept[name] = value
                modules.setdefault(name, value.__name__)
        elif id(value) in safe or type(value) in _CONSTANTS:
            kept[name] = value
    known = reading.bound | reading.starred | set(kept) | {"__name__"}
    known |= set(safe_builtins()) - set(given)
    if not reading.loaded - set(modules) <= known or not reading.uses_only(modules):
        return None
    # By reading names that it binds later, it would see that others are not there.
    hidden = reading.bound & (set(given) | UNSAFE_BUILTINS) - set(kept)
    return None if hidden and reading.catches_name_errors else kept


class _Reading:
    """What a script binds, loads and imports."""

    def __init__(self) -> None:
        self.bound: set[str] = set()
        """Names that it binds, but for modules."""
        self.loaded: set[str] = set()
        self.starred: set[str] = set()
        """Names that come with `import *`."""
        self.modules: dict[str, str] = {}
        """Name -> module that it imports by this name."""
        self.catches_name_errors = False
        self._count: dict[str, int] = {}
        self._parts: list[tuple[str, str]] = []

    def uses_only(self, modules: dict[str, str]) -> bool:
        """Whether of these modules it uses safe names, and of themselves nothing else."""
        used: dict[str, int] = {}
        for name, part in self._parts:
            used[name] = used.get(name, 0) + (part in SAFE.get(modules.get(name, ""), ()))
        return not self.bound & set(self.modules) and all(
            self._count.get(name, 0) == used.get(name, 0) for name in modules
        )

    def allows(self, node: ast.AST) -> bool:
        """Whether this part of it, without those within, may stand in a stateless script."""
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                self._count[name] = self._count.get(name, 0) + 1
                self.loaded.add(name)
                return not name.startswith("__") or name == "__name__"
            case ast.Name(id=name):
                return self._binds(name) or name == "__slots__"
            case ast.Attribute(value=value, attr=attr):
                if isinstance(value, ast.Name) and isinstance(node.ctx, ast.Load):
                    self._parts.append((value.id, attr))
                is_method = attr == "__init__" and isinstance(node.ctx, ast.Load)
                return is_method or not (attr.startswith("_") or attr in _FRAMES)
            case ast.Import(names=aliases):
                return all(self._imports(a.name, a.asname or a.name) for a in aliases)
            case ast.ImportFrom(module=module, names=aliases, level=0):
                return all(self._takes(module or "", a) for a in aliases)
            case ast.FunctionDef(name=name):
                self.bound.add(name)
                return name != "__builtins__"
            case ast.ClassDef(name=name) | ast.arg(arg=name):
                return self._binds(name)
            case ast.Global(names=names) | ast.Nonlocal(names=names):
                return all(map(self._binds, names))
            case ast.ExceptHandler(type=kind, name=caught):
                names = {n.id for n in ast.walk(kind) if isinstance(n, ast.Name)} if kind else set()
                self.catches_name_errors |= kind is None or bool(names & _CATCH_NAME_ERRORS)
                return caught is None or self._binds(caught)
        others = (ast.ImportFrom, ast.Match, ast.AsyncFunctionDef, ast.Await, ast.AsyncFor)
        return not isinstance(node, others)

    def _binds(self, name: str) -> bool:
        self.bound.add(name)
        return not name.startswith("__")

    def _imports(self, module: str, name: str) -> bool:
        return (
            module in SAFE
            and not name.startswith("__")
            and self.modules.setdefault(name, module) == module
        )

    def _takes(self, module: str, alias: ast.alias) -> bool:
        if alias.name == "*":
            self.starred |= SAFE.get(module, frozenset())
            return module in _WHOLE
        return alias.name in SAFE.get(module, ()) and self._binds(alias.asname or alias.name)


class Watched:
    """What a stateless script could change after all: attributes of what is written in Python."""

    def __init__(self) -> None:
        everything = {id(o): o for o in _safe_objects()}
        for kind in [o for o in everything.values() if _is_open(o)]:
            for base in filter(_is_open, kind.__mro__):
                everything |= {id(o): o for o in (base, *vars(base).values())}
        holders = [o for o in everything.values() if hasattr(o, "__dict__")]
        holders = [o for o in holders if not isinstance(o, type) or _is_open(o)]
        self._empty = [o for o in holders if not vars(o)]
        self._others = [o for o in holders if vars(o)]
        self._before = self._now()

    def is_as_before(self) -> bool:
        """Whether all of it is what it was."""
        return not any(map(vars, self._empty)) and self._now() == self._before

    def _now(self) -> list[tuple[list[str], list[int]]]:
        return [(list(vars(o)), list(map(id, vars(o).values()))) for o in self._others]


def _is_open(value: Any) -> bool:
    """Whether it is a class whose attributes can be set."""
    if not isinstance(value, type):
        return False
    return bool(value.__flags__ & _ON_HEAP) and not value.__flags__ & _IMMUTABLE
