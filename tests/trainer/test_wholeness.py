"""A damaged checkpoint is passed over or refused, never gone on from."""

import json
import os
import shutil

import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainerCallback

from scgrpo.trainer.checkpoint import CheckpointError
from scgrpo.trainer.manifest import MANIFEST, UNREAD
from scgrpo.trainer.wholeness import last_whole, read_checkpoint, report
from tests.trainer.runs import config, trainer

NEEDED = (
    "model.safetensors",
    "optimizer.pt",
    "scheduler.pt",
    "rng_state.pth",
    "scgrpo_state_0.pt",
    "trainer_state.json",
)


class ClockSetBack(TrainerCallback):
    """Each checkpoint seems older than the one before."""

    def on_save(self, args, state, control, **_):
        for step in range(1, state.global_step + 1):
            folder = f"{args.output_dir}/checkpoint-{step}"
            if os.path.isdir(folder):
                os.utime(folder, (10_000 - 100 * step,) * 2)


def run(folder, **overrides):
    fields = {"max_steps": 4, "save_strategy": "steps", "save_steps": 2, "num_generations": 4}
    fields |= {"per_device_train_batch_size": 8, "max_completion_length": 8}
    return trainer(config(folder, **fields | overrides))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    finished = run(folder)
    finished.train()
    finished.save_model(str(folder / "model"))
    return folder


@pytest.fixture
def folder(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    return tmp_path / "run"


def damages(file):
    """What may become of a file, each with the words that name it."""
    content = file.read_bytes()
    yield "missing", file.unlink
    yield "0 bytes", lambda: file.write_bytes(b"")
    yield "bytes of", lambda: file.write_bytes(content[: len(content) // 2])
    for place in (0, len(content) // 2, len(content) - 1):
        flipped = bytearray(content)
        flipped[place] ^= 4
        yield "damaged", lambda flipped=flipped: file.write_bytes(flipped)
    file.write_bytes(content)


def test_a_damage_to_any_file_is_noticed_and_the_one_before_is_taken(folder):
    newest = folder / "checkpoint-4"
    files = [f for f in newest.rglob("*") if f.is_file() and f.name not in UNREAD]
    assert {*NEEDED} <= {file.name for file in files}
    assert last_whole(folder).found == newest
    for file in files:
        for words, damage in damages(file):
            damage()
            search = last_whole(folder)
            assert search.found == folder / "checkpoint-2", file
            assert file.name in search.passed_over[newest].trouble
            assert words in search.passed_over[newest].trouble
            assert not search.passed_over[newest].unfinished
    assert last_whole(folder).found == newest


@pytest.mark.parametrize("name", NEEDED)
def test_without_a_manifest_what_is_missing_or_cut_is_noticed(folder, name):
    newest = folder / "checkpoint-4"
    (newest / MANIFEST).unlink()
    search = last_whole(folder, own=True)
    assert search.found == newest and "a changed weight would not be noticed" in search.note
    file = newest / name
    content = file.read_bytes()
    for damaged in (None, b"", content[: len(content) // 2], content[:-30]):
        file.unlink() if damaged is None else file.write_bytes(damaged)
        search = last_whole(folder, own=True)
        assert search.found == folder / "checkpoint-2", (name, damaged and len(damaged))
        unfinished = damaged is None and name == "trainer_state.json"
        assert search.passed_over[newest].unfinished == unfinished
    if name.endswith((".pt", ".pth")):  # torch's files hold checksums of their own
        flipped = bytearray(content)
        flipped[content.index(b"\x80\x02}") + 5] ^= 4  # beyond the padding, in the pickle
        file.write_bytes(flipped)
        assert f"{name} is damaged" in read_checkpoint(newest).trouble


def test_a_checkpoint_of_trls_needs_no_state_of_ours(folder):
    newest = folder / "checkpoint-4"
    for name in (MANIFEST, "scgrpo_state_0.pt"):
        (newest / name).unlink()
    assert "TRL" in read_checkpoint(newest).note
    assert read_checkpoint(newest, own=True).trouble == "scgrpo_state_0.pt is missing"


def test_parts_of_several_processes_and_shards_are_looked_for(folder):
    newest = folder / "checkpoint-4"
    (newest / MANIFEST).unlink()
    for number in (0, 1):
        shutil.copy(newest / "rng_state.pth", newest / f"rng_state_{number}.pth")
    (newest / "rng_state.pth").unlink()
    assert read_checkpoint(newest).trouble == "scgrpo_state_1.pt is missing"
    shutil.copy(newest / "scgrpo_state_0.pt", newest / "scgrpo_state_1.pt")
    assert not read_checkpoint(newest).trouble
    (newest / "rng_state_0.pth").unlink()
    assert read_checkpoint(newest).trouble == "rng_state_0.pth is missing"
    shutil.copy(newest / "rng_state_1.pth", newest / "rng_state_0.pth")
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (newest / "model.safetensors.index.json").write_text(json.dumps(index))
    (newest / "model.safetensors").rename(newest / "model-1.safetensors")
    assert read_checkpoint(newest).trouble == "model-2.safetensors is missing"
    for file in ("optimizer.pt", "model.safetensors.index.json"):
        (newest / file).unlink()
    (newest / "latest").write_text("global_step4")
    assert read_checkpoint(newest).trouble == "folder global_step4 is missing"


def test_other_processes_than_before_are_said(folder):
    reading = read_checkpoint(folder / "checkpoint-4", processes=2)
    assert not reading.trouble and "written by 1 processes, and 2 go on" in reading.note
    assert read_checkpoint(folder / "checkpoint-4", processes=1).note == ""


def test_a_script_goes_on_from_the_last_whole_one(folder, trained, caplog):
    (folder / "checkpoint-4" / "optimizer.pt").unlink()
    again = run(folder)
    again.train(resume_from_checkpoint=True)
    assert "checkpoint-4: optimizer.pt is missing" in caplog.text
    assert again.state.global_step == 4
    expected = load_file(trained / "model" / "model.safetensors")
    found = load_file(folder / "checkpoint-4" / "model.safetensors")
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert last_whole(folder).found == folder / "checkpoint-4"


def test_a_script_is_refused_what_is_not_whole(folder):
    newest, first = folder / "checkpoint-4", folder / "checkpoint-2"
    (newest / "rng_state.pth").unlink()
    refused = run(folder)
    with pytest.raises(CheckpointError, match=r"checkpoint-4 is no whole .*rng_state.pth is missi"):
        refused.train(resume_from_checkpoint=str(newest))
    (first / "scheduler.pt").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"can be used \(checkpoint-4: .*; checkpoint-2: sch"):
        refused.train(resume_from_checkpoint=True)
    for left in (newest, first):
        shutil.rmtree(left)
    with pytest.raises(ValueError, match="no finished checkpoint"):
        refused.train(resume_from_checkpoint=True)


def test_none_finished_is_no_damage_and_some_damaged_is(folder):
    for step in (2, 4):
        (folder / f"checkpoint-{step}" / MANIFEST).write_text("{}")
    assert report(last_whole(folder), "restore one") is None
    (folder / "checkpoint-2" / MANIFEST).write_text("{")
    with pytest.raises(CheckpointError, match=r"manifest.json is damaged\); restore one\.$"):
        report(last_whole(folder), "restore one")


def test_the_clock_does_not_choose_what_is_removed(tmp_path):
    rotating = run(tmp_path, save_steps=1, save_total_limit=2)
    rotating.add_callback(ClockSetBack())
    rotating.train()
    assert sorted(p.name for p in tmp_path.glob("ch*")) == ["checkpoint-3", "checkpoint-4"]
    arguments = torch.load(tmp_path / "checkpoint-4" / "training_args.bin", weights_only=False)
    assert arguments.save_total_limit == rotating.args.save_total_limit == 2


def test_a_checkpoint_with_the_model_alone_is_said_to_be_one(tmp_path):
    run(tmp_path, save_only_model=True).train()
    newest = tmp_path / "checkpoint-4"
    assert read_checkpoint(newest).trouble.startswith("it holds the model alone")
    assert not read_checkpoint(newest, to_resume=False).trouble
    (newest / MANIFEST).unlink()
    assert read_checkpoint(newest).trouble == "optimizer.pt is missing"
    assert not read_checkpoint(newest, to_resume=False).trouble


def test_a_damaged_best_model_is_not_loaded(folder):
    finished = run(folder)
    finished.state.best_model_checkpoint = str(folder / "checkpoint-2")
    finished._load_best_model()
    weights = folder / "checkpoint-2" / "model.safetensors"
    damaged = bytearray(weights.read_bytes())
    damaged[-3] ^= 1
    weights.write_bytes(damaged)
    with pytest.raises(CheckpointError, match=r"checkpoint-2 is no whole .*model.safetensors is d"):
        finished._load_best_model()
