"""A stateless script runs all its tests in one process, and none of them can tell."""

import ast
import sys
import types
from typing import Any

import pytest

from scgrpo.tasks.code.prelude import LIVECODEBENCH
from scgrpo.tasks.sandbox import Run, SandboxPool
from scgrpo.tasks.sandbox.bubblewrap import INSIDE

STATELESS = (
    "import sys\nprint(sum(map(int, sys.stdin.read().split())))",
    "import sys\ninput = sys.stdin.readline\nsys.setrecursionlimit(10**6)\nprint(int(input()))",
    "from collections import deque, Counter\nfrom heapq import heappush as push\nprint(Counter())",
    "class A:\n def __init__(self, x): self.x = x\n def __lt__(self, o): return self.x < o.x",
    "import math as m\nfrom itertools import *\nM = 3\npath = [m.gcd(4, 6)]\nprint(path, M)",
    "def main():\n    print(gcd(4, 6), math.pi, Counter())\nif __name__ == '__main__': main()",
    "string = input()\nprint(string.upper())",
    "import sys\ndef f(n=sys.stdin.read()): sys.stdout.write(n)\nf()\nsys.exit(0)",
    "from functools import lru_cache\n@lru_cache(None)\ndef f(n): return n\nprint(f(1))",
)
OTHERS = (
    "import os",
    "import os.path as math",
    "import numpy",
    "open(0).read()",
    "exec('x = 1')",
    "getattr(1, '__class__')",
    "print(().__class__)",
    "import math\nm = math",
    "import math\nmath.pi = 3",
    "import math\nmath.__dict__",
    "import math\ndef f(math): math.pi = 3\nf(1)",
    "import sys\nsys.modules",
    "import sys\nsys.stdin = 1",
    "from sys import modules",
    "from sys import *",
    "from collections import *",
    "import collections.abc",
    "print(modules)",
    "sys.path.append(1)",
    "path.append(1)",
    "try: M\nexcept NameError: M = 1",
    "try: M\nexcept: M = 1",
    "type(1)",
    "x = type",
    "def f(): yield\nf().gi_frame.f_back",
    "match 1:\n case int(__class__=c): c.x = 1",
    "attrgetter('__class__')",
    "import functools\nfunctools.wraps(print)",
    "__builtins__['open']",
    "global __builtins__",
    "__import__('os')",
    "class __builtins__: pass",
    "from . import math",
    "import random\nrandom._inst.x = 1",
    "from typing import List\nList._name = 'x'",
    "decimal.getcontext().prec = 2",
    "from decimal import getcontext",
)

LEAVING = {
    "names": "try:\n    print(x)\nexcept NameError:\n    x = 1\n    print('none')",
    "a class of the library": "if hasattr(Counter, 'x'): print('left')\nCounter.x = 1",
    "one of its methods": "f = Counter.most_common\nprint(hasattr(f, 'x'))\nf.x = 1",
    "a function of the library": "f = heapq.merge\nprint(hasattr(f, 'x'))\nf.x = 1",
    "through a parameter": "def f(o):\n    print(hasattr(o, 'x'))\n    o.x = 1\nf(nlargest)",
    "a subclass": "class C(Counter):\n    pass\nprint(hasattr(C.copy, 'x'))\nC.copy.x = 1",
    "exit": "print(exit.name)\nexit.name = 'left'",
    "random": "print(random.random())\nrandom.seed(5)",
    "limits": "print(sys.getrecursionlimit())\nsys.setrecursionlimit(200)",
    "digits": "try:\n    print(len(str(10**5000)))\nexcept ValueError:\n    print('few')\n"
    "sys.set_int_max_str_digits(640)",
    "closed input": "print(sys.stdin.read())\nsys.stdin.close()",
    "half of the input": "print(sys.stdin.readline())",
    "closed output": "print('a', flush=True)\nsys.stdout.close()",
    "other output": "sys.stdout.write('a')\nsys.stdout.reconfigure(encoding='utf-16')",
    "unwritten output": "print('a')\nw = sys.stdout.buffer\nw.write(b'b')\nsys.stdout.x = w",
    "patched output": "sys.stdout.write('a')\nsys.stdout.write = print",
    "a late destructor": "x = [[] for _ in range(3000)]\nclass A:\n"
    "    def __del__(self): print('late', flush=True)\n"
    "a = A()\na.a = a\nprint('a')",
    "a late destructor with the old output": "class A:\n    out = sys.stdout\n"
    "    def __del__(self, out=out): out.write('late'); out.flush()\na = A()\na.a = a",
    "a generator": "def f():\n    try: yield\n    finally: print('end')\ng = f()\nnext(g)",
    "a cache of re": "class S(str):\n    def __eq__(self, o): print('left'); return True\n"
    "    def __hash__(self): return 5\nre.sub(S('a'), S('b'), 'a')\nprint('a')",
    "a default": "def f(x=[]):\n    x.append(1)\n    return len(x)\nprint(f())",
    "a function's cache": "n = 0\n@lru_cache(None)\ndef f():\n    print('once')\nf()\nf()",
    "much memory": "x = [0] * (6 << 20)\nprint(len(x))",
    "imports": "import json\nprint(json.loads('[1]'))",
    "a name that was given": "del gcd\nprint(1)",
    "names that it has from the prelude": "M = 3\npath = [M]\nprint(path)",
}


@pytest.fixture
def stateless(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module as it is in the sandbox."""
    monkeypatch.syspath_prepend(str(INSIDE.parent))
    import inside.stateless

    yield inside.stateless
    for name in [name for name in sys.modules if name.split(".")[0] == "inside"]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def given() -> dict[str, Any]:
    """What LiveCodeBench's programs find in their namespace."""
    module = types.ModuleType("__main__")
    exec(LIVECODEBENCH, module.__dict__)
    sys.setrecursionlimit(1000)
    return module.__dict__


@pytest.mark.parametrize("source", STATELESS)
def test_stateless_scripts_are_found(stateless: Any, given: dict[str, Any], source: str) -> None:
    kept = stateless.names_to_keep(ast.parse(source), given)
    assert kept is not None
    assert not {"open", "modules", "attrgetter", "exec", "setattr"} & set(kept)


@pytest.mark.parametrize("kind", LEAVING)
def test_what_hides_it_is_found_too(stateless: Any, given: dict[str, Any], kind: str) -> None:
    told = stateless.names_to_keep(ast.parse(LEAVING[kind]), given)
    assert told is not None


@pytest.mark.parametrize("source", OTHERS)
def test_others_are_not(stateless: Any, given: dict[str, Any], source: str) -> None:
    assert stateless.names_to_keep(ast.parse(source), given) is None


def run_often(
    pool: SandboxPool, source: str, inputs: list[str], prelude: str = "", seconds: float = 2
) -> tuple[list[Run], int]:
    """The runs, and how many processes they took."""
    count = "import os\nprint(os.getpid())"
    with pool.sandbox() as sandbox:
        first = int(sandbox.run(count).output)
        runs = [
            sandbox.run(source, given, prelude=prelude, cpu_seconds=seconds) for given in inputs
        ]
        return runs, int(sandbox.run(count).output) - first - 1


def test_one_process_serves_all_tests_but_the_first(filtered: SandboxPool) -> None:
    inputs = [f"{n} {n + 1}" for n in range(6)]
    runs, processes = run_often(filtered, STATELESS[0], inputs)
    assert [int(run.output) for run in runs] == [1, 3, 5, 7, 9, 11]
    assert not any(run.why or run.stderr for run in runs)
    assert processes == 2
    runs, processes = run_often(filtered, "import os\n" + STATELESS[0], inputs)
    assert [int(run.output) for run in runs] == [1, 3, 5, 7, 9, 11]
    assert processes == 6


@pytest.mark.parametrize("kind", LEAVING)
def test_nothing_reaches_the_next_test(filtered: SandboxPool, kind: str) -> None:
    runs, _ = run_often(filtered, LEAVING[kind], ["3 4\n5"] * 4, LIVECODEBENCH)
    alone, processes = run_often(filtered, "import os\n" + LEAVING[kind], ["3 4\n5"], LIVECODEBENCH)
    assert processes == 1
    assert {(run.output, run.why) for run in runs} == {(alone[0].output, alone[0].why)}


def test_caches_forget_objects_of_the_script(filtered: SandboxPool) -> None:
    source = """
tag = input()
class A:
    def __init__(self): self.tag = tag
    def __eq__(self, other):
        if hasattr(other, "tag"): print(self.tag, other.tag)
        return hasattr(other, "tag")
    def __hash__(self): return 1
    def __call__(self): pass
List[A()]
List[A()]
"""
    runs, processes = run_often(filtered, source, ["1", "2", "3"], LIVECODEBENCH)
    assert processes == 2
    assert [set(run.output.split()) for run in runs] == [{"1"}, {"2"}, {"3"}]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = [0] * (6 << 20)", 4),
        ("Counter.x = 1", 4),
        ("for open in []: pass\nprint(len(open(0).read()))", 5),
    ],
    ids=["grown", "changed", "without a name"],
)
def test_a_process_that_is_not_as_before_serves_no_other_test(
    filtered: SandboxPool, source: str, expected: int
) -> None:
    runs, processes = run_often(filtered, "from collections import Counter\n" + source, ["1"] * 4)
    assert [run.why for run in runs] == [""] * 4
    assert processes == expected


FAILING = """
n = int(input())
if n == 2: 1 / 0
if n == 4: bytearray(1 << 40)
if n == 5: print("x" * (2 << 20))
if n == 6: raise SystemExit(3)
def deep(k): return k and deep(k - 1)
if n == 7: deep(10**9)
print(n)
"""


def test_a_test_that_fails_loses_only_itself(filtered: SandboxPool) -> None:
    inputs = [str(n) for n in (0, 1, 4, 0, 2, 5, 0, 6, 7, 0)]
    whys = ["", "", "error", "", "error", "output", "", "", "error", ""]
    runs, processes = run_often(filtered, FAILING, inputs, seconds=0.3)
    assert [run.why for run in runs] == whys
    assert [run.output.strip() for run in runs if not run.why] == ["0", "1", "0", "0", "", "0"]
    assert "MemoryError" in runs[2].stderr  # said by the process of its own that confirms it
    assert processes == 2 + 8


def test_a_loop_ends_the_process_and_not_the_test_behind_it(filtered: SandboxPool) -> None:
    source = "n = int(input())\nwhile n: pass\nprint(n)"
    runs, _ = run_often(filtered, source, ["0", "0", "1", "0"], seconds=0.3)
    assert [(run.output, run.why) for run in runs] == [
        ("0\n", ""), ("0\n", ""), ("", "time"), ("0\n", ""),
    ]  # fmt: skip


def test_each_test_has_its_own_processor_time(filtered: SandboxPool) -> None:
    source = "import time\nend = time.perf_counter() + 60\n" + (
        "x = 0\nfor n in range(int(input())): x += n\nprint(x)"
    )
    with filtered.sandbox() as sandbox:
        count = 1 << 20
        while sandbox.run("import os\n" + source, str(count)).seconds < 0.15:
            count *= 2
    runs, processes = run_often(filtered, source, [str(count)] * 8, seconds=1)
    assert [run.why for run in runs] == [""] * 8
    assert processes == 2


def test_without_seccomp(unfiltered: SandboxPool) -> None:
    runs, processes = run_often(unfiltered, STATELESS[0], ["1 2"] * 3)
    assert [run.output for run in runs] == ["3\n"] * 3 and processes == 2
