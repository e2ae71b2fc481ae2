"""Whole is what agrees with its manifest, byte by byte."""

import json

import pytest

from scgrpo.trainer import manifest
from scgrpo.trainer.manifest import (
    MANIFEST,
    Broken,
    begin_checkpoint,
    check_files,
    checksums,
    discard,
    finish_checkpoint,
    read_manifest,
)

FILES = {"model.safetensors": b"abcdefgh" * 5, "global_step2/rank_0.pt": b"xyz", "empty.json": b""}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(manifest, "BLOCK", 16)
    folder = tmp_path / "checkpoint-2"
    begin_checkpoint(folder)
    write(folder)
    finish_checkpoint(folder, 2, 1, model_only=False)
    return folder


def write(folder):
    for name, content in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)


def check(folder):
    check_files(folder, read_manifest(folder))


def test_it_lists_every_file(folder):
    written = read_manifest(folder)
    assert {name: size for name, (size, _) in written.files.items()} == {
        name: len(content) for name, content in FILES.items()
    }
    assert (written.step, written.processes, written.model_only) == (2, 1, False)
    check(folder)
    (folder / "README.md").write_text("a card that somebody added")
    check(folder)


def test_every_flipped_byte_of_every_file_is_noticed(folder):
    for name, content in FILES.items():
        for place in range(len(content)):
            damaged = bytearray(content)
            damaged[place] ^= 1
            (folder / name).write_bytes(damaged)
            with pytest.raises(Broken, match=f"{name} is damaged"):
                check(folder)
        (folder / name).write_bytes(content)
    check(folder)


def test_a_flipped_byte_of_the_manifest_never_passes_for_another_one(folder):
    path = folder / MANIFEST
    whole, written = path.read_bytes(), read_manifest(folder)
    noticed = 0
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        try:
            assert read_manifest(folder) == written
        except Broken:
            noticed += 1
    assert noticed > len(whole) / 2  # the rest is white space


def test_what_is_missing_cut_longer_or_elsewhere_is_noticed(folder):
    model = folder / "model.safetensors"
    content = FILES["model.safetensors"]
    for damaged, words in (
        (content[:-1], "model.safetensors has 39 bytes of 40"),
        (content + b"a", "41 bytes of 40"),
        (b"", "0 bytes of 40"),
    ):
        model.write_bytes(damaged)
        with pytest.raises(Broken, match=words):
            check(folder)
    model.unlink()
    with pytest.raises(Broken, match=r"model.safetensors is missing"):
        check(folder)
    write(folder)
    (folder / "global_step2" / "rank_0.pt").unlink()
    with pytest.raises(Broken, match=r"global_step2/rank_0.pt is missing"):
        check(folder)


def test_blocks_that_changed_places_are_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(manifest, "BLOCK", 4)
    sums = []
    for content in (b"aaaabbbbcc", b"bbbbaaaacc", b"aaaabbbbcc"):
        (tmp_path / "file").write_bytes(content)
        sums.append(checksums(tmp_path, {"file": 10}))
    assert sums[0] == sums[2] != sums[1]


def test_until_its_end_it_is_unfinished(tmp_path, folder):
    begin_checkpoint(folder)
    assert [file.name for file in folder.iterdir()] == [MANIFEST]
    write(folder)
    assert read_manifest(folder) is None
    (folder / MANIFEST).unlink()
    with pytest.raises(FileNotFoundError):
        read_manifest(folder)
    (folder / MANIFEST).write_text(json.dumps([1]))
    with pytest.raises(Broken, match=r"manifest.json is damaged"):
        read_manifest(folder)


def test_what_a_crash_leaves_of_a_removed_one_is_unfinished(folder, monkeypatch):
    def crash(path, **_):
        (path / "empty.json").unlink()

    monkeypatch.setattr(manifest.shutil, "rmtree", crash)
    discard(folder)
    assert read_manifest(folder) is None and (folder / "model.safetensors").exists()
