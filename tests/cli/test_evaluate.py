"""`scgrpo evaluate`: engines, where the samples go, what is shown, and what a failure ends with."""

import io
import json
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from peft import LoraConfig, get_peft_model
from rich.console import Console
from typer.testing import CliRunner

from scgrpo.cli import errors
from scgrpo.cli.evaluation_progress import EvaluationProgress
from scgrpo.cli.main import app
from scgrpo.evaluation.records import read_records
from tests.evaluation.counting import CountingTask
from tests.evaluation.engines.server import AT_ONCE, Answer, Call, serving
from tests.trainer.tiny import tiny_dataset, tiny_model, tiny_tokenizer


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)], env={"COLUMNS": "200"})


def shown(output: str) -> dict[str, str]:
    """Measures of the table by name."""
    cells = (line.split("│")[1:3] for line in output.splitlines() if line.count("│") == 3)
    return {name.strip(): value.strip() for name, value in cells}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    return tmp_path


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    tiny_model(initializer_range=0.05).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """`letters`, whose rewards are 1, 0.5 and 0 by the sample's text, and `counting`."""

    def verify(completions: Any, answer: list[str], **_: Any) -> list[float | None]:
        rewards = {"right": 1.0, "nearly": 0.5, "crash": None}
        return [rewards.get(c[0]["content"], 0.0) for c in completions]

    letters = SimpleNamespace(
        rows=lambda split: tiny_dataset(3),
        verify=verify,
        evaluation_splits=("test", "other"),
        trainer_defaults={"max_completion_length": 6},
        failures={"timeout": 2},
    )
    found = {
        "letters": lambda **_: letters,
        "counting": lambda **options: CountingTask(0, 1, **options),
    }
    monkeypatch.setattr("scgrpo.tasks.available_tasks", lambda: list(found))
    monkeypatch.setattr("scgrpo.tasks.load_task", lambda name, **options: found[name](**options))


def by_turns(*texts: str) -> Any:
    """A server that gives the samples of each problem these texts, over and over."""
    given: dict[str, int] = {}

    def respond(call: Call) -> str:
        question = call.body["messages"][-1]["content"]
        given[question] = given.get(question, -1) + 1
        return texts[given[question] % len(texts)]

    return respond


def test_the_numbers_are_those_of_the_rewards() -> None:
    with serving(by_turns("right", "wrong", "nearly", "wrong")) as server:
        common = ("m", "--task", "letters", "--engine", "openai", "--url", server.url, "-k", 4)
        result = run(*common, "--pass-at", "1,2, 4", "--concurrency", 1)
        assert result.exit_code == 0, result.output
        found = shown(result.output)
        # Of 4 samples 1 is solved, 2 from a reward of 0.5: 1 - 3/4 and 1 - (3*2)/(4*3), and so on.
        assert found["Avg@4 [95 %]"] == "0.375 [0.375, 0.375]"
        assert found["Pass@1 [95 %]"] == "0.250 [0.250, 0.250]"
        assert found["Pass@2 [95 %]"] == "0.500 [0.500, 0.500]"
        assert found["Pass@4 [95 %]"] == "1.000 [0.439, 1.000]"  # Wilson's of three
        assert found["problems x samples"] == "3 x 4" and found["tokens a sample"] == "1.0"
        assert found["drawn now"].startswith("12 in ")
        again = shown(run(*common, "--pass-at", "1", "--solve-threshold", 0.5).output)
    assert again["Pass@1 [95 %]"] == "0.500 [0.500, 0.500]"
    assert again["solved from a reward of"] == "0.5"
    assert again["drawn now"].startswith("0 in ")
    assert len(server.calls) == 12
    assert "The verifier itself failed (timeout) 2 times now" in result.output


def test_samples_that_were_not_scored_are_counted_aloud() -> None:
    with serving(by_turns("right", "crash")) as server:
        result = run("m", "--task", "letters", "--engine", "openai", "--url", server.url, "-k", 2)
    assert shown(result.output)["not scored, counted as 0"] == "3"
    assert shown(result.output)["Avg@2 [95 %]"] == "0.500 [0.500, 0.500]"


def test_every_command_has_its_own_file_which_grows(here: Path) -> None:
    with serving(by_turns("right")) as server:
        url = server.url
        common = ("org/model", "--task", "letters", "--engine", "openai", "--url", url)
        assert run(*common, "-k", 1, "--limit", 1).exit_code == 0
        (first,) = (here / "runs/eval").iterdir()
        assert re.fullmatch(r"model-letters-test-[0-9a-f]{8}\.jsonl", first.name)
        assert run(*common, "-k", 2).exit_code == 0
        assert list((here / "runs/eval").iterdir()) == [first]
        assert len(server.calls) == 6
        for change in (
            ("--temperature", 0.5), ("--top-p", 0.5), ("--seed", 1), ("--split", "other"),
            ("--system-prompt", "x"), ("--engine-options", "{top_k: 3}"),
            ("--template-options", "{enable_thinking: false}"), ("--max-new-tokens", 9),
            ("--task-options", "{a: 1}"), ("--api-model", "other"),
        ):  # fmt: skip
            before = set((here / "runs/eval").iterdir())
            assert run(*common, "-k", 1, *change).exit_code == 0
            assert len(set((here / "runs/eval").iterdir()) - before) == 1, change


def test_what_the_server_is_asked(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(by_turns("right")) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url.replace("http://", "http://me:word@"))
        monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
        result = run(
            "org/model", "--task", "letters", "--engine", "openai", "--api-model", "served", "-k",
            1, "--limit", 1, "-o", "out.jsonl", "--template-options", "{enable_thinking: false}",
            "--engine-options", "{top_k: 20}", "--temperature", 0.6, "--top-p", 0.95,
            "--task-options", "{a: 1, since: 2025-01-01}",
            "--system-prompt", "Be brief.",
        )  # fmt: skip
    assert result.exit_code == 0, result.output
    body = server.calls[0].body
    assert (body["model"], body["temperature"], body["top_p"]) == ("served", 0.6, 0.95)
    assert (body["max_tokens"], body["top_k"]) == (6, 20)
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    text = (here / "out.jsonl").read_text()
    assert "secret" not in text and "word" not in text
    (record,) = read_records(here / "out.jsonl")
    wanted = {
        "model": "org/model", "api_model": "served", "engine": "openai", "task": "letters",
        "task_options": {"a": 1, "since": "2025-01-01"}, "split": "test",
        "system_prompt": "Be brief.",
        "template_options": {"enable_thinking": False}, "engine_options": {"top_k": 20},
        "temperature": 0.6,
        "top_p": 0.95, "max_new_tokens": 6, "seed": 0, "url": server.url,
    }  # fmt: skip
    assert {name: record[name] for name in wanted} == wanted


def test_missing_samples_are_a_failure_that_can_be_mended(here: Path) -> None:
    def respond(call: Call) -> Answer | str:
        return "right" if call.number % 2 else Answer("boom", 400)

    with serving(respond) as server:
        call = ("m", "--task", "letters", "--engine", "openai", "--url", server.url, "-k", 2)
        call = (*call, "--concurrency", 1, "-o", "out.jsonl")
        result = run(*call)
        assert result.exit_code == errors.FAILED
        assert result.stderr.startswith("error: 3 of 6 samples are missing")
        assert result.stderr.count("\n") == 1 and "400" in result.stderr
        assert "Avg@" not in result.output and not (here / "out.jsonl").exists()
        server.respond = by_turns("right")
        result = run(*call)
    assert result.exit_code == 0 and len(server.calls) == 9
    assert shown(result.output)["Avg@2 [95 %]"].startswith("1.000")


def test_no_server_is_a_failure_in_one_sentence(here: Path) -> None:
    with serving(by_turns("right")) as server:
        pass
    result = run("m", "--task", "letters", "--engine", "openai", "--url", server.url)
    assert result.exit_code == errors.FAILED
    assert result.stderr.startswith(f"error: no server answers at {server.url}")
    assert result.stderr.count("\n") == 1
    assert not (here / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--engine", "sglang"], "--engine is 'sglang'; choose one of transformers, vllm, openai"),
        (["--engine", "openai"], "needs the address of a server; give --url"),
        (["--url", "http://h"], "--url http://h belongs to --engine openai"),
        (["--engine", "openai", "--url", "h:80"], "url is 'h:80'; give one such as"),
        (["--engine-options", "{a: 1}"], "the transformers engine has none"),
        (["--engine-options", "3"], "write a YAML mapping"),
        (["--template-options", "3"], "write a YAML mapping"),
        (["--pass-at", "9"], "--pass-at is '9'; write numbers from 1 to k = 8, such as 1,8"),
        (["--pass-at", "0"], "write numbers from 1 to k = 8"),
        (["--pass-at", "a,b"], "write numbers from 1 to k = 8"),
        (["--top-p", "0"], "top_p is 0.0"),
    ],
)
def test_mistakes(arguments: list[str], words: str, here: Path) -> None:
    result = run("tiny", "--task", "letters", *arguments)
    assert (result.exit_code, result.stderr.count("\n")) == (errors.MISTAKE, 1), result.output
    assert words in result.stderr
    assert not list(here.iterdir())


def test_vllm_that_is_not_there_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "vllm", None)
    result = run("tiny", "--task", "letters", "--engine", "vllm")
    assert result.exit_code == errors.FAILED
    assert "pip install 'scgrpo[vllm]'" in result.stderr and result.stderr.count("\n") == 1


def test_a_model_trained_further_under_its_name_gets_another_file(
    model_folder: Path, here: Path
) -> None:
    folder = here / "run"
    for name in model_folder.iterdir():
        (folder / "model").mkdir(parents=True, exist_ok=True)
        (folder / "model" / name.name).write_bytes(name.read_bytes())
    call = ("run", "--task", "letters", "-k", 1)
    assert run(*call).exit_code == 0
    assert run(*call).exit_code == 0
    (first,) = (here / "runs/eval").iterdir()
    fixed = (*call, "-o", first)
    tiny_model(seed=5, initializer_range=0.05).save_pretrained(folder / "model")
    assert run(*call).exit_code == 0
    assert len(list((here / "runs/eval").iterdir())) == 2
    result = run(*fixed)
    assert result.exit_code == errors.MISTAKE and "holds samples with fingerprint" in result.stderr


def test_an_adapter_is_evaluated_on_its_base(model_folder: Path, here: Path) -> None:
    base = type(tiny_model()).from_pretrained(model_folder)
    adapted = get_peft_model(base, LoraConfig(r=2, init_lora_weights=False))
    adapted.save_pretrained(here / "adapter")
    tiny_tokenizer().save_pretrained(here / "adapter")
    common = ("--task", "letters", "-k", 2, "--max-new-tokens", 12)
    assert run("adapter", *common, "-o", "a.jsonl").exit_code == 0
    assert run(model_folder, *common, "-o", "b.jsonl").exit_code == 0
    texts = [[r["completion"] for r in read_records(here / f)] for f in ("a.jsonl", "b.jsonl")]
    assert texts[0] != texts[1]


def test_a_task_that_is_played() -> None:
    def respond(call: Call) -> str:
        return "stop" if call.body["messages"][-1]["content"].endswith("at 0") else "next"

    with serving(respond) as server:
        call = ("m", "--task", "counting", "--engine", "openai", "--url", server.url, "-k", 2)
        result = run(*call, "-o", "out.jsonl")
        cut = run(*call, "--max-turns", 1)
    found = shown(result.output)
    assert found["Avg@2 [95 %]"].startswith("1.000") and found["turns an episode"] == "1.5"
    assert shown(cut.output)["ended by the limit of turns"] == "50%"
    first = read_records(Path("out.jsonl"))[0]
    assert (first["max_turns"], first["max_new_tokens"]) == (6, 1024)
    assert [m["role"] for m in first["messages"]] == ["system", "user", "assistant"]


def test_progress_counts_what_is_drawn_now() -> None:
    now = [100.0]
    console = Console(file=io.StringIO(), force_terminal=False, width=200)
    with EvaluationProgress(console, clock=lambda: now[0]) as progress:
        now[0] = 500.0  # the model was loaded
        progress.start()
        now[0] = 510.0
        progress.observe([{"tokens": 100}, {"tokens": None}])
        progress.update(52, 100)  # 50 were there already
        now[0] = 540.0
        progress.observe([{"tokens": 1900}] * 2)
        progress.update(54, 100)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    # 4 samples and 3,900 tokens in 40 s; 46 are left at 0.1 a second.
    assert text == "54/100 samples  0.10 samples/s  98 tokens/s  7:40 left\n"


def test_a_long_first_batch_is_seen_to_go_on() -> None:
    now = [0.0]
    console = Console(file=io.StringIO(), force_terminal=False, width=200)
    with EvaluationProgress(console, clock=lambda: now[0]) as progress:
        progress.update(0, 80)
        for place in range(1, 100):
            now[0] += 1.0
            progress.token(place)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines == [f"0/80 samples  token {place} of this batch" for place in (30, 60, 90)]


def test_it_says_at_once_what_it_will_draw(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = (model_folder, "--task", "letters", "-k", 2, "--limit", 2)
    assert run(*call).output.startswith(
        f"evaluating {model_folder} on letters, test: 2 problems x 2 samples\n"
    )
    more = run(*call[:-1], 3)
    assert "test: 3 problems x 2 samples, of which 4 are there\n" in more.output
    monkeypatch.setattr("scgrpo.evaluation.load_engine._load", None)  # before anything is loaded
    unloaded = run(*call[:3], "-k", 1, "--seed", 1)
    assert unloaded.exit_code and "test: 3 problems x 1 sample\n" in unloaded.output


def test_records_are_json(model_folder: Path, here: Path) -> None:
    assert run(model_folder, "--task", "letters", "-k", 1, "-o", "out.jsonl").exit_code == 0
    for line in (here / "out.jsonl").read_text().splitlines():
        record = json.loads(line)
        assert record["max_new_tokens"] == 6 and len(record["fingerprint"]) == 16


@pytest.mark.slow
def test_an_interrupt_keeps_what_was_drawn(here: Path) -> None:
    stop, begun = threading.Event(), threading.Event()

    def respond(call: Call) -> str:
        if call.number < 5:
            return "1"
        begun.set()
        stop.wait(60)
        return "never read"

    with serving(respond) as server:
        command = [sys.executable, "-m", "scgrpo.cli", "evaluate", "m", "--engine", "openai"]
        command += ["--url", server.url, "--limit", "4", "-o", "out.jsonl", "--concurrency", "2"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        partial = here / "out.jsonl.partial"
        assert begun.wait(120)
        while not partial.exists() or partial.read_text().count("\n") < 5:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        stop.set()
    assert process.returncode == errors.INTERRUPTED
    assert said == "interrupted: the same command goes on from what was saved.\n"
    assert partial.read_text().count("\n") == 5 and not (here / "out.jsonl").exists()


def test_a_busy_server_is_waited_for() -> None:
    def respond(call: Call) -> Answer | str:
        return Answer("later", 429, AT_ONCE) if call.attempt == 0 else "right"

    with serving(respond) as server:
        result = run("m", "--task", "letters", "--engine", "openai", "--url", server.url, "-k", 1)
    assert result.exit_code == 0 and len(server.calls) == 6
