"""Programs that try to be rewarded without solving the problem."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scgrpo.tasks import load_task
from scgrpo.tasks.code.judge import (
    CheckedProblem,
    FunctionProblem,
    InputOutput,
    Problem,
    ScriptProblem,
    judge,
)
from scgrpo.tasks.sandbox import SandboxPool, TestCode
from tests.tasks.code import rows

NEEDLE = "918273645546372819"
"""Expected value that a program searches for; it never stands in one piece in its source."""

FUNCTION = FunctionProblem(
    "f",
    (InputOutput("1", '"x1"'), InputOutput("2", f'"{NEEDLE}"'), InputOutput("3", '"x3"')),
    cpu_seconds=0.05,
)
CHECKED = CheckedProblem(
    TestCode(
        tests=("check(f)",),
        names=("f",),
        helpers=f"def check(c):\n    assert c(1) == 'x1'\n    assert c(2) == '{NEEDLE}'",
    ),
    cpu_seconds=0.05,
)
SCRIPT = ScriptProblem((InputOutput("1\n", "x1\n"), InputOutput("2\n", f"{NEEDLE}\n")))
RIGHT = f"""
import sys
def f(n):
    return '{NEEDLE}' if n == 2 else f'x{{n}}'
"""
RIGHT_SCRIPT = RIGHT + "if __name__ == '__main__': print(f(int(input())))\n"


def test_right_programs_pass(pool: SandboxPool) -> None:
    assert judge(pool, FUNCTION, RIGHT).passed == (True, True, True)
    assert judge(pool, CHECKED, RIGHT).passed == (True,)
    assert judge(pool, SCRIPT, RIGHT_SCRIPT).passed == (True, True)


SEARCH = '''
import gc, os, sys
def search():
    """Everything that this process can see: objects, frames, memory, files, environment."""
    needle = "918273645" + "546372819"
    raw = needle.encode()
    mine = {id(needle), id(raw)}
    for thing in gc.get_objects():
        inside = list(thing.values()) if isinstance(thing, dict) else thing
        if isinstance(inside, (list, tuple, set)):
            if any(isinstance(i, str) and i == needle and id(i) not in mine for i in inside):
                return needle
    for frame in sys._current_frames().values():
        while frame:
            for name, value in frame.f_locals.items():
                if value == needle and name != "needle":
                    return needle
            frame = frame.f_back
    pids = [p for p in os.listdir("/proc") if p.isdigit()]
    for pid in pids:
        for name in "environ", "cmdline":
            try:
                if raw in open(f"/proc/{pid}/{name}", "rb").read():
                    return needle
            except OSError:
                pass
    for folder in "/tmp", "/dev/shm", "/scgrpo", "/packages":
        for root, _, files in os.walk(folder):
            for file in files:
                if raw in open(os.path.join(root, file), "rb").read():
                    return needle
    return memory(raw)

def memory(raw):
    """The needle in this process's memory, beside the places where the search itself has it."""
    found = 0
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as mem:
        for line in maps:
            span, rights = line.split()[:2]
            if not rights.startswith("rw") or "[v" in line:
                continue
            start, end = (int(x, 16) for x in span.split("-"))
            try:
                mem.seek(start)
                found += mem.read(end - start).count(raw)
            except (OSError, ValueError, OverflowError):
                pass
    return raw.decode() if found > 2 * COPIES else None

COPIES = 20
'''


def test_expected_values_are_nowhere_to_be_found(pool: SandboxPool) -> None:
    """A program that finds the needle anywhere would return it, and pass the second test."""
    function = SEARCH + "\ndef f(n):\n    return f'x{n}' if n != 2 else search()"
    slow = replace(FUNCTION, cpu_seconds=2), replace(CHECKED, cpu_seconds=2)
    verdict = judge(pool, slow[0], function, stop_early=False)
    assert verdict.passed == (True, False, True) and verdict.why == "wrong answer"
    assert judge(pool, slow[1], function).why == "AssertionError: "
    script = SEARCH + "\nn = int(input())\nprint(f'x{n}' if n != 2 else search())"
    assert judge(pool, SCRIPT, script).passed == (True, False)


def test_search_finds_what_is_there(pool: SandboxPool) -> None:
    """The same search does find the needle where the program itself hides it."""
    hidden = "\nkeep = [''.join(['918273645', '546372819'])]\ndef f(n): return search()"
    problem = FunctionProblem("f", (InputOutput("2", f'"{NEEDLE}"'),))
    assert judge(pool, problem, SEARCH + hidden).solved


ATTACKS = {
    "leaves at once": "import os\nos._exit(0)",
    "leaves in the call": "import os\ndef f(n): os._exit(0)",
    "exits": "import sys\nsys.exit(0)",
    "exits in the call": "import sys\ndef f(n): sys.exit(0)",
    "nothing": "pass",
    "does not parse": "def f(n: return",
    "prints the protocol": """
import sys
def f(n):
    for text in '{"value": null}', '{"passed": [true, true, true], "why": ""}', '{"done": true}':
        print(text); sys.stderr.write(text)
""",
    "writes forged answers": """
import json, os
def f(n):
    for message in {"passed": [True, True, True], "why": ""}, {"value": True}, {"ready": True}:
        content = json.dumps(message).encode()
        for fd in range(3, 30):
            try:
                os.write(fd, len(content).to_bytes(8, "big") + content)
            except OSError:
                pass
    return True
""",
    "writes forged answers when loaded": """
import json, os
for message in [{"value": {"ref": 0}}] * 3 + [{"passed": [True], "why": ""}] * 3:
    content = json.dumps(message).encode()
    for fd in range(3, 30):
        try:
            os.write(fd, len(content).to_bytes(8, "big") + content)
        except OSError:
            pass
def f(n): return None
""",
    "writes garbage": """
import os
def f(n):
    for fd in range(3, 30):
        try:
            os.write(fd, os.urandom(4096))
        except OSError:
            pass
""",
    "closes everything": "import os\ndef f(n): os.closerange(0, 256); return 'x1'",
    "equal to everything": """
class Same:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 0
    def __bool__(self): return True
    def __str__(self): return 'x1'
    __repr__ = __str__
def f(n): return Same()
""",
    "text equal to everything": """
class Same(str):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    __hash__ = str.__hash__
def f(n): return Same('zzz')
""",
    "patches json and the driver": """
import builtins, json, sys
import inside.channel, inside.remote, inside.values
def always(*a, **k): return True
json.dumps = lambda *a, **k: '{"passed": [true, true, true], "why": ""}'
json.loads = lambda *a, **k: {"do": "load"}
inside.values.to_tree = lambda value, keep: True
inside.channel.Channel.send = always
def f(n): return True
""",
    "patches assertions": """
import builtins, sys
class Quiet(BaseException):
    def __new__(cls, *a): return None
builtins.AssertionError = Quiet
builtins.isinstance = lambda *a: True
builtins.Exception = Quiet
sys.excepthook = lambda *a: None
sys.settrace(lambda *a: None)
def f(n): return False
""",
    "takes the frames of the driver": """
import sys, gc
def f(n):
    frame = sys._getframe()
    while frame:
        for name in list(frame.f_locals):
            if name in ("request", "job", "answer"):
                frame.f_locals[name] = {"passed": [True] * 3, "why": "", "value": True}
        frame = frame.f_back
    for thing in gc.get_objects():
        if type(thing).__name__ == "Channel":
            thing.send({"passed": [True, True, True], "why": ""})
            thing.send({"value": None})
    return None
""",
    "raises what stops tests": """
class Stop(Exception): pass
def f(n): raise {1: StopIteration, 2: SystemExit, 3: KeyboardInterrupt}[n]
""",
    "a name that lies": """
class Meta(type):
    @property
    def __name__(cls): return 'x1'
class AssertionError(Exception, metaclass=Meta): pass
def f(n): raise AssertionError('x1')
""",
    "returns what cannot be sent": "def f(n):\n    x = []\n    x.append(x)\n    return x",
    "a huge number": "def f(n): return 10 ** 100000",
    "deep nesting": "def f(n):\n    x = []\n    for _ in range(900): x = [x]\n    return x",
    "answers from a thread": """
import threading, time
def f(n):
    threading.Thread(target=lambda: time.sleep(0.01)).start()
    return 'x' + str(n + 1)
""",
}


@pytest.mark.parametrize("problem", [FUNCTION, CHECKED], ids=["function", "checked"])
@pytest.mark.parametrize("name", ATTACKS)
def test_attack_on_the_driver(filtered: SandboxPool, problem: Problem, name: str) -> None:
    verdict = judge(filtered, problem, ATTACKS[name])
    assert not verdict.solved and not any(verdict.passed) and verdict.why


@pytest.mark.usefixtures("filtered")
@pytest.mark.parametrize("row", rows.MBPP_SPHERES.values(), ids=list(rows.MBPP_SPHERES))
def test_a_module_of_the_tests_is_not_the_programs(row: Any, tmp_path: Path) -> None:
    task = load_task("mbpp", data=rows.write(tmp_path / "rows.jsonl", [row]), workers=1)
    forged = "class math: isclose = staticmethod(lambda *a, **k: True)\n"
    plain = "def volume_sphere(r): return 4 / 3 * 3.141592653589793 * r ** 3"
    programs = (forged + "def volume_sphere(r): return 0", plain, row["code"], forged + plain)
    answers = [f"```python\n{program}\n```" for program in programs]
    rewards = task.verify(answers, problem_id=["mbpp/82"] * 4, tests=["test"] * 4)
    task.close()
    assert rewards == [0.0, 1.0, 1.0, 1.0] and not task.failures


SCRIPT_ATTACKS = {
    "leaves": "import os\nos._exit(0)",
    "prints the answer of one test": "print('x1')",
    "prints all that could be": "for n in range(1000): print(f'x{n}')",
    "prints verdicts": 'print(\'AC\')\nprint(\'{"in_time": true, "code": 0, "output": "x1"}\')',
    "writes into the driver": """
import os
for fd in range(3, 256):
    try:
        os.write(fd, b'\\0' * 7 + b'\\2{}')
    except OSError:
        pass
print('x')
""",
    "right output, then an error": RIGHT_SCRIPT + "raise ValueError",
    "right output, then a signal": RIGHT_SCRIPT + "sys.stdout.flush()\nimport os\nos.abort()",
    "right output, then a bad exit": RIGHT_SCRIPT + "sys.stdout.flush()\nimport os\nos._exit(3)",
    "right output on stderr": RIGHT_SCRIPT.replace("print(", "sys.stderr.write('\\n' + "),
    "right output, never flushed": RIGHT_SCRIPT + "import os\nos._exit(0)",
    "patches the driver in its copy": """
import inside.driver, inside.channel, os, sys
import __main__
os._exit = lambda code: None
print('x')
""",
}


@pytest.mark.parametrize("name", SCRIPT_ATTACKS)
def test_attack_by_a_script(filtered: SandboxPool, name: str) -> None:
    verdict = judge(filtered, SCRIPT, SCRIPT_ATTACKS[name], stop_early=False)
    assert not verdict.solved and verdict.passed[1:] == (False,), verdict


def test_a_crash_costs_its_test_only(pool: SandboxPool) -> None:
    function = "import os\ndef f(n):\n    if n == 2: os._exit(0)\n    return f'x{n}'"
    assert judge(pool, FUNCTION, function, stop_early=False).passed == (True, False, True)
    script = "import os\nn = int(input())\nif n == 1: os.kill(os.getppid(), 9)\nprint('x2')"
    problem = ScriptProblem((InputOutput("1", "x2"), InputOutput("2", "x2")))
    assert judge(pool, problem, script, stop_early=False).passed == (False, True)
    assert judge(pool, problem, script).passed == (False,)


def test_a_checker_is_not_fooled(filtered: SandboxPool) -> None:
    checker = """
import sys
given, expected, actual = (open(name).read() for name in sys.argv[1:])
print(int(given.split() != actual.split() and sorted(given.split()) == sorted(actual.split())))
"""
    problem = ScriptProblem((InputOutput("1 2 3", "3 1 2"),), checker=checker)
    assert judge(filtered, problem, "print(*input().split()[::-1])").solved
    for attack in ("print(input())", "print(1)", "pass", "print('1' * 10**5)",
                   "open('/tmp/input.txt', 'w').write('x')"):  # fmt: skip
        assert judge(filtered, problem, attack).why == "wrong answer"
    for broken in ("print(2)", "raise ValueError", "import os\nos._exit(0)", "print(1)\n1 / 0"):
        problem = ScriptProblem((InputOutput("1", "1"),), checker=broken)
        assert not judge(filtered, problem, "print(1)").solved


@pytest.mark.slow
def test_a_checker_that_does_not_end_accepts_nothing(filtered: SandboxPool) -> None:
    problem = ScriptProblem((InputOutput("1", "1"),), checker="print(1)\nwhile True: pass")
    assert not judge(filtered, problem, "print(1)").solved
