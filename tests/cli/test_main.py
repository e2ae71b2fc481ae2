"""The commands as a user meets them: help, exit codes, sentences for mistakes."""

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import scgrpo
from scgrpo.cli import errors
from scgrpo.cli.main import app
from tests.trainer.tiny import tiny_dataset, tiny_model, tiny_tokenizer

COMMANDS = (
    "demo", "train", "evaluate", "compare", "tasks", "presets", "doctor", "report", "watch",
    "build-base",
)  # fmt: skip


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": "200"})


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    tiny_model(initializer_range=0.05).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def letters(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task `letters` whose answer is a letter of the prompt."""

    def verify(completions: Any, answer: list[str], **_: Any) -> list[float]:
        return [float(a in c[0]["content"]) for a, c in zip(answer, completions, strict=True)]

    task = SimpleNamespace(
        rows=lambda split: tiny_dataset(3),
        verify=verify,
        trainer_defaults={"max_completion_length": 6},
    )
    importlib.import_module("scgrpo.runs.data")  # else it would keep this task for ever
    monkeypatch.setattr("scgrpo.tasks.available_tasks", lambda: ["letters"], raising=False)
    monkeypatch.setattr("scgrpo.tasks.load_task", lambda name, **_: task, raising=False)


@pytest.mark.parametrize("option", ["--help", "presets", "--version"])
def test_what_says_what_there_is_imports_nothing_heavy(option: str) -> None:
    code = (
        "import sys\n"
        f"sys.argv = ['scgrpo', {option!r}]\n"
        "from scgrpo.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "heavy = {'torch', 'trl', 'transformers', 'datasets', 'numpy'} & set(sys.modules)\n"
        "unread = {'yaml', 'importlib.metadata', 'scgrpo.runs.config_reader'} & set(sys.modules)\n"
        "assert not unread or sys.argv[1] != '--help', unread\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    if option == "--help":
        assert all(command in done.stdout for command in COMMANDS)
        assert "130 interrupted" in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_help_of_train_names_every_key_and_an_example() -> None:
    from scgrpo.runs.config_reader import run_keys

    text = run("train", "--help").output
    assert all(f" {name} " in text for name in run_keys())
    assert "my_reward.py:verify" in text and "accelerate launch" in text


def test_version() -> None:
    assert run("--version").output.strip() == f"scgrpo {scgrpo.__version__}"


def test_list_keys() -> None:
    text = run("train", "--list-keys").output
    assert "learning_rate  float" in text and "threshold_percentile" in text


def test_presets_shows_the_three_choices() -> None:
    result = run("presets")
    assert result.exit_code == 0
    row = next(text for text in result.output.splitlines() if "sc-grpo" in text)
    assert "self" in row and "weight" in row and "own verified rollout" in row


def test_doctor_knows_this_installation(letters: None) -> None:
    result = run("doctor")
    assert result.exit_code == 0
    for part in ("trl", "TRL hooks", "vllm", "CUDA", "sandbox", "seccomp", "letters"):
        assert part in result.output


@pytest.mark.slow
def test_doctor_is_quick_and_leaves_the_package_as_it_is(tmp_path: Path) -> None:
    """In a copy that nothing was compiled in, whose files and times stay the same."""
    package = tmp_path / "site" / "scgrpo"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(scgrpo.__file__).parent, package, ignore=ignored)
    before = {path: path.stat().st_mtime_ns for path in package.rglob("*")}
    code = (
        "import sys\n"
        "sys.argv = ['scgrpo', 'doctor']\n"
        "from scgrpo.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "import scgrpo\nassert scgrpo.__file__.startswith(sys.path[1]), scgrpo.__file__\n"
        "heavy = {'torch', 'trl', 'transformers', 'datasets', 'accelerate'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", code],
        capture_output=True, text=True, timeout=60, cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(package.parent)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in package.rglob("*")} == before


def test_doctor_fails_on_unknown_hooks(monkeypatch: pytest.MonkeyPatch, letters: None) -> None:
    monkeypatch.setattr("scgrpo.cli.doctor.problems_in_source", lambda: ["GRPOTrainer._x is gone"])
    result = run("doctor")
    assert result.exit_code == 1
    assert "GRPOTrainer._x is gone" in result.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "--learning_rat", "1"], "did you mean 'learning_rate'?"),
        (["train", "--learning_rate", "fast"], "it must be a number"),
        (["train", "--config", "none.yaml"], "none.yaml does not exist"),
        (["train", "--preset", "sc-gpro"], "did you mean 'sc-grpo'?"),
        (["train", "stray"], "belongs to no key"),
        (["evaluate", "tiny", "--task", "leters"], "did you mean 'letters'?"),
        (["evaluate", "tiny", "--task", "letters", "--task-options", "3"], "write a YAML mapping"),
        (["evaluate", "."], "holds no model"),
        (["report", "."], "is no run folder"),
        (["compare", "a.jsonl", "b.jsonl"], "no evaluation records at a.jsonl"),
    ],
)
def test_mistakes_end_with_a_sentence(
    arguments: list[str], words: str, letters: None, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    if arguments == ["evaluate", "."]:
        arguments = [*arguments, "--task", "letters"]
    result = run(*arguments)
    assert result.exit_code == errors.MISTAKE
    assert result.stderr.count("\n") == 1 and result.stderr.startswith("error: ")
    assert words in result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [["evaluate"], ["demo", "--steps", "x"], ["nothing"]])
def test_usage_errors_exit_with_2(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == errors.MISTAKE


def test_evaluate_shows_and_keeps(model_folder: Path, letters: None, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    call = ("evaluate", model_folder, "--task", "letters", "-k", 2, "--limit", 2, "-o", output)
    result = run(*call)
    assert result.exit_code == 0, result.output
    assert "Avg@2" in result.output and "Pass@2" in result.output and "2 x 2" in result.output
    rows = [json.loads(text) for text in output.read_text().splitlines()]
    assert [(r["problem_id"], r["sample"]) for r in rows] == [
        ("0", 0),
        ("0", 1),
        ("1", 0),
        ("1", 1),
    ]
    assert all(r["tokens"] <= 6 for r in rows)
    other = tmp_path / "other.jsonl"
    assert run(*call[:-1], other, "--seed", 1).exit_code == 0
    compared = run("compare", output, other)
    assert compared.exit_code == 0
    assert "2 problems in both" in compared.output
    missing = run("compare", output, other, "--split", "ood")
    assert (missing.exit_code, "it has: heldout" in missing.stderr) == (errors.MISTAKE, True)


def test_evaluate_takes_a_run_folder(
    model_folder: Path, letters: None, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").symlink_to(model_folder)
    result = run("evaluate", tmp_path, "--task", "letters", "-k", 1, "--limit", 1)
    assert result.exit_code == 0, result.output


def test_build_base_makes_a_model_that_evaluates(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "base"
    result = run("build-base", folder, "--steps", 2, "--task-options", "{steps: 1}")
    assert result.exit_code == 0, result.output
    assert "step 2/2" in result.output and (folder / "config.json").is_file()
    result = run("evaluate", folder, "-k", 2, "--limit", 2)
    assert result.exit_code == 0, result.output
    result = run("build-base", folder, "--corpus-options", "{nothing: 1}")
    assert (result.exit_code, "it may set" in result.stderr) == (errors.MISTAKE, True)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ValueError("two\nlines"), errors.MISTAKE),
        (errors.Failure("x"), errors.FAILED),
        (FileNotFoundError("x"), errors.FAILED),
        (KeyboardInterrupt(), errors.INTERRUPTED),
    ],
)
def test_exit_codes(error: BaseException, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    @errors.guarded
    def command() -> None:
        raise error

    with pytest.raises(typer.Exit) as caught:
        command()
    assert caught.value.exit_code == code
    assert capsys.readouterr().err.count("\n") == 1


def test_rewards_and_checkpoints_that_fail_are_failures() -> None:
    from scgrpo.trainer.checkpoint import CheckpointError
    from scgrpo.trainer.rewards import RewardError

    assert errors.exit_code(RewardError("x")) == errors.FAILED
    assert errors.exit_code(CheckpointError("x")) == errors.FAILED


def test_defects_keep_their_traceback_and_debug_shows_all(monkeypatch: Any) -> None:
    def command(error: Exception) -> None:
        raise error

    with pytest.raises(ZeroDivisionError):
        errors.guarded(command)(ZeroDivisionError())
    monkeypatch.setattr(errors.Debugging, "on", True)
    with pytest.raises(ValueError, match="shown"):
        errors.guarded(command)(ValueError("shown"))


def test_debug_may_stand_last() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scgrpo.cli", "compare", "a.jsonl", "b.jsonl", "--debug"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "Traceback" in done.stderr and "no evaluation records at a.jsonl" in done.stderr


def test_list_keys_says_what_a_run_has_and_takes_a_word() -> None:
    text = run("train", "--list-keys").output
    assert "max_steps  int  default 200" in text  # TRL's own is -1
    heads = ["Keys of a run", "The method", "trl.GRPOConfig", "transformers.TrainingArguments"]
    assert sorted(heads, key=text.index) == heads
    some = run("train", "--list-keys", "learning-rate").output
    assert "learning_rate  float" in some and "threshold_percentile" not in some
    assert "did you mean 'learning_rate'" in run("train", "--list-keys", "lerning_rate").stderr


@pytest.mark.parametrize(
    ("word", "key", "other"),
    [
        ("lr", "learning_rate", "hub_private_repo"),  # whose help has "already"
        ("epochs", "num_train_epochs", "seed"),
        ("learning rate", "learning_rate", "seed"),
        ("signed-contrast", "weight", "seed"),  # in the help of which it has a dash
    ],
)
def test_a_word_for_list_keys_may_be_short_or_have_dashes(word: str, key: str, other: str) -> None:
    names = re.findall(r"^(\w+)  ", run("train", "--list-keys", *word.split()).output, re.M)
    assert key in names and other not in names


def test_dashes_and_underscores_are_the_same(tmp_path: Path) -> None:
    for option in ("--batch_tokens", "--batch-tokens"):
        assert "Invalid value for '--batch-tokens'" in run("evaluate", "x", option, "0").stderr
    (tmp_path / "run.yaml").write_text("eval-k: 0\n")
    assert "eval_k is 0" in run("train", "--config", tmp_path / "run.yaml").stderr


@pytest.mark.parametrize(
    ("written", "meant"),
    [("lr", "learning_rate"), ("batch_size", "per_device_train_batch_size"), ("sed", "seed")],
)
def test_what_was_meant_is_suggested(written: str, meant: str) -> None:
    assert f"did you mean '{meant}'" in run("train", f"--{written}", "1").stderr
