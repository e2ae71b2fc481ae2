"""What a checkpoint consists of, written last: whole is what agrees with its manifest."""

import json
import os
import shutil
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scgrpo.files import SCRATCH, write_atomically

MANIFEST = "scgrpo_manifest.json"
UNREAD = {MANIFEST, "README.md"}
"""Files that nothing depends on."""
BLOCK = 16 * 2**20
READERS = 8


class Broken(Exception):
    """A manifest that cannot be believed, or files that it does not agree with."""


@dataclass(frozen=True)
class Manifest:
    """What was written."""

    step: int
    processes: int
    model_only: bool
    """Whether training cannot go on from here, for want of optimizer and generators."""
    files: Mapping[str, tuple[int, int]]
    """Size and checksum by path in the folder."""


def begin_checkpoint(folder: Path) -> None:
    """Make an empty folder that counts as unfinished until `finish_checkpoint`."""
    discard(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / MANIFEST, "{}\n")


def finish_checkpoint(folder: Path, step: int, processes: int, *, model_only: bool) -> None:
    """Say that all files are written."""
    sizes = {name: (folder / name).stat().st_size for name in _names(folder)}
    sums = checksums(folder, sizes)
    files = {name: (size, sums[name]) for name, size in sizes.items()}
    content = asdict(Manifest(step, processes, model_only, files))
    signed = {"manifest": content, "checksum": _signature(content)}
    write_atomically(folder / MANIFEST, json.dumps(signed, indent=1) + "\n")


def read_manifest(folder: Path) -> Manifest | None:
    """What a folder's manifest says; None for a checkpoint that was not written to its end.

    Raises:
        Broken: for a manifest that was changed.
        FileNotFoundError: for a checkpoint that has none.
    """
    try:
        signed = json.loads((folder / MANIFEST).read_bytes())
        if signed == {}:
            return None
        content = signed["manifest"]
        if signed["checksum"] != _signature(content):
            raise Broken(f"{MANIFEST} was changed")
        return Manifest(**content)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Broken(f"{MANIFEST} is damaged") from error


def check_files(folder: Path, manifest: Manifest) -> None:
    """Read all files of a checkpoint and hold them against its manifest.

    Raises:
        Broken: naming the first file that is not as it was written.
    """
    for name, (size, _) in manifest.files.items():
        file = folder / name
        if not file.is_file():
            raise Broken(f"{name} is missing")
        if file.stat().st_size != size:
            raise Broken(f"{name} has {file.stat().st_size} bytes of {size}")
    found = checksums(folder, {name: size for name, (size, _) in manifest.files.items()})
    for name, (_, checksum) in manifest.files.items():
        if found[name] != checksum:
            raise Broken(f"{name} is damaged")


def discard(folder: Path) -> None:
    """Remove a checkpoint; what a crash leaves of it counts as unfinished."""
    if folder.is_dir():
        write_atomically(folder / MANIFEST, "{}\n")
        shutil.rmtree(folder, ignore_errors=True)


def checksums(folder: Path, sizes: Mapping[str, int]) -> dict[str, int]:
    """CRC-32 of the CRC-32 of each block of each file; blocks are read beside each other."""
    blocks = [(name, start) for name, size in sizes.items() for start in range(0, size, BLOCK)]
    sums = dict.fromkeys(sizes, 0)
    with ThreadPoolExecutor(READERS) as readers:
        found = readers.map(lambda block: _block_sum(folder / block[0], block[1]), blocks)
        for (name, _), value in zip(blocks, found, strict=True):
            sums[name] = zlib.crc32(value.to_bytes(4, "big"), sums[name])
    return sums


def _block_sum(file: Path, start: int) -> int:
    with file.open("rb") as opened:
        opened.seek(start)
        return zlib.crc32(opened.read(BLOCK))


def _names(folder: Path) -> Iterator[str]:
    for parent, _, files in os.walk(folder):
        for name in files:
            path = Path(parent, name)
            if name not in UNREAD and not name.endswith(SCRATCH):
                yield path.relative_to(folder).as_posix()


def _signature(content: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(content, sort_keys=True).encode())
