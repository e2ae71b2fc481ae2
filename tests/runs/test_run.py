"""A run from its config to its folder: what is written, what resumes, what is refused."""

import json
import math
import shutil

import pyarrow.parquet as pq
import pytest
import yaml
from rich.console import Console
from transformers import TrainerCallback

from scgrpo.cli.progress import ProgressDisplay
from scgrpo.embedded.loading import load_policy
from scgrpo.files import read_jsonl, write_atomically
from scgrpo.mistakes import ConfigError
from scgrpo.run_folder import RunFolder
from scgrpo.runs.models import find_model
from scgrpo.runs.resuming import free_name
from scgrpo.runs.run import alone, run_folder, train
from scgrpo.runs.run_config import RunConfig
from scgrpo.trainer.checkpoint import CheckpointError
from scgrpo.trainer.manifest import begin_checkpoint

TRAINER = {"max_steps": 4, "save_steps": 2, "per_device_train_batch_size": 16}


def config(folder, **overrides):
    fields = {"eval_steps": 2, "eval_problems": 4, "eval_k": 2, "rollout_steps": 2}
    trainer = TRAINER | overrides.pop("trainer", {})
    return RunConfig(output_dir=str(folder), trainer=trainer, **fields | overrides)


JUDGE = "tests.runs.test_run:judge"


def judge(completions, answer, **_):
    return [float(a in c[0]["content"]) for c, a in zip(completions, answer, strict=True)]


class Stopped(Exception):
    """Raised before the first step."""


class StopAtOnce(TrainerCallback):
    def on_step_begin(self, *_, **__):
        raise Stopped


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return RunFolder(train(config(tmp_path_factory.mktemp("runs"))))


def test_folder_has_what_the_docs_promise(run):
    assert run.path.name == "sc-grpo-synthetic-s0"
    described = yaml.safe_load(run.config.read_text())
    assert described["method"]["preset"] == "sc-grpo"
    assert described["method"]["threshold_percentile"] == 75.0
    assert described["trainer"]["learning_rate"] == 1e-4
    assert {"torch", "trl", "scgrpo", "python"} <= set(described["versions"])
    rows = read_jsonl(run.metrics)
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    logged = {"reward", "entropy", "credit/threshold_c", "time/teacher_pass", "memory/peak"}
    assert all(logged <= set(row) for row in rows)
    assert "eval/heldout/avg@2" in rows[1] and "eval/ood/pass@2" in rows[3]
    assert sorted(p.name for p in run.checkpoints.glob("checkpoint-*")) == [
        "checkpoint-2",
        "checkpoint-4",
    ]
    assert (run.model / "model.safetensors").exists()
    assert not list(run.path.rglob("*.tmp"))


def test_evaluations_hold_every_sample(run):
    for step in (0, 2, 4):
        rows = read_jsonl(run.evaluation(step))
        assert len(rows) == 2 * 4 * 2
        assert {row["split"] for row in rows} == {"heldout", "ood"}
        assert all(row["step"] == step and row["reward"] in (0.0, 1.0) for row in rows)


def test_rollouts_hold_every_token(run):
    tables = sorted((run.path / "rollouts").iterdir())
    assert [t.name for t in tables] == ["step_000000.parquet", "step_000002.parquet"]
    rows = pq.read_table(tables[0]).to_pylist()
    assert len(rows) == 16
    for row in rows:
        assert "".join(row["tokens"]).replace("<|end|>", "") == row["completion"]
        assert len(row["weight"]) == len(row["tokens"]) == len(row["completion_ids"])
        if row["kl"] is not None:
            assert len(row["teacher_top"]) == len(row["tokens"])
            assert row["reference_text"]
            assert len(row["logp"]) == len(row["teacher_logp"]) == len(row["tokens"])
            assert max(*row["logp"], *row["teacher_logp"]) < 1e-6
            for name, logp in (("student_top", "logp"), ("teacher_top", "teacher_logp")):
                for token, tops, said in zip(row["tokens"], row[name], row[logp], strict=True):
                    likeliest = {top["token"]: top["prob"] for top in tops}
                    if token in likeliest:  # as the base's tokens are distinct as text
                        assert math.exp(said) == pytest.approx(likeliest[token], rel=1e-3)
        is_mark = [token == "<|end|>" for token in row["tokens"]]
        assert row["special"] == is_mark
        assert row["messages"][-1]["role"] == "user"
        assert row["messages"][-1]["content"] in row["prompt"]
    problems = {(row["group"], row["problem"]) for row in rows}
    assert len(problems) == len({group for group, _ in problems}) == 2


def test_the_same_command_again_changes_nothing(run, tmp_path):
    before = run.metrics.read_text()
    again = config(run.path.parent)
    assert train(again) == run.path
    assert run.metrics.read_text() == before


def test_a_model_that_was_not_saved_yet_comes_from_the_last_checkpoint(run):
    weights = (run.model / "model.safetensors").read_bytes()
    shutil.rmtree(run.model)
    train(config(run.path.parent))
    assert (run.model / "model.safetensors").read_bytes() == weights
    assert [row["step"] for row in read_jsonl(run.metrics)] == [1, 2, 3, 4]


@pytest.mark.slow
def test_stopped_run_goes_on_and_logs_each_step_once(tmp_path):
    whole = RunFolder(train(config(tmp_path / "whole", trainer={"max_steps": 4})))
    folder = RunFolder(train(config(tmp_path / "cut", trainer={"max_steps": 4})))
    for name in ("checkpoints/checkpoint-4", "model"):
        for file in (folder.path / name).iterdir():
            file.unlink()
    train(config(tmp_path / "cut", trainer={"max_steps": 4}))
    first, second = read_jsonl(whole.metrics), read_jsonl(folder.metrics)
    assert [r["step"] for r in second] == [1, 2, 3, 4]
    measured = ("loss", "reward", "grad_norm", "credit/threshold_c", "eval/heldout/avg@2")
    for a, b in zip(first, second, strict=True):
        assert [a.get(m) for m in measured] == [b.get(m) for m in measured]


def test_another_config_in_the_same_folder_is_refused(run):
    with pytest.raises(
        ValueError,
        match=r"begun with another config \(learning_rate: None -> 0.5.*sc-grpo-synthetic-s0-2\.",
    ):
        train(config(run.path.parent, trainer={"learning_rate": 0.5}))
    with pytest.raises(ValueError, match="holds a run already"):
        train(config(run.path.parent, resume="never"))


@pytest.mark.slow
def test_a_run_may_get_more_steps(run, tmp_path, caplog):
    folder = RunFolder(tmp_path / run.path.name)
    shutil.copytree(run.path, folder.path)
    more = config(tmp_path, trainer={"max_steps": 6})
    console = Console(record=True, width=100)
    train(more, [ProgressDisplay(console)])
    assert [row["step"] for row in read_jsonl(folder.metrics)] == [1, 2, 3, 4, 5, 6]
    assert "resuming at step 4 of 6" in console.export_text()
    assert folder.read_config()["run"]["trainer"]["max_steps"] == 6
    first, last = folder.path / "model-4", folder.model
    kept = (run.model / "model.safetensors").read_bytes()
    assert (first / "model.safetensors").read_bytes() == kept
    assert (last / "model.safetensors").read_bytes() != kept
    with pytest.raises(ValueError, match=r"max_steps: 6 -> 4\).*s0-2\.$"):
        train(config(tmp_path))
    shutil.rmtree(folder.checkpoints)
    with pytest.raises(ValueError, match=r"no checkpoint to go on from.* max_steps: 6,"):
        train(config(tmp_path, trainer={"max_steps": 8}))
    assert folder.model.exists()


def test_a_name_that_is_free(tmp_path):
    (tmp_path / "a" / "b-2").mkdir(parents=True)
    assert free_name(RunConfig(name="a/b", output_dir=str(tmp_path))) == "a/b-3"


def test_the_folder_of_a_script_is_refused(tmp_path):
    folder = RunFolder(tmp_path / "sc-grpo-synthetic-s0")
    folder.write_config({"method": {}, "trainer": {}, "versions": {}})
    (folder.model).mkdir()
    (folder.model / "config.json").touch()
    with pytest.raises(ValueError, match=r"the run of a script.*--name sc-grpo-synthetic-s0-2\.$"):
        train(config(tmp_path))


def test_own_data_and_reward(tmp_path):
    rows = [{"prompt": [{"role": "user", "content": "7+5"}], "answer": "12"}] * 8
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = {"guide": "{reference}", "max_steps": 1, "max_completion_length": 12}
    options |= {"num_generations": 8, "use_cpu": True, "bf16": False}
    own = RunConfig(
        output_dir=str(tmp_path),
        dataset=str(data),
        reward=JUDGE,
        trainer=TRAINER | options,
    )
    assert run_folder(own).path.name == "sc-grpo-rows-s0"
    assert len(read_jsonl(RunFolder(train(own)).metrics)) == 1


@pytest.mark.parametrize(("chat_prompts", "warnings"), [(None, 1), (False, 0), (True, 0)])
def test_texts_for_a_chat_model_are_warned_of_unless_they_are_meant(
    tmp_path, caplog, chat_prompts, warnings
):
    rows = [{"prompt": f"{n} + 1?", "answer": str(n + 1)} for n in range(8)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    own = {"dataset": str(tmp_path / "rows.jsonl"), "reward": JUDGE, "chat_prompts": chat_prompts}
    with pytest.raises(Stopped):
        train(config(tmp_path, **own, eval_steps=0), [StopAtOnce()])
    assert sum("without roles" in record.message for record in caplog.records) == warnings


@pytest.mark.parametrize(
    ("content", "fields", "message"),
    [
        ("", {"reward": JUDGE}, r"is empty \(0 bytes\)"),
        ('{"question": "a"}\n', {"reward": JUDGE}, r"has no column 'prompt' \(it has: question\)"),
        ('{"prompt": "a"}\n', {"reward": JUDGE}, r"no column 'answer', which judge takes \(it"),
        ('{"prompt": "a", "answer": "b"}\n', {}, "needs a reward; set reward to"),
        ('{"prompt": "a", "answer": "b"}\n', {"reward": "no.such:f"}, "cannot be imported"),
        ('{"prompt": "a", "answer": "b"}\n', {"reward": JUDGE, "task": "synthetic"}, "keep one"),
        ('{"prompt": "a", "answer": "b"}\n{"prom\n', {"reward": JUDGE}, r"rows\.jsonl, line 2: "),
        ('{"prompt": "a", "answer": "b"}\n3\n', {"reward": JUDGE}, "line 2: 3 is no row"),
        (
            '{"prompt": "a", "answer": "b"}\n{"prompt": "", "answer": "b"}\n',
            {"reward": JUDGE},
            r"^row 1 of dataset '.*rows\.jsonl' has '' as 'prompt', which is empty",
        ),
        (
            '{"prompt": "a", "answer": "b", "self": 1}\n',
            {"reward": JUDGE},
            r"^dataset '.*rows\.jsonl' has a column 'self'",
        ),
        (
            '{"prompt": "a", "answer": "b"}\n',
            {"reward": "math:pi"},
            "is of type float, which is no",
        ),
    ],
)
def test_wrong_data_sets(tmp_path, content, fields, message):
    data = tmp_path / "rows.jsonl"
    data.write_text(content)
    with pytest.raises(ValueError, match=message):
        train(config(tmp_path, dataset=str(data), **fields))


def test_data_sets_that_are_nowhere(tmp_path):
    for name in ("no/such-data", str(tmp_path / "none"), "a" * 300 + ".jsonl"):
        with pytest.raises(ValueError, match=r"^dataset is '.*, which cannot be loaded \("):
            train(config(tmp_path, dataset=name, reward=JUDGE, name="run"))


def test_unknown_model(tmp_path):
    with pytest.raises(ValueError, match="neither a model folder nor a hub id"):
        train(config(tmp_path, model=str(tmp_path / "nothing")))


def test_a_folder_that_holds_no_language_model_is_named(tmp_path):
    (tmp_path / "config.json").write_text('{"a": 1}')
    with pytest.raises(ValueError) as caught:
        load_policy(str(tmp_path))
    told = str(caught.value)
    assert told.startswith(f"model {str(tmp_path)!r} cannot be loaded as a causal language model (")
    assert "model_type" in told and told.endswith("save_pretrained, or a hub id.")


def test_a_misspelt_run_is_not_looked_for_on_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("first", "second"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "config.yaml").write_text("run: {}\n")
    (tmp_path / "Qwen" / "other").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"no 'fisrt' in runs; did you mean runs/first\?"):
        find_model("runs/fisrt")
    with pytest.raises(ConfigError, match=r"no 'x' in runs; it has first, second"):
        find_model("runs/x")
    for hub_id in ("Qwen/Qwen3-8B", "gpt2", "someone/model"):
        assert find_model(hub_id) == hub_id


def test_rewind_forgets_what_will_be_run_again(tmp_path):
    folder = RunFolder(tmp_path)
    for step in (1, 2, 3):
        folder.append_metrics({"step": step, "value": float("nan")})
        write_atomically(folder.evaluation(step), "")
    with folder.metrics.open("a") as file:
        file.write('{"step": 4, "va')
    folder.rewind(2)
    assert read_jsonl(folder.metrics) == [{"step": s, "value": None} for s in (1, 2)]
    assert not folder.evaluation(3).exists() and folder.evaluation(2).exists()


def test_rewind_to_the_start_leaves_nothing(tmp_path):
    folder = RunFolder(tmp_path)
    folder.append_metrics({"step": 1})
    (tmp_path / "model.tmp").mkdir()
    names = (
        "metrics.jsonl.tmp",
        "rollouts/step_000000.parquet",
        "rollouts/step_000001.parquet.tmp",
    )
    for name in (*names, "eval/step_000000.jsonl", "eval/step_000002.jsonl.partial"):
        write_atomically(tmp_path / name, "")
    write_atomically(tmp_path / "rollouts" / "mine.txt", "")
    folder.rewind(0)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"metrics.jsonl", "rollouts/mine.txt"} and not (tmp_path / "model.tmp").exists()
    assert read_jsonl(folder.metrics) == []


class Stop(TrainerCallback):
    """Ends training without a checkpoint, as a kill does."""

    def __init__(self, step):
        self.step = step

    def on_step_begin(self, args, state, control, **_):
        if state.global_step == self.step:
            raise KeyboardInterrupt


@pytest.mark.slow
def test_a_run_that_was_killed_before_its_first_checkpoint_begins_anew(tmp_path, caplog):
    first = config(tmp_path, trainer={"max_steps": 3, "save_steps": 3})
    folder = run_folder(first)
    with pytest.raises(KeyboardInterrupt):
        train(first, [Stop(2)])
    assert [row["step"] for row in read_jsonl(folder.metrics)] == [1, 2]
    leftover = folder.path / "checkpoints" / "checkpoint-3"
    begin_checkpoint(leftover)
    write_atomically(folder.path / "eval" / "step_000002.jsonl.partial", "")
    write_atomically(folder.path / "rollouts" / "step_000002.parquet.tmp", "cut")
    train(first)
    assert "no checkpoint was finished (checkpoint-3: it was not written to its end" in caplog.text
    assert [row["step"] for row in read_jsonl(folder.metrics)] == [1, 2, 3]
    assert len(read_jsonl(folder.evaluation(2))) == 16
    ends = (".tmp", ".partial", ".lock")
    assert [p for p in folder.path.rglob("*") if p.name.endswith(ends)] == []


@pytest.mark.slow
def test_damaged_checkpoints_are_passed_over_or_refused(run, tmp_path, caplog):
    shutil.copytree(run.path, tmp_path / run.path.name)
    here = RunFolder(tmp_path / run.path.name)
    weights = (here.model / "model.safetensors").read_bytes()
    shutil.rmtree(here.model)
    (here.checkpoints / "checkpoint-4" / "optimizer.pt").unlink()
    train(config(tmp_path))
    assert "passed over, since not whole: checkpoint-4: optimizer.pt is missing" in caplog.text
    assert (here.model / "model.safetensors").read_bytes() == weights
    assert [row["step"] for row in read_jsonl(here.metrics)] == [1, 2, 3, 4]
    kept = {path.name for path in here.checkpoints.iterdir() if path.is_dir()}
    assert kept == {"checkpoint-2", "checkpoint-4", "left-checkpoint-4"}

    shutil.rmtree(here.model)
    for step in (2, 4):
        (here.checkpoints / f"checkpoint-{step}" / "scheduler.pt").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"checkpoint-2: .*restore one, or remove .* anew\.$"):
        train(config(tmp_path))
    with pytest.raises(CheckpointError, match=r"give another model"):
        find_model(str(here.path))
    path = str(here.checkpoints / "checkpoint-2")
    with pytest.raises(CheckpointError, match=r"checkpoint-2 is not whole \(scheduler.pt"):
        find_model(path)
    with pytest.raises(CheckpointError, match=r"checkpoint-2 is no whole checkpoint \(scheduler"):
        train(config(tmp_path, resume=path))
    with pytest.raises(ValueError, match="which is no checkpoint; use auto, never"):
        train(config(tmp_path, resume=str(tmp_path)))


@pytest.mark.slow
def test_a_kill_while_the_model_is_written_leaves_none(run, tmp_path, monkeypatch):
    shutil.copytree(run.path, tmp_path / run.path.name)
    here = RunFolder(tmp_path / run.path.name)
    shutil.rmtree(here.model)

    def kill(path):
        assert (path.with_name("model.tmp") / "config.json").exists()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("scgrpo.runs.run.put_folder", kill)
        train(config(tmp_path))
    assert not here.model.exists()
    train(config(tmp_path))
    files = {p.name: p.read_bytes() for p in run.model.iterdir() if p.suffix == ".safetensors"}
    assert {name: (here.model / name).read_bytes() for name in files} == files
    assert not (here.path / "model.tmp").exists()


def test_a_finished_run_without_checkpoints_is_left_alone(run, tmp_path):
    shutil.copytree(run.path, tmp_path / run.path.name)
    here = RunFolder(tmp_path / run.path.name)
    shutil.rmtree(here.checkpoints)
    before = here.metrics.read_text()
    assert train(config(tmp_path)) == here.path
    assert here.metrics.read_text() == before and here.model.is_dir()
    with pytest.raises(ValueError, match=r"no checkpoint to go on from.*max_steps: 4,"):
        train(config(tmp_path, trainer={"max_steps": 5}))


def test_a_second_run_in_the_same_folder_is_refused(tmp_path):
    folder = run_folder(config(tmp_path))
    with alone(folder), pytest.raises(OSError, match="another process is training into"):
        train(config(tmp_path))
    assert not folder.config.exists() and not folder.lock.exists()


@pytest.mark.slow
def test_an_adapter_is_trained_and_saved(tmp_path):
    folder = RunFolder(train(config(tmp_path, lora={"r": 2}, dtype="bfloat16", eval_steps=0)))
    saved = json.loads((folder.model / "adapter_config.json").read_text())
    assert (saved["r"], saved["task_type"]) == (2, "CAUSAL_LM")
    with pytest.raises(ValueError, match=r"lora is \{'rank': 2\}, which peft.LoraConfig refuses"):
        train(config(tmp_path, lora={"rank": 2}, name="other"))
