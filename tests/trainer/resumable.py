"""One run for the resume test: python resumable.py FOLDER METHOD NUM_ITERATIONS [KILL_AT_STEP]."""

import os
import signal
import sys
from pathlib import Path

from transformers import TrainerCallback

sys.path.insert(0, str(Path(__file__).parents[2]))
from scgrpo.trainer.wholeness import last_whole
from tests.trainer.runs import config, trainer
from tests.trainer.tiny import tiny_dataset


class Kill(TrainerCallback):
    """Ends the process as a power cut would, in the middle of a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_substep_end(self, args, state, control, **_):
        if state.global_step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


METHODS = {
    "sc-grpo": ("sc-grpo", {}),
    "memory, fresh problems": ("sc-grpo-memory", {"dynamic_sampling": True}),
    "initial weights": ("opsd", {"divergence_clip": None}),
}


def main(folder: str, method: str, iterations: str, kill_at: str | None = None) -> None:
    preset, overrides = METHODS[method]
    args = config(
        folder,
        preset,
        per_device_train_batch_size=8,
        gradient_accumulation_steps=2,
        num_iterations=int(iterations),
        max_steps=10,
        save_strategy="steps",
        save_steps=3,
        **overrides,
    )
    data = tiny_dataset(6)
    data = data.add_column("demonstration", [f"aei {i}" for i in range(len(data))])
    run = trainer(args, train_dataset=data)
    if kill_at is not None:
        run.add_callback(Kill(int(kill_at)))
    checkpoint = last_whole(Path(folder)).found
    run.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    run.save_model(str(Path(folder) / "model"))


if __name__ == "__main__":
    main(*sys.argv[1:])
