"""TRL's trainer, gone on with exactly where a checkpoint left off: data order and whole batches."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Sampler
from transformers.trainer import TRAINING_ARGS_NAME
from transformers.trainer_utils import TrainOutput
from trl import GRPOTrainer

from scgrpo.credit.credit import Credit
from scgrpo.teachers.memory import TrajectoryMemory
from scgrpo.trainer.checkpoint import (
    GenerationState,
    checkpoint_of,
    load_generation_state,
    save_generation_state,
)
from scgrpo.trainer.data_order import ResumableRepeatSampler
from scgrpo.trainer.keeping import discard_partial, rotate
from scgrpo.trainer.manifest import begin_checkpoint, finish_checkpoint
from scgrpo.trainer.wholeness import last_whole_everywhere, report, require_whole


class ResumableTrainer(GRPOTrainer):
    """Adds what TRL forgets over a resume, and checkpoints that are whole or passed over."""

    _memory: TrajectoryMemory | None = None
    """Verified rollouts of earlier steps."""
    _credit: Credit
    """With what it remembers of earlier steps."""

    def train(
        self, resume_from_checkpoint: str | bool | None = None, *args: Any, **kwargs: Any
    ) -> TrainOutput:
        """As in `transformers.Trainer`; True takes the latest whole checkpoint.

        Raises:
            CheckpointError: for a checkpoint that is damaged, or where all are.
            ValueError: where there is none.
        """
        if resume_from_checkpoint is True:
            resume_from_checkpoint = str(self._last_whole())
        elif resume_from_checkpoint:
            require_whole(Path(resume_from_checkpoint), reads=self.args.should_save)
        return super().train(resume_from_checkpoint, *args, **kwargs)

    def resume(self, checkpoint: Path | None) -> TrainOutput:
        """Train from a checkpoint that is known to be whole, or from the start."""
        return super().train(None if checkpoint is None else str(checkpoint))

    def _last_whole(self) -> Path:
        folder = Path(self.args.output_dir)
        search = last_whole_everywhere(folder, reads=self.args.should_save)
        cure = "give the path of one that is, or train from the start"
        found = report(search, cure, speaks=self.is_world_process_zero())
        if found is None:
            raise ValueError(f"there is no finished checkpoint in {folder}; train from the start.")
        return found

    def _get_train_sampler(self, dataset: Any = None) -> Sampler:
        return ResumableRepeatSampler.of(
            super()._get_train_sampler(dataset), lambda: int(self.state.epoch or 0)
        )

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        folder, step = Path(self._get_output_dir(trial=trial)), self.state.global_step
        checkpoint = checkpoint_of(folder, step)
        try:
            if self.args.should_save:
                begin_checkpoint(checkpoint)
            self.accelerator.wait_for_everyone()
            with self._without_rotation(checkpoint):
                super()._save_checkpoint(model, trial)
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                alone = self.args.save_only_model
                finish_checkpoint(checkpoint, step, self.args.world_size, model_only=alone)
                best = self.state.best_model_checkpoint
                rotate(folder, self.args.save_total_limit, step, best)
        except Exception as error:
            # torch, safetensors and the file system each report a full disk in their own way.
            raise discard_partial(folder, step, error) from error

    @contextmanager
    def _without_rotation(self, checkpoint: Path) -> Iterator[None]:
        """Older checkpoints stay until the new one is finished."""
        limit, self.args.save_total_limit = self.args.save_total_limit, None
        try:
            yield
        finally:
            self.args.save_total_limit = limit
        if (checkpoint / TRAINING_ARGS_NAME).exists() and self.args.should_save:
            torch.save(self.args, checkpoint / TRAINING_ARGS_NAME)

    def _save_rng_state(self, output_dir: str) -> None:
        super()._save_rng_state(output_dir)
        between = self._step % (self.args.steps_per_generation * self.num_iterations)
        state = GenerationState(
            self._step,
            self._buffered_inputs if between else None,
            self._memory,
            self._credit.state_dict(),
        )
        save_generation_state(state, Path(output_dir), self.accelerator.process_index)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is None:
            return
        process, device = self.accelerator.process_index, self.accelerator.device
        state = load_generation_state(Path(checkpoint), process, device, self._memory)
        if state is not None:
            self._step, self._buffered_inputs = state.micro_step, state.buffer
            self._memory = state.memory
            if state.trust:
                self._credit.load_state_dict(state.trust)

    def _load_best_model(self) -> None:
        best = Path(self.state.best_model_checkpoint)
        require_whole(best, reads=self.args.should_save, to_resume=False)
        super()._load_best_model()
