"""Which changes of a model folder are told apart."""

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file

from scgrpo.evaluation.fingerprint import fingerprint
from tests.trainer.tiny import tiny_model, tiny_tokenizer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_model().save_pretrained(tmp_path / "model")
    tiny_tokenizer().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_a_copy_is_the_same_and_a_step_of_training_is_not(folder: Path, tmp_path: Path) -> None:
    before = fingerprint(folder)
    copy = tmp_path / "elsewhere"
    copy.mkdir()
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    assert fingerprint(copy) == before and len(before or "") == 16
    model = tiny_model()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(1e-6 * torch.randn_like(weight))
    model.save_pretrained(folder)
    assert fingerprint(folder) != before


def test_template_counts_and_what_is_no_model_does_not(folder: Path) -> None:
    before = fingerprint(folder)
    (folder / "trainer_state.json").write_text("{}")
    (folder / "optimizer.bin").write_text("x")
    assert fingerprint(folder) == before
    (folder / "chat_template.jinja").write_text("another")
    assert fingerprint(folder) != before


def test_an_adapter_counts_with_its_base(folder: Path, tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    base = type(tiny_model()).from_pretrained(folder)
    get_peft_model(base, LoraConfig(r=2)).save_pretrained(adapter)
    before = fingerprint(adapter)
    assert before != fingerprint(folder)
    tiny_model(seed=1).save_pretrained(folder)
    assert fingerprint(adapter) != before


def test_a_large_file_is_read_in_pieces(tmp_path: Path) -> None:
    weights = {"w": torch.zeros(3_000_000)}
    save_file(weights, tmp_path / "a.safetensors")
    before = fingerprint(tmp_path)
    weights["w"][::1000] = 1.0  # no piece of 4 KiB holds less than one of them
    save_file(weights, tmp_path / "a.safetensors")
    assert fingerprint(tmp_path) != before


def test_a_hub_id_has_none(tmp_path: Path) -> None:
    assert fingerprint(tmp_path / "none") is None
