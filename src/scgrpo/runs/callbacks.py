"""What happens beside the steps: the run folder's rows, and evaluations."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import TrainerCallback

from scgrpo.evaluation.metrics import avg_at_k, pass_at_k
from scgrpo.evaluation.records import reward_matrix
from scgrpo.evaluation.run import evaluate
from scgrpo.runs.run_config import RunConfig
from scgrpo.runs.run_folder import RunFolder


class RunFolderCallback(TrainerCallback):
    """Appends every logged step to `metrics.jsonl`."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if state.is_world_process_zero and logs and "loss" in logs:
            self.folder.append_metrics({"step": state.global_step, "time": time.time(), **logs})


class EvaluationCallback(TrainerCallback):
    """Samples held-out problems every `eval_steps` steps, and before the first."""

    def __init__(
        self,
        trainer: Any,
        folder: RunFolder,
        splits: Mapping[str, Dataset],
        verify: Callable[..., Any],
        config: RunConfig,
    ) -> None:
        self.trainer, self.folder, self.splits = trainer, folder, splits
        self.verify, self.config = verify, config

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == 0:
            self._evaluate(state)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step % self.config.eval_steps == 0 or state.global_step == state.max_steps:
            self._evaluate(state)

    def _evaluate(self, state: Any) -> None:
        if state.is_world_process_zero:
            output = self.folder.evaluation(state.global_step)
            for split, rows in self.splits.items():
                self._evaluate_split(split, rows, output, state.global_step)
        self.trainer.accelerator.wait_for_everyone()

    def _evaluate_split(self, split: str, rows: Dataset, output: Path, step: int) -> None:
        trainer, config = self.trainer, self.config
        records = evaluate(
            trainer.accelerator.unwrap_model(trainer.model),
            trainer._tokenizer,
            rows,
            verify=self.verify,
            k=config.eval_k,
            temperature=trainer.temperature,
            max_new_tokens=trainer.max_completion_length,
            seed=config.seed,
            split=split,
            step=step,
            output=output,
        )
        _, rewards_PK = reward_matrix(records)
        solved_at = trainer.args.solve_threshold
        for name, value in (
            (f"avg@{config.eval_k}", avg_at_k(rewards_PK)),
            (f"pass@{config.eval_k}", pass_at_k(rewards_PK, config.eval_k, solved_at)),
        ):
            trainer._log_train({f"eval/{split}/{name}": float(value)})
