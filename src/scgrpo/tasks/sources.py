"""Where a task's rows come from: a data set of the hub, or local files of the same schema."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scgrpo.tasks.base import DataState
from scgrpo.tasks.files import FORMATS, format_of, read_files, reason_of

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
"""Words of file names that say which split a file is, and the hub's word for it."""
CURE = "--task-options '{data: PATH}' (in a run: --task_options.data PATH)"

Data = str | Path | Mapping[str, str | Path] | None
"""A task's option `data`: one file or folder, or one for each split; None for the hub."""


@dataclass(frozen=True)
class Source:
    """A data set of the hub, and the columns that a task needs of it."""

    hub_id: str
    columns: Mapping[str, tuple[str, ...]]
    """The task's name of each column -> names that it has in published copies, tried in order.

    A name may lead into nested columns: `reward_model.ground_truth`, `prompt.0.content`."""
    split: str = "train"
    """Name of the split on the hub."""
    config: str | None = None
    revision: str | None = None
    """Commit, tag or branch; None for the newest."""
    optional: frozenset[str] = frozenset()
    """Columns that may be missing; they are then left out."""
    files: tuple[str, ...] = ()
    """Files of the data set's repository, all of one format, where its splits are not declared."""

    def __str__(self) -> str:
        config = f", config {self.config}" if self.config else ""
        revision = f", revision {self.revision}" if self.revision else ""
        return f"{self.hub_id} (split {self.split}{config}{revision})"


def load_rows(
    source: Source, path: str | Path | None = None, split: str | None = None
) -> "Dataset":
    """The source's rows, with the columns under the task's names and no others.

    Args:
        source: what to load, and the schema.
        path: local file or folder that replaces the hub; of a folder, the files of the split.
        split: the task's name of the split, which files may bear as well as the hub's.

    Raises:
        ValueError: for files that are missing, empty, unreadable or of another schema, or a hub
            that cannot be reached.
    """
    if path is None:
        rows = _from_hub(source)
    else:
        rows = read_files(local_files(source, path, split), str(path))
    place = str(source) if path is None else str(path)
    if len(rows) == 0:
        raise ValueError(f"{place} is empty (0 rows); give data of {source.hub_id} with {CURE}.")
    return _select(rows, source, place)


class FilesOfSplits:
    """The split that each local file was read for, so that none is trained and evaluated on."""

    def __init__(self) -> None:
        self._splits: dict[Path, str] = {}

    def claim(self, source: Source, path: str | Path | None, split: str) -> None:
        """Note the files of a split.

        Args:
            source, path, split: as for `load_rows`.

        Raises:
            ValueError: if one of them was read for another split, or there are none.
        """
        for file in [] if path is None else local_files(source, path, split):
            first = self._splits.setdefault(file.resolve(), split)
            if first != split:
                raise ValueError(
                    f"data leads both splits, {first!r} and {split!r}, to {file}, so what is "
                    f"evaluated would have been trained on; write data: {{{first}: PATH, "
                    f"{split}: PATH}}, or set eval_steps=0 in a run."
                )


def local_path(data: Data, split: str) -> Path | None:
    """The local file or folder of a split, None where the hub is meant.

    Raises:
        ValueError: for a mapping without the split, or a value that is no path.
    """
    if data is None:
        return None
    if isinstance(data, Mapping):
        if split not in data:
            raise ValueError(
                f"data has no path for split {split!r} (it has: {', '.join(map(str, data))}); add "
                f"one: data: {{{split}: PATH}}."
            )
        data = data[split]
    if not isinstance(data, str | Path) or not str(data):
        raise ValueError(f"data is {data!r}; it must be a path, or a mapping {{split: path}}.")
    return Path(data).expanduser()


def data_state(
    source: Source, path: str | Path | None = None, split: str | None = None
) -> DataState:
    """Whether the rows are here, on the hub, or missing; asks no network."""
    if path is not None:
        try:
            files = local_files(source, path, split)
        except ValueError as error:
            return DataState("missing", str(error))
        return DataState("present", ", ".join(map(str, files)))
    from datasets import config

    if source.files:
        is_here = all(_cached_file(source, name) for name in source.files)
    else:
        is_here = cache_folder(source.hub_id).is_dir()
    if is_here:
        return DataState("present", f"{source.hub_id} in the cache of datasets")
    if config.HF_HUB_OFFLINE:
        return DataState(
            "missing", f"{source.hub_id} is not cached and HF_HUB_OFFLINE is set; give {CURE}"
        )
    return DataState("downloadable", f"{source.hub_id} from the hub")


def _cached_file(source: Source, name: str) -> bool:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(
        source.hub_id, name, repo_type="dataset", revision=source.revision
    )
    return isinstance(found, str)


def cache_folder(hub_id: str) -> Path:
    """Where `datasets` keeps what it prepared of a hub data set and finds it when offline."""
    from datasets import config
    from datasets.naming import camelcase_to_snakecase

    *owner, name = hub_id.split("/")
    return Path(config.HF_DATASETS_CACHE) / "___".join([*owner, camelcase_to_snakecase(name)])


def local_files(source: Source, path: str | Path, split: str | None = None) -> list[Path]:
    """The files at a path; of a folder, those named after the split, else those after none.

    Raises:
        ValueError: if there are none, or none of the split.
    """
    path = Path(path)
    if path.is_file():
        _format(path)
        return [path]
    if not path.is_dir():
        raise ValueError(
            f"data is {str(path)!r}, which does not exist; give a file or folder in the schema of "
            f"{source.hub_id}."
        )
    published = [path / name for name in source.files]
    if published and all(file.is_file() for file in published):
        return published
    files = sorted(f for f in path.rglob("*") if f.is_file() and format_of(f))
    if not files:
        raise ValueError(f"the folder {path} holds no {', '.join(FORMATS)} file; check data.")
    words = {f: _split_words(f.relative_to(path)) for f in files}
    candidates = [
        [f for f in files if SPLIT_WORDS.get(name, name) in words[f]]
        for name in (split or source.split, source.split)
    ]
    chosen = next(filter(None, candidates), [f for f in files if not words[f]])
    if not chosen:
        raise ValueError(
            f"the folder {path} has no file of the split {split or source.split!r} (it has: "
            f"{', '.join(str(f.relative_to(path)) for f in files[:8])}); give the file itself."
        )
    if len({_format(f) for f in chosen}) > 1:
        raise ValueError(
            f"the folder {path} holds the split {split or source.split!r} in several formats "
            f"({', '.join(f.name for f in chosen[:8])}); give the file itself."
        )
    return chosen


def _split_words(path: Path) -> set[str]:
    words = re.split(r"[^a-z]+", str(path).lower())
    return {SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS}


def _format(path: Path) -> str:
    found = format_of(path)
    if found is None:
        raise ValueError(
            f"data is {str(path)!r}; it must be a folder or a file that ends in "
            f"{', '.join(FORMATS)}, or one of these with .gz."
        )
    return found


def _from_hub(source: Source) -> "Dataset":
    from datasets import load_dataset

    try:
        if source.files:
            paths = [_fetch(source, name) for name in source.files]
            return load_dataset(_format(Path(paths[0])), data_files=paths, split="train")
        return load_dataset(
            source.hub_id, source.config, split=source.split, revision=source.revision
        )
    except Exception as error:  # the hub, the network and the builders raise dozens of kinds
        raise ValueError(
            f"{source} cannot be loaded from the hub ({reason_of(error)}); fetch it where there is "
            f"a network, or give a local copy of the same schema with {CURE}."
        ) from error


def _fetch(source: Source, name: str) -> str:
    from huggingface_hub import hf_hub_download

    return hf_hub_download(source.hub_id, name, repo_type="dataset", revision=source.revision)


def _select(rows: "Dataset", source: Source, place: str) -> "Dataset":
    import pyarrow as pa
    from datasets import Dataset

    table = rows.data.table  # as it was read: nothing is selected or shuffled yet
    chosen: dict[str, Any] = {}
    for name, published in source.columns.items():
        found = [c for c in (nested_column(table, p) for p in published) if c is not None]
        if found:
            chosen[name] = found[0]
        elif name not in source.optional:
            raise ValueError(
                f"{place} has no column {' or '.join(map(repr, published))} (it has: "
                f"{', '.join(table.column_names)}); give data in the schema of {source.hub_id} "
                f"with {CURE}."
            )
    return Dataset(pa.table(chosen))


def nested_column(table: "pa.Table", path: str) -> "pa.ChunkedArray | None":
    """A column by its name, or by a dotted path through structs and lists; None if not there."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if path in table.column_names:
        return table[path]
    first, *steps = path.split(".")
    if first not in table.column_names:
        return None
    column = table[first]
    for step in steps:
        kind = column.type
        if pa.types.is_struct(kind) and kind.get_field_index(step) >= 0:
            column = pc.struct_field(column, step)
        elif step.isdigit() and (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
            shortest = pc.min(pc.list_value_length(column)).as_py()
            if shortest is not None and shortest <= int(step):
                return None
            column = pc.list_element(column, int(step))
        else:
            return None
    return column
