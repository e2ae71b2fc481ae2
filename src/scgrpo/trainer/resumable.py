"""TRL's trainer, gone on with exactly where a checkpoint left off: data order and whole batches."""

from pathlib import Path
from typing import Any

from torch.utils.data import Sampler
from trl import GRPOTrainer

from scgrpo.teachers.memory import TrajectoryMemory
from scgrpo.trainer.checkpoint import (
    GenerationState,
    discard_partial,
    load_generation_state,
    save_generation_state,
)
from scgrpo.trainer.data_order import ResumableRepeatSampler


class ResumableTrainer(GRPOTrainer):
    """Adds what TRL forgets over a resume, and checkpoints that are whole or not there."""

    _memory: TrajectoryMemory | None = None
    """Verified rollouts of earlier steps."""

    def _get_train_sampler(self, dataset: Any = None) -> Sampler:
        return ResumableRepeatSampler.of(
            super()._get_train_sampler(dataset), lambda: int(self.state.epoch or 0)
        )

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        try:
            super()._save_checkpoint(model, trial)
        except Exception as error:
            # torch, safetensors and the file system each report a full disk in their own way.
            folder = Path(self._get_output_dir(trial=trial))
            raise discard_partial(folder, self.state.global_step, error) from error

    def _save_rng_state(self, output_dir: str) -> None:
        super()._save_rng_state(output_dir)
        between = self._step % (self.args.steps_per_generation * self.num_iterations)
        state = GenerationState(
            self._step, self._buffered_inputs if between else None, self._memory
        )
        save_generation_state(state, Path(output_dir), self.accelerator.process_index)
        self.accelerator.wait_for_everyone()  # trainer_state.json, written next, means complete

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is None:
            return
        process, device = self.accelerator.process_index, self.accelerator.device
        state = load_generation_state(Path(checkpoint), process, device, self._memory)
        if state is not None:
            self._step, self._buffered_inputs = state.micro_step, state.buffer
            self._memory = state.memory
