"""Checkpoints that are either whole or not there."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from scgrpo.rollouts import Batch
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


@dataclass(frozen=True)
class GenerationState:
    """What TRL forgets over a resume."""

    micro_step: int
    """Micro-batches trained on so far."""
    buffer: list[Batch] | None
    """Micro-batches of a half-used generation batch."""
    memory: TrajectoryMemory | None


def save_generation_state(state: GenerationState, checkpoint: Path, process_index: int) -> None:
    """Write the state of one process into a checkpoint."""
    memory = None if state.memory is None else state.memory.state_dict()
    fields = {"micro_step": state.micro_step, "buffer": state.buffer, "memory": memory}
    torch.save(fields, _state_file(checkpoint, process_index))


def load_generation_state(
    checkpoint: Path, process_index: int, device: torch.device, memory: TrajectoryMemory | None
) -> GenerationState | None:
    """What `save_generation_state` wrote; None for a checkpoint of TRL's, which has nothing of it.

    Args:
        checkpoint: its folder.
        process_index: whose state is read.
        device: of the tensors.
        memory: the memory that the run began with.
    """
    file = _state_file(checkpoint, process_index)
    if not file.exists():
        return None
    fields = torch.load(file, map_location=device, weights_only=True)
    restored = None if memory is None else memory.restored(fields["memory"] or {})
    return GenerationState(fields["micro_step"], fields["buffer"], restored)


def _state_file(checkpoint: Path, process_index: int) -> Path:
    return checkpoint / f"scgrpo_state_{process_index}.pt"


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
