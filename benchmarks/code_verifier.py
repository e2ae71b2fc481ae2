r"""How often the code verifiers are wrong, on programs built by rule, beside a plain comparison.

    python -m benchmarks.code_verifier --humaneval HumanEval.jsonl.gz \
        --output benchmarks/results/code.md

`code_programs.py` builds the answers. Scripts are graded by `grading=judge`, by
`grading=livecodebench`, and plainly: what stands in the last block marked ```python is run by a
fresh interpreter, and its output has to be the expected text. Functions of HumanEval are judged in
the sandbox, against the verdict of their own check run by `exec` in a plain process.
"""

import argparse
import collections
import gzip
import json
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from benchmarks.code_programs import PROBLEMS, Answer, changed, inputs, scripts

from scgrpo.tasks.code.extract import last_pair, program_of
from scgrpo.tasks.code.humaneval import HumanEvalTask
from scgrpo.tasks.code.judge import InputOutput, Problem, ScriptProblem
from scgrpo.tasks.code.prelude import LIVECODEBENCH
from scgrpo.tasks.code.verifier import ProgramVerifier

SECONDS = 10.0
CHANGES = 2
_BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


def main() -> None:
    """Measure, print, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--humaneval", type=Path)
    parser.add_argument("--show", action="store_true", help="print what is judged otherwise")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    parts = [of_scripts(arguments.show)]
    if arguments.humaneval:
        parts.append(of_functions(arguments.humaneval, arguments.show))
    text = "\n\n".join(parts) + "\n"
    print(text)
    if arguments.output:
        arguments.output.write_text(text, encoding="utf-8")


def of_scripts(show: bool) -> str:
    """The table of scripts."""
    rng = random.Random(0)
    tests: dict[str, tuple[InputOutput, ...]] = {}
    answers: list[Answer] = []
    for name, (solution, what) in PROBLEMS.items():
        given = inputs(what, rng)
        tests[name] = tuple(InputOutput(text, _expected(solution, text)) for text in given)
        answers += scripts(name, rng)
    answers = [replace(a, right=_is_right(a, tests[a.problem])) for a in answers]
    verdicts = {
        "judge": _sandboxed(answers, tests, theirs=False),
        "livecodebench": _sandboxed(answers, tests, theirs=True),
        "exact text": _each(answers, lambda a: _plainly(a, tests[a.problem])),
    }
    return _table(answers, verdicts, show)


def of_functions(path: Path, show: bool) -> str:
    """The table of functions."""
    rng = random.Random(0)
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = {row["task_id"]: row for row in map(json.loads, file)}
    answers = []
    for number, row in rows.items():
        source = row["prompt"] + row["canonical_solution"]
        sources = [(source, "canonical")]
        sources += [(s, "changed") for s in changed(source, row["entry_point"], CHANGES, rng)]
        answers += [Answer(number, kind, f"```python\n{s}\n```", True, s) for s, kind in sources]
    right = _each(answers, lambda a: _passes(rows[a.problem], a.source))
    answers = [replace(a, right=is_right) for a, is_right in zip(answers, right, strict=True)]
    task = HumanEvalTask(data=str(path))
    items = [
        (lambda a=a: task.problem(rows[a.problem], "test"), program_of(a.text)) for a in answers
    ]
    return _table(answers, {"ours": _verdicts(items)}, show)


def _expected(solution: str, text: str) -> str:
    names: dict[str, object] = {"d": text}
    exec(solution, names)
    return "\n".join(names["out"]) + "\n"  # type: ignore[arg-type]


def _is_right(answer: Answer, tests: Sequence[InputOutput]) -> bool:
    """Whether it should pass: a near miss that writes the expected text all the same is none."""
    if answer.right or not answer.kind.startswith("output") or "raises" in answer.kind:
        return answer.right
    return all(_run(answer.source, test.input) == test.output for test in tests)


def _run(source: str, text: str) -> str | None:
    """Standard output in a plain process; None if it fails."""
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", source], input=text, capture_output=True, text=True,
            timeout=SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return None
    return None if done.returncode else done.stdout


def _plainly(answer: Answer, tests: Sequence[InputOutput]) -> bool:
    blocks = _BLOCK.findall(answer.text)
    return bool(blocks) and all(_run(blocks[-1], test.input) == test.output for test in tests)


def _passes(row: dict[str, str], source: str) -> bool:
    """The verdict of HumanEval's own check, in a plain process with its limits."""
    program = f"{source}\n{row['test']}\ncheck({row['entry_point']})\n"
    cap = f"import resource\nresource.setrlimit(resource.RLIMIT_AS, ({1 << 30}, {1 << 30}))\n"
    return _run(f"{cap}exec({program!r}, {{'__name__': 'check'}})", "") is not None


def _sandboxed(
    answers: Sequence[Answer], tests: dict[str, tuple[InputOutput, ...]], *, theirs: bool
) -> list[bool]:
    extract = last_pair if theirs else program_of
    problems = {
        name: ScriptProblem(cases, LIVECODEBENCH, as_livecodebench=theirs)
        for name, cases in tests.items()
    }
    return _verdicts([(lambda a=a: problems[a.problem], extract(a.text)) for a in answers])


def _verdicts(items: Sequence[tuple[Callable[[], Problem], str | None]]) -> list[bool]:
    verifier = ProgramVerifier("code", workers=2)
    try:
        found, failed = verifier.verdicts(items)
    finally:
        verifier.close()
    assert not failed, failed[0]
    return [verdict.solved for verdict in found]


def _each(answers: Sequence[Answer], one: Callable[[Answer], bool]) -> list[bool]:
    with ThreadPoolExecutor(2) as threads:
        return list(threads.map(one, answers))


def _table(answers: Sequence[Answer], verdicts: dict[str, list[bool]], show: bool) -> str:
    """Refused right and accepted wrong answers, by kind and verifier."""
    counts: dict[str, Counter[str]] = collections.defaultdict(Counter)
    for number, answer in enumerate(answers):
        for kind in (answer.kind.split(":")[0], "**all**"):
            counts[kind]["right" if answer.right else "wrong"] += 1
            for name, found in verdicts.items():
                counts[kind][name, answer.right] += found[number] != answer.right  # type: ignore[index]
        if show:
            others = [name for name, found in verdicts.items() if found[number] != answer.right]
            told = "right" if answer.right else "wrong"
            if others:
                print(f"{told}: {answer.problem}, {answer.kind}: otherwise by {others}")
    head = ["", "right", *(f"refused by {name}" for name in verdicts)]
    head += ["wrong", *(f"accepted by {name}" for name in verdicts)]
    lines = [_row(head), "|---" * len(head) + "|"]
    for kind in [kind for kind in counts if kind != "**all**"] + ["**all**"]:
        count = counts[kind]
        cells = [kind, count["right"], *(count[name, True] for name in verdicts)]  # type: ignore[index]
        cells += [count["wrong"], *(count[name, False] for name in verdicts)]  # type: ignore[index]
        lines.append(_row(cells))
    count = counts["**all**"]
    shares = ["**share**", ""]
    shares += [f"{100 * count[name, True] / count['right']:.1f} %" for name in verdicts]  # type: ignore[index]
    shares += ["", *(f"{100 * count[name, False] / count['wrong']:.1f} %" for name in verdicts)]  # type: ignore[index]
    return "\n".join([*lines, _row(shares)])


def _row(cells: Sequence[object]) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


if __name__ == "__main__":
    main()
