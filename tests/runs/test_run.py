"""A run from its config to its folder: what is written, what resumes, what is refused."""

import json
import shutil

import pyarrow.parquet as pq
import pytest
import yaml

from scgrpo.files import read_jsonl, write_atomically
from scgrpo.runs.run import run_folder, train
from scgrpo.runs.run_config import RunConfig
from scgrpo.runs.run_folder import RunFolder

TRAINER = {"max_steps": 4, "save_steps": 2, "per_device_train_batch_size": 16}


def config(folder, **overrides):
    fields = {"eval_steps": 2, "eval_problems": 4, "eval_k": 2, "rollout_steps": 2}
    trainer = TRAINER | overrides.pop("trainer", {})
    return RunConfig(output_dir=str(folder), trainer=trainer, **fields | overrides)


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
    with pytest.raises(ValueError, match=r"begun with another config \(learning_rate: None -> 0.5"):
        train(config(run.path.parent, trainer={"learning_rate": 0.5}))
    with pytest.raises(ValueError, match="holds a run already"):
        train(config(run.path.parent, resume="never"))


def test_own_data_and_reward(tmp_path):
    rows = [{"prompt": [{"role": "user", "content": "7+5"}], "answer": "12"}] * 8
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    reward = tmp_path / "judge.py"
    reward.write_text(
        "def judge(completions, answer, **_):\n"
        "    return [float(a in c[0]['content']) for c, a in zip(completions, answer)]\n"
    )
    options = {"guide": "{reference}", "max_steps": 1, "max_completion_length": 12}
    options |= {"num_generations": 8, "use_cpu": True, "bf16": False}
    own = RunConfig(
        output_dir=str(tmp_path),
        dataset=str(data),
        reward=f"{reward}:judge",
        trainer=TRAINER | options,
    )
    assert run_folder(own).path.name == "sc-grpo-rows-s0"
    assert len(read_jsonl(RunFolder(train(own)).metrics)) == 1


@pytest.mark.parametrize(
    ("content", "fields", "message"),
    [
        ("", {"reward": "x:y"}, r"is empty \(0 bytes\)"),
        ('{"question": "a"}\n', {"reward": "x:y"}, r"has no column 'prompt' \(it has: question\)"),
        ('{"prompt": "a"}\n', {"reward": "x:y"}, r"has no column 'answer' \(it has: prompt\)"),
        ('{"prompt": "a", "answer": "b"}\n', {}, "needs a reward; set reward to"),
        ('{"prompt": "a", "answer": "b"}\n', {"reward": "no.such:f"}, "cannot be imported"),
        ('{"prompt": "a", "answer": "b"}\n', {"reward": "x:y", "task": "synthetic"}, "keep one"),
        ('{"prompt": "a", "answer": "b"}\n{"prom\n', {"reward": "x:y"}, r"rows\.jsonl, line 2: "),
        ('{"prompt": "a", "answer": "b"}\n3\n', {"reward": "x:y"}, "line 2: 3 is no row"),
        (
            '{"prompt": "a", "answer": "b"}\n{"prompt": "", "answer": "b"}\n',
            {"reward": "x:y"},
            r"^row 1 of dataset '.*rows\.jsonl' has '' as 'prompt', which is empty",
        ),
        (
            '{"prompt": "a", "answer": "b", "self": 1}\n',
            {"reward": "x:y"},
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
            train(config(tmp_path, dataset=name, reward="x:y", name="run"))


def test_unknown_model(tmp_path):
    with pytest.raises(ValueError, match="neither a model folder nor a hub id"):
        train(config(tmp_path, model=str(tmp_path / "nothing")))


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


def test_an_adapter_is_trained_and_saved(tmp_path):
    folder = RunFolder(train(config(tmp_path, lora={"r": 2}, dtype="bfloat16", eval_steps=0)))
    saved = json.loads((folder.model / "adapter_config.json").read_text())
    assert (saved["r"], saved["task_type"]) == (2, "CAUSAL_LM")
    with pytest.raises(ValueError, match=r"lora is \{'rank': 2\}, which peft.LoraConfig refuses"):
        train(config(tmp_path, lora={"rank": 2}, name="other"))
