"""One run for the resume test: python resumable.py FOLDER NUM_ITERATIONS [KILL_AT_STEP]."""

import os
import signal
import sys
from pathlib import Path

from transformers import TrainerCallback

sys.path.insert(0, str(Path(__file__).parents[2]))
from scgrpo.trainer.checkpoint import last_complete_checkpoint
from tests.trainer.runs import config, trainer
from tests.trainer.tiny import tiny_dataset


class Kill(TrainerCallback):
    """Ends the process as a power cut would, in the middle of a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_substep_end(self, args, state, control, **_):
        if state.global_step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def main(folder: str, iterations: str, kill_at: str | None = None) -> None:
    args = config(
        folder,
        per_device_train_batch_size=8,
        gradient_accumulation_steps=2,
        num_iterations=int(iterations),
        max_steps=10,
        save_strategy="steps",
        save_steps=3,
    )
    run = trainer(args, train_dataset=tiny_dataset(6))
    if kill_at is not None:
        run.add_callback(Kill(int(kill_at)))
    checkpoint = last_complete_checkpoint(Path(folder))
    run.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    run.save_model(str(Path(folder) / "model"))


if __name__ == "__main__":
    main(*sys.argv[1:])
