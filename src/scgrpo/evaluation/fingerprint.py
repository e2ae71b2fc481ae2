"""A short name for what a model folder holds, so that a model trained further is told apart."""

import hashlib
import json
from pathlib import Path

WEIGHTS = ("*.safetensors", "pytorch_model*.bin", "adapter_model.bin")
TEXTS = (
    "config.json", "generation_config.json", "adapter_config.json", "tokenizer.json",
    "tokenizer_config.json", "chat_template.jinja",
)  # fmt: skip
BLOCKS, BLOCK = 256, 4096
"""Pieces of each weight file that are read, evenly spread, and their bytes: training moves all."""


def fingerprint(folder: Path) -> str | None:
    """Sixteen digits that change with weights, tokenizer or chat template.

    Args:
        folder: of a model or a LoRA adapter, whose base counts too where it is a folder.

    Returns:
        None where there is no such folder, as for a hub id.
    """
    if not folder.is_dir():
        return None
    digest = hashlib.sha256()
    for name in TEXTS:
        if (folder / name).is_file():
            digest.update(name.encode() + (folder / name).read_bytes())
    for path in sorted(path for pattern in WEIGHTS for path in folder.glob(pattern)):
        _add_pieces(digest, path)
    if (folder / "adapter_config.json").is_file():
        base = json.loads((folder / "adapter_config.json").read_text())
        name = base.get("base_model_name_or_path") or ""
        digest.update(((name and fingerprint(Path(name))) or "").encode())
    return digest.hexdigest()[:16]


def _add_pieces(digest: "hashlib._Hash", path: Path) -> None:
    size = path.stat().st_size
    digest.update(f"{path.name}{size}".encode())
    with path.open("rb") as file:
        for piece in range(BLOCKS):
            file.seek(max(0, size - BLOCK) * piece // (BLOCKS - 1))
            digest.update(file.read(BLOCK))
