"""Checkpoints that are either whole or not there."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from scgrpo.teachers.memory import TrajectoryMemory


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


def save_generation_state(
    trainer: Any, memory: TrajectoryMemory | None, checkpoint: str | Path
) -> None:
    """Keep what TRL forgets: a half-used generation batch, and what is remembered."""
    between = trainer._step % (trainer.args.steps_per_generation * trainer.num_iterations)
    state = {
        "micro_step": trainer._step,
        "buffer": trainer._buffered_inputs if between else None,
        "memory": None if memory is None else memory.state_dict(),
    }
    torch.save(state, _state_file(trainer, checkpoint))


def load_generation_state(
    trainer: Any, memory: TrajectoryMemory | None, checkpoint: str | Path
) -> None:
    """Go on where `save_generation_state` left off; a checkpoint of TRL's has nothing of it."""
    file = _state_file(trainer, checkpoint)
    if not file.exists():
        return
    state = torch.load(file, map_location=trainer.accelerator.device, weights_only=True)
    trainer._step, trainer._buffered_inputs = state["micro_step"], state["buffer"]
    if memory is not None:
        memory.load_state_dict(state["memory"] or {})


def _state_file(trainer: Any, checkpoint: str | Path) -> Path:
    return Path(checkpoint) / f"scgrpo_state_{trainer.accelerator.process_index}.pt"


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
