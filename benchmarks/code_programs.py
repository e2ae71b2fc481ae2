"""Programs built by rule: right ones, and near misses, each as the answer of a model.

A stdin program is a way of reading, a solution, and a way of writing. What a contest's judge would
accept is right. A function is HumanEval's canonical solution, or that with one operator, constant
or comparison changed; its own check, run by `exec` without any sandbox, says whether it is right.
"""

import ast
import copy
import random
from collections.abc import Iterator
from dataclasses import dataclass

PROBLEMS = {
    "sum": ("t = d.split()\nout = [str(sum(map(int, t)))]", "integers"),
    "sorted": ("t = sorted(map(int, d.split()))\nout = [' '.join(map(str, t))]", "integers"),
    "one a line": ("out = [str(int(x) * 3 + 1) for x in d.split()]", "integers"),
    "even": ("out = ['YES' if int(x) % 2 == 0 else 'NO' for x in d.split()]", "integers"),
    "half": ("out = [str(int(x) / 2) for x in d.split()]", "integers"),
    "reversed words": ("out = [' '.join(reversed(d.split()))]", "words"),
    "lengths": ("t = d.split()\nout = [str(len(t)), ' '.join(str(len(x)) for x in t)]", "words"),
    "counts": (
        "t = d.split()\nout = [x + ' ' + str(t.count(x)) for x in sorted(set(t))]",
        "words",
    ),
}
"""Name -> solution from text `d` to lines `out`, and what stands in the input."""
READING = {
    "sys.stdin.read": "import sys\nd = sys.stdin.read()",
    "readlines": "import sys\nd = ' '.join(sys.stdin.readlines())",
    "for line in sys.stdin": "import sys\nd = ' '.join(line for line in sys.stdin)",
    "from sys import stdin": "from sys import stdin\nd = stdin.read()",
    "open(0)": "d = open(0).read()",
    "buffer": "import sys\nd = sys.stdin.buffer.read().decode()",
    "input": "d = input() + ' ' + input()",
    "input until the end": "d = ''\nwhile True:\n    try:\n        d += input() + ' '\n"
    "    except EOFError:\n        break",
    "input is readline": "import sys\ninput = sys.stdin.readline\nd = input() + ' ' + input()",
    "os.read": "import os\nd = os.read(0, 100000).decode()",
}
WRITING = {
    "print": "for x in out:\n    print(x)",
    "print joined": "print('\\n'.join(out))",
    "print separated": "print(*out, sep='\\n')",
    "sys.stdout.write": "import sys\nsys.stdout.write('\\n'.join(out))",
    "sys.stdout.buffer": "import sys\nsys.stdout.buffer.write('\\n'.join(out).encode())",
    "spaces behind": "print(' \\n'.join(out) + ' ')",
    "spaces before": "print('\\n'.join(' ' + x for x in out))",
    "empty lines behind": "print('\\n'.join(out) + '\\n\\n')",
    "flushed": "for x in out:\n    print(x, flush=True)",
    "exit": "print('\\n'.join(out))\nexit()",
    "sys.exit": "import sys\nprint('\\n'.join(out))\nsys.exit(0)",
    "quit": "print('\\n'.join(out))\nquit()",
    "main": "def main():\n    print('\\n'.join(out))\nif __name__ == '__main__':\n    main()",
    "numbers with .0": "print('\\n'.join(' '.join(w + '.0' if w.isdigit() else w "
    "for w in x.split()) for x in out))",
}
FENCES = {
    "python": "```python\n{}\n```",
    "py": "```py\n{}\n```",
    "python3.11": "```python3.11\n{}\n```",
    "python:main.py": "```python:main.py\n{}\n```",
    "{.python}": "```{{.python}}\n{}\n```",
    "pypy3": "```pypy3\n{}\n```",
    "no tag": "```\n{}\n```",
    "solution": "```solution\n{}\n```",
    "behind text": "The code: ```python\n{}\n```",
    "words behind the end": "```python\n{}\n``` Done.",
    "indented": "1. Code:\n   ```python\n{}\n```",
    "behind another": "First:\n```python\nprint(0)\n```\nBetter:\n```python\n{}\n```",
    "behind thoughts": "<think>```python\nprint(0)\n```</think>\n```python\n{}\n```",
    "think in a comment": "```python\n# <think>\n{}\n```",
}
MISSES = {
    "one more": "out[-1] = out[-1] + '1'",
    "off by one": "out = [' '.join(str(int(w) + 1) if w.isdigit() else w + 's' for w in x.split()) "
    "for x in out]",
    "one word changed": "w = out[-1].split()\nw[-1] = '9' + w[-1]\nout[-1] = ' '.join(w)",
    "a debugging line": "out = ['start', *out]",
    "a prompt": "out[0] = 'Answer: ' + out[0]",
    "half of it": "out[-1] = out[-1][:-1]",
    "nothing": "out = []",
    "twice": "out = out + out",
    "a line between": "out = [*out[:1], 'x', *out[1:]]",
    "a line too few": "out = out[:-1]",
    "only sometimes": "if len(d) % 2: out = ['0']",
    "raises behind it": "print('\\n'.join(out))\n1 / 0",
    "nearly": "out[-1] = out[-1] + '.0001'",
    "a list as Python writes it": "out = [str(out)]",
}
UNSEEN = {
    "no fence": "{}",
    "another language": "```cpp\n{}\n```",
    "only in thoughts": "<think>\n```python\n{}\n```",
    "unfinished thoughts": "```python\n{}\n```\n<think>",
    "another one behind": "```python\n{}\n```\n```python\nprint(0)\n```",
}


@dataclass(frozen=True)
class Answer:
    """An answer, and whether it should be accepted."""

    problem: str
    kind: str
    text: str
    right: bool
    source: str
    """The program, before it was wrapped."""


def inputs(what: str, rng: random.Random) -> list[str]:
    """Texts of three tests, of two lines each."""
    letters = "abcdefg"

    def word() -> str:
        if what == "integers":
            return str(rng.randrange(10, 1000))
        return "".join(rng.choice(letters) for _ in range(rng.randrange(2, 6)))

    def line(count: int) -> str:
        return " ".join(word() for _ in range(count))

    return [f"{line(count)}\n{line(2)}\n" for count in (2, 3, 4)]


def scripts(name: str, rng: random.Random) -> Iterator[Answer]:
    """Answers to one stdin problem."""
    solution, _ = PROBLEMS[name]
    read, write, fence = "sys.stdin.read", "print joined", "python"

    def program(read: str, write: str, change: str = "") -> str:
        return "\n".join(part for part in (READING[read], solution, change, WRITING[write]) if part)

    for key in READING:
        yield _script(name, f"reading: {key}", FENCES[fence], program(key, write), True)
    for key in WRITING:
        # LiveCodeBench compares numbers only where a line has nothing else.
        right = name != "counts" or key != "numbers with .0"
        yield _script(name, f"writing: {key}", FENCES[fence], program(read, key), right)
    for key in FENCES:
        yield _script(name, f"extraction: {key}", FENCES[key], program(read, write), True)
    for key, change in MISSES.items():
        for behind in ("print", "print joined"):
            source = program(rng.choice(list(READING)), behind, change)
            yield _script(name, f"output: {key}", FENCES[fence], source, False)
    for key in UNSEEN:
        yield _script(name, f"no program: {key}", UNSEEN[key], program(read, write), False)


def _script(name: str, kind: str, fence: str, source: str, right: bool) -> Answer:
    inside = source.replace("\n", "\n   ") if "   ```" in fence else source
    inside = "   " + inside if "   ```" in fence else inside
    return Answer(name, kind, fence.format(inside), right, source)


_OTHERS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.FloorDiv,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv, ast.Lt: ast.LtE, ast.LtE: ast.Lt,
    ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.And: ast.Or,
    ast.Or: ast.And, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip


class _Changed(ast.NodeTransformer):
    """Changes one operator, comparison or constant, the one of this number."""

    def __init__(self, number: int) -> None:
        self.left, self.number = number, number

    def generic_visit(self, node: ast.AST) -> ast.AST:
        kind = _OTHERS.get(type(node))  # type: ignore[call-overload]
        if kind is not None:
            self.left -= 1
            return kind() if self.left == -1 else node
        if isinstance(node, ast.Constant) and type(node.value) is int:
            self.left -= 1
            return ast.Constant(node.value + 1) if self.left == -1 else node
        return super().generic_visit(node)


def changed(source: str, name: str, count: int, rng: random.Random) -> list[str]:
    """So many variants of a function, each with one change, at most as many as there are places."""
    tree = ast.parse(source)
    counter = _Changed(-1)
    function = next(n for n in tree.body if getattr(n, "name", None) == name)
    counter.visit(copy.deepcopy(function))
    places = -1 - counter.left
    found = []
    for number in rng.sample(range(places), min(count, places)):
        other = copy.deepcopy(tree)
        place = next(n for n in other.body if getattr(n, "name", None) == name)
        _Changed(number).visit(place)
        found.append(ast.unparse(ast.fix_missing_locations(other)))
    return found
