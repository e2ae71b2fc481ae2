"""Checkpoints of TRL's, or of earlier versions, which have no manifest: what can be checked."""

import json
import re
import zipfile
from pathlib import Path
from typing import Any

from safetensors import safe_open

from scgrpo.trainer.manifest import Broken

STATE = "trainer_state.json"
INDEX = ".index.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
ADAPTERS = ("adapter_model.safetensors", "adapter_model.bin")


def check_without_manifest(folder: Path, *, to_resume: bool, own: bool) -> None:
    """Refuse a checkpoint of which a part is missing or cannot be read.

    A changed byte is noticed in what torch writes, which holds checksums, but not in the weights of
    a safetensors file.

    Args:
        folder: the checkpoint.
        to_resume: whether training is to go on from it, or the model alone is wanted.
        own: whether this package is known to have written it.

    Raises:
        Broken: naming what is wrong.
    """
    _check_json(folder / STATE, "global_step")
    if (folder / "latest").is_file():
        _check_deepspeed(folder)
    else:
        _check_model(folder)
    if to_resume:
        _check_training_state(folder)
        _check_processes(folder, own=own)
    for file in sorted(folder.rglob("*")):
        _check_readable(file)


def _check_model(folder: Path) -> None:
    found = _weights_in(folder) or any(_weights_in(f) for f in folder.iterdir() if f.is_dir())
    if not found and not any(folder.glob("pytorch_model_fsdp*")):
        raise Broken(f"{WEIGHTS[0]} is missing")
    for index in folder.glob(f"*{INDEX}"):
        shards = _check_json(index, "weight_map")["weight_map"].values()
        for shard in sorted(set(shards)):
            _require(folder / shard)


def _weights_in(folder: Path) -> bool:
    names = {*WEIGHTS, *ADAPTERS, *(name + INDEX for name in WEIGHTS)}
    return any((folder / name).is_file() for name in names)


def _check_deepspeed(folder: Path) -> None:
    tag = (folder / "latest").read_text(errors="replace").strip()
    if not tag or not any(f.is_file() for f in (folder / tag).glob("*")):
        raise Broken(f"folder {tag or 'global_step*'} is missing")


def _check_training_state(folder: Path) -> None:
    if not (folder / "latest").is_file():
        sharded = any(folder.glob("optimizer.bin")) or any(folder.glob("optimizer_*"))
        if not sharded:
            _require(folder / "optimizer.pt")
        _require(folder / "scheduler.pt")


def _check_processes(folder: Path, *, own: bool) -> None:
    """Each process has written its generators and, if it is ours, its place in the data."""
    generators = _numbered(folder, "rng_state_*.pth")
    if not generators:
        _require(folder / "rng_state.pth")
    states = _numbered(folder, "scgrpo_state_*.pt")
    processes = max([*generators, *states], default=0) + 1
    names = [f"rng_state_{n}.pth" for n in range(processes)] if generators else []
    if states or own:
        names += [f"scgrpo_state_{n}.pt" for n in range(processes)]
    for name in names:
        _require(folder / name)


def _numbered(folder: Path, pattern: str) -> list[int]:
    found = (re.search(r"_(\d+)\.", file.name) for file in folder.glob(pattern))
    return [int(match[1]) for match in found if match]


def _require(file: Path) -> None:
    if not file.is_file():
        raise Broken(f"{file.name} is missing")


def _check_json(file: Path, key: str) -> dict[str, Any]:
    _require(file)
    try:
        content = json.loads(file.read_bytes())
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict) or key not in content:
        raise Broken(f"{file.name} is damaged")
    return content


def _check_readable(file: Path) -> None:
    try:
        if file.suffix == ".safetensors":
            with safe_open(file, "pt") as tensors:
                tensors.keys()
        elif file.suffix in (".pt", ".pth", ".bin"):
            with zipfile.ZipFile(file) as archive:
                damaged = archive.testzip()
                if damaged is not None:
                    raise Broken(f"{file.name} is damaged at {damaged}")
    except Broken:
        raise
    except Exception as error:  # what is damaged fails in any way
        raise Broken(f"{file.name} is damaged ({error})") from error
