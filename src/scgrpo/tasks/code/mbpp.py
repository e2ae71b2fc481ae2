"""MBPP: write a function from one sentence; three assertions test it."""

import ast
import builtins
import re
from dataclasses import dataclass

from scgrpo.tasks.code.damage import damaged_functions
from scgrpo.tasks.code.judge import CheckedProblem
from scgrpo.tasks.code.options import CodeOptions
from scgrpo.tasks.code.prompts import Messages, fenced, function_prompt
from scgrpo.tasks.code.sandbox import TestCode
from scgrpo.tasks.code.task import CodeTask, Row
from scgrpo.tasks.sources import Source

COLUMNS = ("task_id", "text", "code", "test_list", "test_setup_code")


@dataclass(frozen=True)
class MBPPOptions(CodeOptions):
    """Options of MBPP."""

    shown_tests: int = 1
    """Assertions shown in the prompt, which give away the function's name; published results show
    all three, whose answers a program can then hold ready."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.shown_tests < 1:
            raise ValueError(
                f"shown_tests is {self.shown_tests}; at least 1 must be shown, since only the "
                "tests say what the function is called."
            )


class MBPPTask(CodeTask):
    """MBPP's 374 problems for training and 500 for evaluation."""

    name = "mbpp"
    options_type = MBPPOptions
    options: MBPPOptions

    def source(self, split: str) -> Source:
        """See `CodeTask`."""
        columns = {column: (column,) for column in COLUMNS} | {"text": ("text", "prompt")}
        return Source(
            "google-research-datasets/mbpp",
            columns,
            split,
            config="full",
            revision=self.options.revision,
            optional=frozenset({"test_setup_code"}),
        )

    def light_columns(self) -> tuple[str, ...]:
        """See `CodeTask`."""
        return ("task_id", "text", "test_list")

    def problem_id(self, row: Row) -> str:
        """Such as mbpp/601."""
        return f"mbpp/{row['task_id']}"

    def keep(self, row: Row, split: str) -> bool:
        """Rows with tests."""
        return bool(row["test_list"])

    def prompt(self, row: Row) -> Messages:
        """The sentence and some of the assertions."""
        shown = "\n".join(row["test_list"][: self.options.shown_tests])
        return function_prompt(f"{row['text'].strip()}\n\nA test of it:\n\n{fenced(shown)}")

    def problem(self, row: Row, split: str) -> CheckedProblem:
        """The assertions, each a test of its own."""
        tests = tuple(row["test_list"])
        setup = row.get("test_setup_code") or ""
        return CheckedProblem(TestCode(tests, free_names("\n".join((setup, *tests))), setup=setup))

    def known_programs(self, row: Row) -> tuple[list[str], tuple[str, ...]]:
        """The given solution and three that are damaged."""
        code = row["code"].replace("\r\n", "\n")
        called = re.findall(r"[A-Za-z_]\w*(?=\s*\()", row["test_list"][0])
        name = next(n for n in called if re.search(rf"def\s+{n}\b", code))
        return [code], damaged_functions(code, name)


def free_names(source: str) -> tuple[str, ...]:
    """Names that code uses and neither binds nor finds among the built-in ones."""
    used: set[str] = set()
    bound: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, ast.alias):
            bound.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            bound.add(node.name)
    return tuple(sorted(used - bound - set(dir(builtins))))
