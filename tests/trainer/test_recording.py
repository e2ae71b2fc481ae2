"""A run from a script is a run: its output_dir is read by whatever reads run folders."""

import shutil

import pyarrow.parquet as pq
import pytest
import torch
import yaml
from trl import GRPOConfig

from scgrpo import SCGRPOConfig
from scgrpo.files import read_jsonl
from scgrpo.mistakes import ConfigError
from scgrpo.reports.runs import load_runs
from scgrpo.run_folder import RunFolder
from scgrpo.runs.models import find_model
from scgrpo.trainer import config as trainer_config
from scgrpo.trainer.records import Decoder
from tests.trainer.runs import config, trainer, vowels
from tests.trainer.tiny import tiny_dataset, tiny_model, tiny_tokenizer

STEPS = {"max_steps": 3, "save_strategy": "steps", "save_steps": 2, "rollout_steps": 2}
EVALUATED = {"eval_strategy": "steps", "eval_steps": 3, "per_device_eval_batch_size": 8}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("scripts") / "run"
    args = config(path, **STEPS, **EVALUATED, num_generations_eval=2)
    data = tiny_dataset(8)
    trainer(args, train_dataset=data, eval_dataset={"seen": data.select(range(4))}).train()
    return RunFolder(path)


def test_a_script_leaves_what_train_leaves(folder):
    described = yaml.safe_load(folder.config.read_text())
    assert described["name"] == "run" and described["method"]["preset"] == "sc-grpo"
    assert described["rewards"] == ["vowels"] and described["trainer"]["max_steps"] == 3
    assert [row["step"] for row in read_jsonl(folder.metrics)] == [1, 2, 3]
    tables = sorted((folder.path / "rollouts").iterdir())
    assert [t.name for t in tables] == ["step_000000.parquet", "step_000002.parquet"]
    rows = pq.read_table(tables[0]).to_pylist()
    assert len(rows) == 32 and any(row["teacher_top"] for row in rows)


@pytest.mark.parametrize("logged", [{"logging_steps": 2}, {"logging_strategy": "no"}])
def test_every_step_has_its_own_row_however_seldom_trl_logs(folder, tmp_path, logged):
    run = trainer(config(tmp_path, **STEPS | logged), train_dataset=tiny_dataset(8))
    run.train()
    each, seldom = read_jsonl(folder.metrics), read_jsonl(tmp_path / "metrics.jsonl")
    assert [row["step"] for row in seldom] == [1, 2, 3]
    for one, other in zip(each, seldom, strict=True):
        assert one.keys() == other.keys() >= {"loss", "grad_norm", "learning_rate", "epoch"}
        learned = [name for name in one if not name.startswith(("time", "step_time", "memory/"))]
        for name in learned:
            assert other[name] == pytest.approx(one[name], abs=1e-6), name
    # and TRL's own logs are what they were: means over what lies between two of them
    history = [row for row in run.state.log_history if "loss" in row]
    assert [row["step"] for row in history] == ([2] if "logging_steps" in logged else [])
    for row in history:
        for name in ("loss", "reward", "credit/weight_mean"):
            assert row[name] == pytest.approx((each[0][name] + each[1][name]) / 2, abs=1e-6)


def test_evaluations_of_trl_are_kept_sample_by_sample(folder):
    (file,) = (folder.path / "eval").iterdir()
    assert file == folder.evaluation(3)
    rows = read_jsonl(file)
    assert {row["split"] for row in rows} == {"seen"}
    problems = {row["problem_id"] for row in rows}
    assert len(problems) == 4 and any("Q0a" in name for name in problems)
    assert sorted(row["sample"] for row in rows) == [0] * 4 + [1] * 4
    for row in rows:  # the reward that the function gives to this very text
        assert [row["reward"]] == vowels([row["completion"]])


def test_report_and_evaluate_read_it(folder):
    (run,) = load_runs([folder.path])
    assert run.preset == "sc-grpo" and len(run.metrics) == 3
    assert list(run.evaluations) == [(3, "seen")]
    assert find_model(str(folder.path)) == str(folder.path / "checkpoint-3")


def test_a_plain_folder_of_checkpoints_is_read(folder, tmp_path):
    for step in (2, 3):
        shutil.copytree(folder.path / f"checkpoint-{step}", tmp_path / f"checkpoint-{step}")
    (tmp_path / "checkpoint-3" / "trainer_state.json").write_text('{"log_hist')
    (run,) = load_runs([tmp_path])
    assert [row["step"] for row in run.metrics] == [1, 2]
    assert run.method == {} and "no config.yaml" in run.notes[0]
    assert find_model(str(tmp_path)) == str(tmp_path / "checkpoint-2")


def test_resumed_records_are_those_of_an_uninterrupted_run(folder, tmp_path):
    path = tmp_path / "run"
    shutil.copytree(folder.path, path)
    shutil.rmtree(path / "checkpoint-3")
    args = config(path, **STEPS)
    trainer(args, train_dataset=tiny_dataset(8)).train(resume_from_checkpoint=True)
    again = read_jsonl(RunFolder(path).metrics)
    assert [row["step"] for row in again] == [1, 2, 3]
    losses = [row["loss"] for row in read_jsonl(folder.metrics)]
    assert [row["loss"] for row in again] == pytest.approx(losses)


def test_a_run_that_begins_anew_says_so(folder, tmp_path, caplog):
    path = tmp_path / "run"
    path.mkdir()
    shutil.copy(folder.metrics, path)
    (path / "rollouts").mkdir()
    (path / "rollouts" / "step_000009.parquet").touch()
    trainer(config(path, max_steps=1)).train()
    assert "holds the records of 3 steps; the run begins anew" in caplog.text
    assert [row["step"] for row in read_jsonl(path / "metrics.jsonl")] == [1]
    assert [p.name for p in (path / "rollouts").iterdir()] == ["step_000000.parquet"]


def test_a_config_of_the_users_own_is_not_overwritten(tmp_path):
    (tmp_path / "config.yaml").write_text("lr: 3\n")
    with pytest.raises(ConfigError, match="is no config of a run"):
        trainer(config(tmp_path)).train()
    assert (tmp_path / "config.yaml").read_text() == "lr: 3\n"


@pytest.mark.slow
def test_records_do_not_change_what_is_learned(tmp_path):
    def weights(**fields):
        run = trainer(config(tmp_path / str(fields), max_steps=2, **fields))
        run.train()
        return run.model.state_dict()

    kept, left = weights(rollout_steps=1), weights(rollout_steps=0)
    assert all(torch.equal(kept[name], left[name]) for name in kept)
    assert not (tmp_path / str({"rollout_steps": 0}) / "rollouts").exists()


def test_plain_arguments_keep_rollouts_too(tmp_path):
    args = config(tmp_path)
    plain = GRPOConfig(
        str(tmp_path),
        **{key: getattr(args, key) for key in ("use_cpu", "bf16", "num_generations")},
        per_device_train_batch_size=8,
        max_completion_length=4,
        max_steps=1,
        report_to="none",
    )
    trainer(plain, model=tiny_model(max_position_embeddings=1024)).train()
    assert (tmp_path / "rollouts" / "step_000000.parquet").exists()
    assert yaml.safe_load((tmp_path / "config.yaml").read_text())["trainer"]["loss_type"] == "dapo"


def test_bfloat16_falls_back_with_a_line(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(trainer_config, "computes_in_bfloat16", lambda: False)
    assert SCGRPOConfig(str(tmp_path)).bf16 is False
    assert "training is in float32" in caplog.text
    caplog.clear()
    assert SCGRPOConfig(str(tmp_path), use_cpu=True).bf16 is True  # which the CPU can, if asked
    assert SCGRPOConfig(str(tmp_path), bf16=False).bf16 is False
    assert not caplog.text


def test_each_token_is_decoded_once_for_all_records(monkeypatch):
    tokenizer, seen = tiny_tokenizer(), []
    decode = tokenizer.decode
    monkeypatch.setattr(tokenizer, "decode", lambda ids, **k: seen.append(ids) or decode(ids, **k))
    decoder, rows = Decoder(tokenizer), [[9, 12, 9, 1], [12, 30], [], [1, 9]]
    pieces = [decoder.pieces(row) for row in rows]
    assert sorted(ids[-1] for ids in seen if len(ids) > 1) == [1, 9, 12, 30]
    assert pieces == [[decode([token]) for token in row] for row in rows]
