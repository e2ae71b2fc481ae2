"""Checkpoints that are either whole or not there."""

import json
import shutil
from pathlib import Path

from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR


class CheckpointError(RuntimeError):
    """A checkpoint could not be written; earlier ones are untouched."""


def checkpoints(folder: Path) -> list[Path]:
    """Checkpoint folders of a run, the latest first, whole or not."""
    found = [p for p in folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*") if p.is_dir()]
    steps = {p: p.name.rpartition("-")[2] for p in found}
    return sorted((p for p in found if steps[p].isdigit()), key=lambda p: -int(steps[p]))


def is_complete(checkpoint: Path) -> bool:
    """Whether a checkpoint was written to its end: the trainer state is what is written last."""
    try:
        state = json.loads((checkpoint / "trainer_state.json").read_text())
    except (OSError, ValueError):
        return False
    return isinstance(state, dict) and "global_step" in state


def last_complete_checkpoint(folder: Path) -> Path | None:
    """The latest whole checkpoint of a run, None where there is none."""
    return next((p for p in checkpoints(folder) if is_complete(p)), None)


def discard_partial(folder: Path, step: int, cause: Exception) -> CheckpointError:
    """Remove a checkpoint that failed, and say what is left.

    Args:
        folder: folder of the run's checkpoints.
        step: step at which writing failed.
        cause: what went wrong.

    Returns:
        The error to raise.
    """
    shutil.rmtree(folder / f"{PREFIX_CHECKPOINT_DIR}-{step}", ignore_errors=True)
    last = last_complete_checkpoint(folder)
    kept = f"{last} is whole, and training resumes from it" if last else "there is no earlier one"
    free = shutil.disk_usage(folder).free / 2**20
    return CheckpointError(
        f"checkpoint {step} could not be written to {folder} ({free:.0f} MiB free: {cause}); "
        f"{kept}; free some space and start the run again."
    )
