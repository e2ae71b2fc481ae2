"""Which checkpoints of a run are removed, and when."""

import shutil
from pathlib import Path

from scgrpo.trainer.checkpoint import CheckpointError, checkpoint_of, checkpoints, step_of
from scgrpo.trainer.manifest import Broken, discard, read_manifest
from scgrpo.trainer.unmanifested import STATE
from scgrpo.trainer.wholeness import last_whole

ASIDE = "left-"


def rotate(folder: Path, limit: int | None, step: int, best: str | None) -> None:
    """Remove what is more than so many checkpoints.

    First those that were not finished, then those of later steps, which an earlier attempt left and
    which are being done again, then the oldest by their steps, whatever the clock said.

    Args:
        folder: the checkpoints of a run.
        limit: how many are kept; None or 0 keeps all.
        step: of the checkpoint that was just written, which stays.
        best: path of the best one, which stays.
    """
    if not limit or limit < 0:
        return
    stay = {checkpoint_of(folder, step).resolve()} | ({Path(best).resolve()} if best else set())
    known = checkpoints(folder)
    others = [p for p in known if p.resolve() not in stay]
    others.sort(key=lambda p: (_is_finished(p), step_of(p) <= step, step_of(p)))
    surplus = len(known) - max(limit, len(known) - len(others))
    for checkpoint in others[: max(surplus, 0)]:
        discard(checkpoint)


def set_later_aside(folder: Path, step: int) -> list[Path]:
    """Take the checkpoints after a step, at which the run goes on, out of its way.

    One that was not finished is removed. Others may only seem damaged, on a disk that comes back:
    they get another name, by which nothing goes on.

    Returns:
        Their new places.
    """
    aside = []
    for checkpoint in checkpoints(folder):
        if step_of(checkpoint) <= step:
            continue
        if not _is_finished(checkpoint):
            discard(checkpoint)
            continue
        place = checkpoint.with_name(f"{ASIDE}{checkpoint.name}")
        shutil.rmtree(place, ignore_errors=True)
        aside.append(checkpoint.rename(place))
    return aside


def discard_partial(folder: Path, step: int, cause: Exception) -> CheckpointError:
    """Remove a checkpoint that failed, and say what is left.

    Args:
        folder: folder of the run's checkpoints.
        step: step at which writing failed.
        cause: what went wrong.

    Returns:
        The error to raise.
    """
    shutil.rmtree(checkpoint_of(folder, step), ignore_errors=True)
    last = last_whole(folder).found
    kept = f"{last} is whole, and training resumes from it" if last else "there is no earlier one"
    free = shutil.disk_usage(folder).free / 2**20
    return CheckpointError(
        f"checkpoint {step} could not be written to {folder} ({free:.0f} MiB free: {cause}); "
        f"{kept}; free some space and start the run again."
    )


def _is_finished(checkpoint: Path) -> bool:
    try:
        return read_manifest(checkpoint) is not None
    except FileNotFoundError:
        return (checkpoint / STATE).exists()
    except (Broken, OSError):
        return True
