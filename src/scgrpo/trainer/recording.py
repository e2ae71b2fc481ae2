"""The trainer keeps its own run folder: what it is made of, its steps, rollouts, evaluations."""

import json
import logging
import math
import time
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import TrainerCallback

from scgrpo.files import read_jsonl, write_atomically
from scgrpo.rollouts import Rollouts
from scgrpo.run_folder import RunFolder
from scgrpo.trainer.describing import describe
from scgrpo.trainer.hosting import HostingTrainer
from scgrpo.trainer.records import Decoder, Record, RolloutSink, WeighedBatch, rollout_records
from scgrpo.trainer.tracking import track
from scgrpo.trainer.verification import Verification

INSPECTED_ROLLOUTS = 16

logger = logging.getLogger(__name__)


class Recorder(TrainerCallback):
    """Writes what a run is made of.

    Args:
        folder: of the run.
        facts: what the trainer knows of it; whoever knows more adds to it before training.
    """

    def __init__(self, folder: RunFolder, facts: dict[str, Any]) -> None:
        self.folder, self.facts = folder, facts

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if not state.is_world_process_zero:
            return
        done = state.global_step
        if done == 0 and (steps := len(read_jsonl(self.folder.metrics))):
            logger.warning(
                f"{self.folder.path} holds the records of {steps} steps; the run begins anew, and "
                "they are replaced."
            )
        self.folder.write_config(describe(args, self.facts))
        self.folder.rewind(done)


class RecordingTrainer(HostingTrainer):
    """Records its run under `output_dir`."""

    _verification: Verification
    rollout_sink: RolloutSink | None
    """Takes the generation batches of each `rollout_steps`; by default they go to the folder."""

    def _begin_records(self) -> None:
        path = Path(self.args.output_dir)
        data = getattr(self.train_dataset, "info", None)
        facts = {
            "name": path.resolve().name,
            "task": getattr(data, "dataset_name", None),
            "model": self.model.config._name_or_path or None,
            "rewards": list(self.reward_func_names),
        }
        self.args.run_name = self.args.run_name or str(facts["name"])
        self.recorder = Recorder(RunFolder(path), facts)
        self.add_callback(self.recorder)
        self.rollout_sink = self._keep_rollouts
        self.inspected_rollouts = INSPECTED_ROLLOUTS
        """So many rollouts, the first of all, are kept with their likeliest tokens."""
        self._evaluated: list[Record] = []
        self._summed: tuple[Tensor | None, float] = (None, 0.0)
        """TRL's sum of losses, and how much of it is in a row."""
        self._recorded: dict[str, tuple[list[float], int]] = {}
        """TRL's lists of values, and how many of each are in a row."""

    # --- a row for each step, whatever `logging_steps` says of what TRL logs ---

    def _maybe_log_save_evaluate(
        self, tr_loss: Tensor, grad_norm: Any, *args: Any, **kwargs: Any
    ) -> None:
        rate = kwargs.get("learning_rate")
        self._record_step(tr_loss, grad_norm, self._get_learning_rate() if rate is None else rate)
        super()._maybe_log_save_evaluate(tr_loss, grad_norm, *args, **kwargs)
        # Where TRL has logged, it has emptied both.
        self._summed = tr_loss, float(tr_loss)
        self._recorded = {name: (own, len(own)) for name, own in self._metrics["train"].items()}

    def _record_step(self, tr_loss: Tensor, grad_norm: Any, learning_rate: float) -> None:
        """Append what TRL would log if it logged each step; nothing where none was made since."""
        fresh = {}
        for name, values in self._metrics["train"].items():
            known, count = self._recorded.get(name, ([], 0))
            fresh[name] = values[count:] if values is known else values
        if not any(fresh.values()):
            return
        known, before = self._summed
        own = tr_loss.detach() - (before if tr_loss is known else 0.0)
        loss = self._world.gather(own.view(1)).mean()
        if self.is_world_process_zero():
            self.recorder.folder.append_metrics(
                {
                    "step": self.state.global_step,
                    "time": time.time(),
                    "loss": float(loss),
                    **({} if grad_norm is None else {"grad_norm": float(grad_norm)}),
                    "learning_rate": learning_rate,
                    **{name: _mean(values) for name, values in fresh.items() if values},
                    "epoch": self.state.epoch,
                }
            )

    @property
    def _wants_records(self) -> bool:
        every = self.args.rollout_steps
        return self.rollout_sink is not None and every > 0 and self.state.global_step % every == 0

    @cached_property
    def _decode(self) -> Decoder:
        return Decoder(
            self._tokenizer,
            self.chat_template,
            self.chat_template_kwargs,
            self.args.reference_thinking,
        )

    def _keep_rollouts(self, batch: WeighedBatch) -> None:
        records = rollout_records(batch, self._decode)
        if self.is_world_process_zero():
            step = batch.attached.step.step
            self.recorder.folder.write_rollouts(step, records)
            track(self.args.report_to, self.callback_handler.callbacks, step, records)

    # --- TRL's evaluation, sample by sample ---

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: Any = None, metric_key_prefix: str = "eval"
    ) -> Any:
        self._evaluated = []
        metrics = super().evaluate(eval_dataset, ignore_keys, metric_key_prefix)
        if self._evaluated and self.is_world_process_zero():
            split = metric_key_prefix.removeprefix("eval_")
            self._write_evaluation([{"split": split, **row} for row in self._evaluated])
        self._evaluated = []
        return metrics

    def _note_evaluated(self, rollouts: Rollouts) -> None:
        """Take the rollouts of an evaluation batch into its records."""
        reward_B = self._verification.reward(rollouts.reward_per_func).tolist()
        first = self.accelerator.process_index * len(rollouts)
        own = [
            {
                "problem_id": problem,
                "reward": reward_B[first + row],
                "completion": self._decode.text(ids),
                "tokens": len(ids),
            }
            for row, (problem, ids) in enumerate(
                zip(rollouts.problems, rollouts.completion_ids, strict=True)
            )
        ]
        self._evaluated += self._world.gather_objects(own)

    def _write_evaluation(self, rows: list[Record]) -> None:
        path = self.recorder.folder.evaluation(self.state.global_step)
        samples: Counter[str] = Counter()
        for row in rows:
            row |= {"step": self.state.global_step, "sample": samples[row["problem_id"]]}
            samples[row["problem_id"]] += 1
        # The last batch of several processes may be filled with problems that were there before.
        rows = [row for row in rows if row["sample"] < self.num_generations_eval]
        others = [row for row in read_jsonl(path) if row["split"] != rows[0]["split"]]
        write_atomically(path, "".join(json.dumps(row) + "\n" for row in [*others, *rows]))


def _mean(values: Sequence[float]) -> float:
    """Of those that are defined, NaN where none is."""
    defined = [value for value in values if not math.isnan(value)]
    return sum(defined) / len(defined) if defined else math.nan
