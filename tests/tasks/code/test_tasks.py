"""The code tasks on local rows of the published schemas."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest

from scgrpo.tasks import load_task
from scgrpo.tasks.code import livecodebench
from scgrpo.tasks.code.many_answers import accepts_many
from scgrpo.tasks.code.task import CodeTask
from scgrpo.tasks.sandbox import probe
from tests.tasks.code import rows

HUMANEVAL = Path(__file__).parents[4] / "shared/data/humaneval/HumanEval.jsonl.gz"
EXAMPLES = livecodebench.EXAMPLES.parent


@pytest.fixture
def make(request: pytest.FixtureRequest, filtered: object) -> Iterator[Any]:
    """Tasks that are closed behind the test; without bubblewrap, it is skipped."""
    made: list[CodeTask] = []

    def load(name: str, **options: Any) -> CodeTask:
        task = load_task(name, **{"workers": 2} | options)
        assert isinstance(task, CodeTask)
        made.append(task)
        return task

    yield load
    for task in made:
        task.close()


def answer(program: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": f"Here it is.\n```python\n{program}\n```\nDone."}]


def reward(task: CodeTask, split: str, problem_id: str, *programs: str) -> list[float]:
    count = len(programs)
    return task.verify(
        [answer(program) for program in programs],
        problem_id=[problem_id] * count,
        tests=[split] * count,
        prompts=[""] * count,
    )


# --- LiveCodeBench ---


def lcb_rows() -> list[dict[str, Any]]:
    return [json.loads(line) for line in livecodebench.EXAMPLES.read_text().splitlines()]


def test_lcb_rows_hold_no_tests(make: Any) -> None:
    task = make("lcb", data=str(livecodebench.EXAMPLES), since=None)
    data = task.rows("train")
    assert data.column_names == ["prompt", "problem_id", "tests"]
    assert data["problem_id"] == ["own_sum", "own_mean", "own_pair", "own_mirror"]
    assert set(data["tests"]) == {"train"}
    system, user = data[0]["prompt"]
    assert system["role"] == "system" and "fenced Python block" in system["content"]
    assert "Print their sum" in user["content"] and "standard input" in user["content"]
    user = data[2]["prompt"][1]["content"]
    assert (
        "```python\nclass Solution:\n    def pairWithSum" in user and "standard input" not in user
    )


def test_lcb_halves_are_never_mixed(make: Any, tmp_path: Path) -> None:
    task = make("lcb", data=str(livecodebench.EXAMPLES), since=None)
    reversed_rows = rows.write(tmp_path / "lcb.jsonl", lcb_rows()[::-1])
    other_order = make("lcb", data=reversed_rows, since=None)
    other_seed = make("lcb", data=str(livecodebench.EXAMPLES), since=None, seed=1)
    differing = 0
    for row in lcb_rows():
        parts = {split: task.tests(row, split) for split in ("train", "test", "all")}
        assert parts["train"] and not set(parts["train"]) & set(parts["test"])
        assert set(parts["train"]) | set(parts["test"]) == set(parts["all"])
        published = [*json.loads(row["public_test_cases"])]
        assert {t["input"] for t in published} <= {t.input for t in parts["all"]}
        assert other_order.tests(row, "train") == parts["train"]
        differing += other_seed.tests(row, "train") != parts["train"]
    assert differing >= 3


def test_lcb_rewards_are_of_the_split_asked_for(make: Any) -> None:
    """A program that knows the training half by heart solves it, and nothing else."""
    task = make("lcb", data=str(livecodebench.EXAMPLES), since=None)
    row = lcb_rows()[0]
    known = {t.input: t.output for t in task.tests(row, "train")}
    by_heart = f"import sys\nprint({known!r}.get(sys.stdin.read()))"
    right = row["solution"]
    assert reward(task, "train", "own_sum", by_heart, right) == [1.0, 1.0]
    assert reward(task, "test", "own_sum", by_heart, right) == [0.0, 1.0]
    assert reward(task, "all", "own_sum", by_heart, right) == [0.0, 1.0]


def test_lcb_share_of_tests(make: Any) -> None:
    options = {"data": str(livecodebench.EXAMPLES), "since": None, "reward": "share"}
    task = make("lcb", **options)
    row = lcb_rows()[2]
    tests = task.tests(row, "all")
    empty = sum(test.output == "[]" for test in tests)
    assert 0 < empty < len(tests)
    lazy = "class Solution:\n    def pairWithSum(self, nums, target): return []"
    crash = "import os\nclass Solution:\n    def pairWithSum(self, nums, target):\n" \
            "        if len(nums) > 3: os._exit(0)\n        return []"  # fmt: skip
    short = sum(t.output == "[]" and len(json.loads(t.input.split("\n")[0])) <= 3 for t in tests)
    assert reward(task, "all", "own_pair", lazy, crash, row["solution"], "pass") == [
        empty / len(tests), short / len(tests), 1.0, 0.0,
    ]  # fmt: skip


def test_lcb_function_without_class_and_imports(make: Any) -> None:
    task = make("lcb", data=str(livecodebench.EXAMPLES), since=None)
    plain = "def isMirror(word): return word == word[::-1]"
    bare = "class Solution:\n    def isMirror(self, word: Optional[str]) -> bool:\n" \
           "        return deque(word) == deque(reversed(word))"  # fmt: skip
    assert reward(task, "all", "own_mirror", plain, bare) == [1.0, 1.0]


def test_lcb_answers_without_program(make: Any) -> None:
    task = make("lcb", data=str(livecodebench.EXAMPLES))
    texts = ["", "6", "```cpp\nint main;\n```", [], [{"role": "assistant", "content": None}]]
    ids = ["own_sum"] * len(texts)
    assert task.verify(texts, problem_id=ids, tests=["test"] * len(texts)) == [0.0] * len(texts)
    assert not task.failures


def test_lcb_dates_and_versions(make: Any, tmp_path: Path) -> None:
    path = str(livecodebench.EXAMPLES)
    assert make("lcb", data=path).rows("test")["problem_id"] == ["own_sum", "own_mean", "own_pair"]
    assert make("lcb", data=path, since=None, until="2024-12-31").rows("test")["problem_id"] == [
        "own_mirror"
    ]
    assert make("lcb").source("test").files == ("test6.jsonl",)
    assert make("lcb", version="release_v3").source("test").files == (
        "test.jsonl", "test2.jsonl", "test3.jsonl",
    )  # fmt: skip
    with pytest.raises(ValueError, match="none of the 4 rows"):
        make("lcb", data=path, since="2030-01-01").rows("test")
    for options, words in (
        ({"version": "v7"}, "version is 'v7'; LiveCodeBench has v1"),
        ({"since": "May"}, "since is 'May'; write a date"),
        ({"reward": "most"}, "reward is 'most'"),
        ({"sandbox": "docker"}, "sandbox is 'docker'"),
        ({"memory_mb": 1}, "memory_mb is 1"),
        ({"workers": 0}, "workers is 0"),
        ({"seconds": 0}, "seconds is 0; the tests of a program need more"),
        ({"packages": "numpy"}, r"give a list: \[numpy\]"),
        ({"tolerance": 1}, "has no option 'tolerance'"),
    ):
        with pytest.raises(ValueError, match=words):
            make("lcb", **options)


def test_lcb_from_the_hub(make: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its splits are files of the repository, since data sets no longer run loading scripts."""
    asked = []

    def fetch(hub_id: str, name: str, *, repo_type: str, revision: str | None) -> str:
        asked.append((hub_id, name, repo_type, revision))
        return rows.write(tmp_path / name, [lcb_rows()[len(asked) - 1]])

    monkeypatch.setattr("huggingface_hub.hf_hub_download", fetch)
    task = make("lcb", version="release_v2", since=None, revision="abc")
    assert task.rows("all")["problem_id"] == ["own_sum", "own_mean"]
    hub_id = "livecodebench/code_generation_lite"
    assert asked == [
        (hub_id, "test.jsonl", "dataset", "abc"), (hub_id, "test2.jsonl", "dataset", "abc"),
    ]  # fmt: skip
    assert task.data_state("all").state in ("missing", "downloadable")


def test_lcb_folder_of_versions(make: Any, tmp_path: Path) -> None:
    """A copy of the repository holds a file for each version."""
    for number, row in enumerate(lcb_rows()[:3], 4):
        rows.write(tmp_path / f"test{number}.jsonl", [row])
    rows.write(tmp_path / "test.jsonl", lcb_rows()[3:])
    task = make("lcb", data=str(tmp_path), version="v5", since=None)
    assert task.rows("all")["problem_id"] == ["own_mean"]


def test_lcb_row_that_cannot_be_read_costs_its_item(
    make: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = lcb_rows()[:2]
    broken[0]["private_test_cases"] = "garbage!"
    task = make("lcb", data=rows.write(tmp_path / "lcb.jsonl", broken))
    logged: dict[str, float] = {}
    rewards = task.verify(
        [answer(broken[0]["solution"]), answer(broken[1]["solution"])],
        problem_id=["own_sum", "own_mean"],
        tests=["test", "test"],
        log_metric=logged.__setitem__,
    )
    assert rewards == [0.0, 1.0]
    assert task.failures == {"error": 1} and logged == {"reward/verifier_failures": 0.5}
    assert "1 of 2 programs got reward 0 because the verifier failed" in caplog.text


# --- the others ---


def test_humaneval_on_real_rows(make: Any) -> None:
    if not HUMANEVAL.exists():
        pytest.skip(f"needs the real file {HUMANEVAL}")
    task = make("humaneval", data=str(HUMANEVAL))
    data = task.rows("test")
    assert len(data) == 164 and data[0]["problem_id"] == "HumanEval/0"
    shown = str(data["prompt"])
    assert "METADATA" not in shown and "assert candidate" not in shown
    result = task.validate(limit=8)
    assert (result.rows, result.gold, result.damaged) == (8, 8, 24) and result.ok


@pytest.mark.slow
def test_humaneval_on_all_real_rows(make: Any) -> None:
    if not HUMANEVAL.exists():
        pytest.skip(f"needs the real file {HUMANEVAL}")
    result = make("humaneval", data=str(HUMANEVAL)).validate()
    assert (result.gold, result.damaged, result.disagreements) == (164, 492, ())


def test_humaneval_forms_of_answers(make: Any) -> None:
    if not HUMANEVAL.exists():
        pytest.skip(f"needs the real file {HUMANEVAL}")
    task = make("humaneval", data=str(HUMANEVAL))
    body = (
        "    return any(abs(a - b) < threshold for i, a in enumerate(numbers) for b in numbers[:i])"
    )
    head = "def has_close_elements(numbers: List[float], threshold: float) -> bool:\n"
    forged = "def has_close_elements(*a):\n    raise SystemExit\ndef check(c): pass\ncandidate = 1"
    programs = [head + body, body, "check = lambda c: None", forged, "candidate = check = 1"]
    assert reward(task, "test", "HumanEval/0", *programs) == [1.0, 1.0, 0.0, 0.0, 0.0]
    # A helper of the prompt is there for the program and for the tests, each its own.
    solved = "def find_zero(xs):\n    low, high = -1e4, 1e4\n    for _ in range(200):\n" \
             "        middle = (low + high) / 2\n" \
             "        if poly(xs, low) * poly(xs, middle) <= 0: high = middle\n" \
             "        else: low = middle\n    return low"  # fmt: skip
    cheat = "def find_zero(xs): return 0.0\ndef poly(xs, x): return 0.0"
    assert reward(task, "test", "HumanEval/32", solved, cheat) == [1.0, 0.0]


def test_mbpp(make: Any, tmp_path: Path) -> None:
    path = rows.write(tmp_path / "mbpp.jsonl", rows.MBPP)
    task = make("mbpp", data=path)
    text = task.rows("train")[0]["prompt"][1]["content"]
    assert "assert add(1, 2) == 3" in text and "assert add(5, 7)" not in text
    assert "add(5, 7)" in str(make("mbpp", data=path, shown_tests=3).rows("test")[0]["prompt"])
    result = task.validate("train")
    assert (result.rows, result.gold, result.damaged, result.disagreements) == (4, 4, 12, ())
    with pytest.raises(ValueError, match=r"both splits, 'train' and 'test', to .*mbpp"):
        task.rows("test")
    share = make("mbpp", data=path, reward="share")
    shown_only = "def add(a, b):\n    return 3"
    assert reward(share, "train", "mbpp/901", shown_only) == [pytest.approx(1 / 3)]
    assert reward(task, "train", "mbpp/901", shown_only) == [0.0]
    hasty = make("mbpp", data=path, seconds=1e-9)
    assert reward(hasty, "train", "mbpp/901", "def add(a, b): return a + b") == [0.0]
    assert not hasty.failures


@pytest.mark.slow
def test_evalplus(make: Any, tmp_path: Path) -> None:
    """Rows of HumanEval+ and MBPP+, whose tests are programs that use numpy."""
    data = rows.write(tmp_path / "he.jsonl", rows.HUMANEVAL_PLUS)
    task = make("humaneval", data=data, plus=True)
    assert task.source("test").hub_id == "evalplus/humanevalplus"
    result = task.validate()
    assert (result.gold, result.damaged, result.disagreements) == (1, 3, ())
    nearly = "def halves(x): return [y / 2 + 1e-9 for y in x]"
    array = "import numpy as np\ndef halves(x): return np.array(x) / 2"
    late = "def halves(x): return [y / 2 for y in x] if x[0] < 299 else []"
    # What compares an array is no truth, in EvalPlus too.
    assert reward(task, "test", "HumanEval/900", nearly, array, late) == [1.0, 0.0, 0.0]
    task = make("mbpp", data=rows.write(tmp_path / "mbpp.jsonl", rows.MBPP_PLUS), plus=True)
    assert task.training_split is None and task.splits == ("test",)
    assert task.source("test").hub_id == "evalplus/mbppplus"
    result = task.validate()
    assert (result.gold, result.damaged, result.disagreements) == (1, 3, ())
    assert reward(task, "test", "mbpp/2", "def shared(a, b): return (4, 5)") == [0.0]


def test_problems_that_need_a_checker_are_counted(
    make: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = EXAMPLES / "codeforces.jsonl"
    data = [json.loads(line) for line in path.read_text().splitlines()]
    any_of = "If there are multiple answers, print any of them."
    data += [
        data[0] | {"id": "1/X", "output_format": any_of},
        data[0] | {"id": "1/Y", "output_format": any_of, "generated_checker": "print(1)"},
    ]
    make("codeforces", data=rows.write(tmp_path / "cf.jsonl", data)).rows("test")
    assert "codeforces: 1 of 5 problems of split test accept many answers" in caplog.text
    caplog.clear()
    contests = [rows.CODE_CONTESTS[0] | {"name": "1_C", "description": any_of}]
    make("code-contests", data=rows.write(tmp_path / "cc.jsonl", contests)).rows("train")
    assert "code-contests: 1 of 1 problems" in caplog.text


@pytest.mark.parametrize(
    ("statement", "many"),
    [
        ("If there are several solutions, print any.", True),
        ("Output any valid permutation.", True),
        ("You may print the indices in any order.", True),
        ("There exist many possible ways to do it; any will do", True),
        ("Print YES or NO. You can print each letter in any case.", False),
        ("Is there any number that divides both?", False),
        ("Print the smallest answer.", False),
    ],
)
def test_statements_with_many_answers(statement: str, many: bool) -> None:
    assert accepts_many(statement) == many


def test_codeforces(make: Any, tmp_path: Path) -> None:
    path = EXAMPLES / "codeforces.jsonl"
    data = [json.loads(line) for line in path.read_text().splitlines()]
    for number, change in enumerate(
        ({"input_mode": "file"}, {"interaction_format": "?"}, {"official_tests_complete": False})
    ):
        data.append(data[0] | {"id": f"left/out{number}"} | change)
    task = make("codeforces", data=rows.write(tmp_path / "cf.jsonl", data))
    found = task.rows("test")
    assert found["problem_id"] == ["own/A", "own/B", "own/C"]
    text = found[0]["prompt"][1]["content"]
    for part in ("# Bigger Half", "## Input", "## Output", "## Example 1", "4 3"):
        assert part in text
    assert task.validate("test").ok
    assert reward(
        task, "test", "own/A", "n = int(input())\nprint((n + 1) // 2)\nprint(n // 2)"
    ) == [1]
    any_way = "n = int(input())\nprint(n // 2, n - n // 2)"
    assert reward(task, "test", "own/B", any_way, "print(input(), 0)", "print('1 99')") == [1, 0, 0]
    rough = "print(f'{float(input()) ** 0.5:.3f}')"
    exact = "print(f'{float(input()) ** 0.5:.8f}')"
    assert reward(task, "test", "own/C", exact, rough) == [1, 0]
    loose = make("codeforces", data=str(path), tolerance=0.01)
    assert reward(loose, "test", "own/C", rough) == [1]


def test_code_contests(make: Any, tmp_path: Path) -> None:
    path = rows.write(tmp_path / "cc.jsonl", rows.CODE_CONTESTS)
    task = make("code-contests", data=path)
    assert task.rows("train")["problem_id"] == ["1_A. Doubles"]
    row = rows.CODE_CONTESTS[0]
    problem = task.problem(row, "train")
    assert [t.input for t in problem.tests] == ["1\n", "5\n", "0\n", "-3\n"]
    assert problem.cpu_seconds == 2.5
    assert len(make("code-contests", data=path, generated=False).problem(row, "test").tests) == 3
    result = task.validate("train")
    assert (result.rows, result.gold, result.damaged, result.disagreements) == (1, 2, 9, ())


def test_own_rows_validate(make: Any) -> None:
    """What `scgrpo tasks --validate` shows where the published data has no solutions."""
    lcb = make("lcb").validate()
    assert (lcb.rows, lcb.gold, lcb.damaged) == (4, 4, 14) and lcb.ok


def test_without_isolation_no_task_begins(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise probe.NoIsolation("bubblewrap is not installed; apt-get install bubblewrap")

    monkeypatch.setattr(probe, "find_isolation", refuse)
    task = make("lcb", data=str(livecodebench.EXAMPLES))
    with pytest.raises(ValueError, match="apt-get install bubblewrap"):
        task.rows("train")
    assert make("lcb", data=str(livecodebench.EXAMPLES), sandbox="subprocess").rows("train")


def test_data_that_programs_could_read_are_refused(make: Any) -> None:
    """A data set in a folder of the interpreter's; nothing is written there."""
    for folder in (Path(json.__file__).parent, Path(numpy.__file__).parent):
        with pytest.raises(ValueError, match="which lies in a folder that every program sees"):
            make("lcb", data=str(folder / "test6.jsonl")).rows("test")


def test_a_sandbox_that_does_not_start_is_a_failure(make: Any) -> None:
    from scgrpo.tasks.sandbox import SandboxError

    task = make("lcb", data=str(livecodebench.EXAMPLES))
    task.rows("test")

    class Broken:
        is_mine = True

        def sandbox(self) -> Any:
            raise SandboxError("fork: resource temporarily unavailable")

        def close(self) -> None: ...

    task._verifier.close()
    task._verifier._pool = Broken()  # type: ignore[assignment]
    assert reward(task, "test", "own_sum", "print(1)") == [0.0]
    assert task.failures == {"sandbox": 1}
