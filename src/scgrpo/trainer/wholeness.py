"""Which checkpoints of a run are whole, and what is said of those that are not."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object

from scgrpo.trainer.checkpoint import CheckpointError, checkpoints, step_of
from scgrpo.trainer.manifest import Broken, check_files, read_manifest
from scgrpo.trainer.unmanifested import STATE, check_without_manifest

logger = logging.getLogger(__name__)
Decision = TypeVar("Decision")


@dataclass(frozen=True)
class Reading:
    """A checkpoint as it was read."""

    trouble: str = ""
    """What is wrong with it; nothing where it is whole."""
    unfinished: bool = False
    """Whether it was not written to its end, which is what a kill leaves."""
    note: str = ""
    """What is to be said of a whole one."""


@dataclass(frozen=True)
class Search:
    """The latest whole checkpoint of a folder, and the later ones that are not."""

    found: Path | None
    passed_over: Mapping[Path, Reading] = field(default_factory=dict)
    note: str = ""


def read_checkpoint(
    folder: Path, *, to_resume: bool = True, own: bool = False, processes: int | None = None
) -> Reading:
    """Whether a checkpoint is whole, by reading all of it.

    Args:
        folder: of the checkpoint.
        to_resume: whether training is to go on from it, or the model alone is wanted.
        own: whether this package is known to have written it; else it may be TRL's.
        processes: that are to go on from it, where it matters.
    """
    try:
        return _read(folder, to_resume=to_resume, own=own, processes=processes)
    except Broken as error:
        return Reading(str(error))
    except OSError as error:
        return Reading(f"it cannot be read ({error})")


def _read(folder: Path, *, to_resume: bool, own: bool, processes: int | None) -> Reading:
    if not folder.is_dir():
        return Reading("there is no such folder")
    try:
        manifest = read_manifest(folder)
    except FileNotFoundError:
        if not (folder / STATE).exists():
            return Reading("it was not written to its end", unfinished=True)
        check_without_manifest(folder, to_resume=to_resume, own=own)
        return Reading(
            note=f"{folder} has no manifest, since TRL or an earlier version wrote it; its files "
            "are there and can be read, but a changed weight would not be noticed."
        )
    if manifest is None:
        return Reading("it was not written to its end", unfinished=True)
    if to_resume and manifest.model_only:
        return Reading("it holds the model alone, since save_only_model was set")
    check_files(folder, manifest)
    if processes is not None and to_resume and manifest.processes != processes:
        return Reading(
            note=f"{folder} was written by {manifest.processes} processes, and {processes} go on "
            "from it: their random numbers and half-used batches begin anew."
        )
    return Reading()


def last_whole(
    folder: Path,
    *,
    to_resume: bool = True,
    own: bool = False,
    processes: int | None = None,
    before: int | None = None,
) -> Search:
    """Look for the latest whole checkpoint of a run.

    Args:
        folder: the checkpoints of a run.
        to_resume: as in `read_checkpoint`, as are the next two.
        own: see there.
        processes: see there.
        before: only steps below this one.
    """
    passed_over = {}
    for checkpoint in checkpoints(folder):
        if before is not None and step_of(checkpoint) >= before:
            continue
        reading = read_checkpoint(checkpoint, to_resume=to_resume, own=own, processes=processes)
        if not reading.trouble:
            return Search(checkpoint, passed_over, reading.note)
        passed_over[checkpoint] = reading
    return Search(None, passed_over)


def last_whole_everywhere(folder: Path, *, reads: bool, own: bool = False) -> Search:
    """The latest checkpoint that is whole for all processes, each of which may have its own disk.

    Args:
        folder: the checkpoints of a run.
        reads: whether this process looks; one process for each disk does.
        own: as in `read_checkpoint`.
    """
    processes = PartialState().num_processes
    passed_over: dict[Path, Reading] = {}
    before: int | None = None
    while True:
        own_search = last_whole(folder, own=own, processes=processes, before=before)
        searches = [s for s in _gathered(own_search if reads else None) if s is not None]
        for search in searches:
            passed_over |= search.passed_over
        steps = {0 if s.found is None else step_of(s.found) for s in searches}
        if len(steps) == 1:
            return Search(searches[0].found, passed_over, searches[0].note)
        before = min(steps) + 1


def require_whole(checkpoint: Path, *, to_resume: bool = True, own: bool = False) -> None:
    """Refuse a checkpoint that is not whole, and say what is noticed of one that is.

    Args:
        checkpoint: its folder.
        to_resume: as in `read_checkpoint`.
        own: see there.

    Raises:
        CheckpointError: naming what is wrong.
    """
    state = PartialState()

    def read() -> Reading:
        return read_checkpoint(
            checkpoint, to_resume=to_resume, own=own, processes=state.num_processes
        )

    reading = decided(read)
    if reading.trouble:
        raise CheckpointError(
            f"{checkpoint} is no whole checkpoint ({reading.trouble}); give one that is."
        )
    if reading.note and state.is_main_process:
        logger.warning(reading.note)


def report(search: Search, cure: str, *, speaks: bool = True) -> Path | None:
    """Say what was passed over; the checkpoint to go on from, None where none was finished.

    Args:
        search: what was found.
        cure: what to do where no checkpoint is whole, for the message.
        speaks: whether this process is the one that says it.

    Raises:
        CheckpointError: where there are checkpoints, all damaged or unfinished.
    """
    said = "; ".join(f"{path.name}: {r.trouble}" for path, r in search.passed_over.items())
    if search.found is None:
        if any(not reading.unfinished for reading in search.passed_over.values()):
            folder = next(iter(search.passed_over)).parent
            raise CheckpointError(f"no checkpoint in {folder} can be used ({said}); {cure}.")
        if said and speaks:
            logger.warning(f"no checkpoint was finished ({said}); there is none to go on from.")
        return None
    if said and speaks:
        logger.warning(f"passed over, since not whole: {said}; {search.found} is used.")
    if search.note and speaks:
        logger.warning(search.note)
    return search.found


def decided(choose: Callable[[], Decision]) -> Decision:
    """What the main process decides; where that raises, every process raises the same."""
    outcome: list[tuple[Decision | None, Exception | None]] = [(None, None)]
    if PartialState().is_main_process:
        try:
            outcome = [(choose(), None)]
        except Exception as error:  # handed on, and raised below
            outcome = [(None, error)]
    ((decision, error),) = broadcast_object_list(outcome)
    if error is not None:
        raise error
    return decision  # type: ignore[return-value]


def _gathered(item: Search | None) -> list[Search | None]:
    gathered: list[Search | None] = gather_object([item])
    return gathered
