"""Evaluations render and sample as training does: beside it, and on the command line."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from scgrpo.cli.main import app
from scgrpo.evaluation.records import read_records
from scgrpo.files import read_jsonl
from scgrpo.run_folder import RunFolder
from scgrpo.runs.data import Source
from scgrpo.runs.models import as_in_training
from scgrpo.runs.run import _evaluation
from scgrpo.runs.run_config import RunConfig
from tests.trainer.runs import config, trainer, vowels
from tests.trainer.tiny import TEMPLATE, tiny_dataset, tiny_model, tiny_tokenizer

THINKING = TEMPLATE.replace(
    "<bot>{% endif %}", "<bot>{% if enable_thinking is false %}[no]{% endif %}{% endif %}"
)
"""Ends a prompt in an empty think block where thinking is turned off."""
SAMPLED = {
    "temperature": 0.5, "top_p": 0.9, "top_k": 5, "min_p": 0.05, "repetition_penalty": 1.2,
}  # fmt: skip


def test_beside_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    args = config(
        tmp_path, max_steps=1, per_device_train_batch_size=8, max_completion_length=4,
        chat_template_kwargs={"enable_thinking": False}, **SAMPLED,
    )  # fmt: skip
    tokenizer = tiny_tokenizer(THINKING)
    run = trainer(args, processing_class=tokenizer)
    source = Source(run.train_dataset, {"heldout": tiny_dataset(2)}, vowels, "math")
    folder = RunFolder(tmp_path / "run")
    evaluation = _evaluation(run, RunConfig(eval_steps=1, eval_k=2), source, folder, lambda _: None)
    prompts: list[list[str]] = []
    generate = run.model.generate

    def noting(input_ids: Any, **options: Any) -> Any:
        prompts.append(tokenizer.batch_decode(input_ids))
        return generate(input_ids=input_ids, **options)

    monkeypatch.setattr(run.model, "generate", noting)
    run.add_callback(evaluation)
    run.train()
    assert len(prompts) == 3  # before the first step, in it, and after it
    assert all(text.endswith("<end><bot>[no]") for batch in prompts for text in batch)
    for record in read_jsonl(folder.evaluation(1)):
        assert {name: record[name] for name in SAMPLED} == SAMPLED
        assert record["template_options"] == {"enable_thinking": False}


@pytest.fixture
def run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run whose config says how it sampled."""
    monkeypatch.chdir(tmp_path)
    folder = RunFolder(tmp_path / "run")
    for place in (folder.model, folder.checkpoints / "checkpoint-1"):
        tiny_model(initializer_range=0.05).save_pretrained(place)
        tiny_tokenizer(THINKING).save_pretrained(place)
    thinking = {"chat_template_kwargs": {"enable_thinking": False}}
    folder.config.write_text(yaml.safe_dump({"trainer": SAMPLED | thinking}))
    return folder.path


@pytest.mark.parametrize("place", ["run", "run/model", "run/checkpoints/checkpoint-1"])
def test_folders_of_a_run_say_how_it_sampled(run_folder: Path, place: str) -> None:
    assert as_in_training(place) == SAMPLED | {"template_options": {"enable_thinking": False}}


def test_other_models_say_nothing(run_folder: Path, tmp_path: Path) -> None:
    tiny_model().save_pretrained(tmp_path / "elsewhere" / "model")
    assert as_in_training(str(tmp_path / "elsewhere" / "model")) == {}
    assert as_in_training("tiny") == {}
    assert as_in_training("Qwen/Qwen3-8B") == {}


def evaluated(*arguments: object) -> dict[str, Any]:
    fixed = ("--task-options", "{steps: 1}", "--limit", 1, "-k", 1, "--max-new-tokens", 4)
    command = ["evaluate", *map(str, (*arguments, *fixed, "--output", "out.jsonl"))]
    done = CliRunner().invoke(app, command, env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    (record,) = read_records(Path("out.jsonl"))
    return record


@pytest.mark.parametrize("place", ["run", "run/model"])
def test_on_the_command_line(run_folder: Path, place: str) -> None:
    record = evaluated(place)
    assert {name: record[name] for name in SAMPLED} == SAMPLED
    assert record["template_options"] == {"enable_thinking": False}


def test_what_the_command_says_comes_first(run_folder: Path) -> None:
    said = ("--temperature", 0, "--top-k", 0, "--min-p", 0, "--template-options", "{a: 1}")
    record = evaluated("run", *said, "--repetition-penalty", 1)
    assert (record["temperature"], record["top_p"]) == (0, 0.9)
    assert not {"top_k", "min_p", "repetition_penalty"} & set(record)
    assert record["template_options"] == {"enable_thinking": False, "a": 1}
