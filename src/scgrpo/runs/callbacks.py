"""What happens beside the steps: evaluations on held-out problems."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback

from scgrpo.evaluation.metrics import avg_at_k, pass_at_k
from scgrpo.evaluation.records import reward_matrix
from scgrpo.evaluation.run import evaluate
from scgrpo.run_folder import RunFolder


@dataclass(frozen=True)
class HeldOut:
    """What is evaluated during training, and how its samples are drawn."""

    splits: Mapping[str, Dataset]
    verify: Callable[..., Any]
    every: int
    """Steps between two evaluations."""
    k: int
    seed: int
    sampling: Mapping[str, Any]
    """How completions are rendered and sampled: arguments of `evaluate`."""
    max_new_tokens: int
    solve_threshold: float
    """Smallest reward that Pass@k counts as solved."""


@dataclass(frozen=True)
class Evaluating:
    """Where an evaluation beside training stands."""

    step: int
    """Steps that the model has made."""
    split: str
    problems: int
    k: int
    done: int = 0
    """Samples that are there."""
    token: int = 0
    """Place of the token that those being drawn get now; 0 where none is drawn."""

    @property
    def samples(self) -> int:
        """In all."""
        return self.problems * self.k


Told = Callable[[Evaluating], None]


@dataclass(frozen=True)
class Host:
    """What an evaluation needs of the trainer beside which it runs."""

    model: Callable[[], PreTrainedModel]
    """The model as it is now, unwrapped."""
    tokenizer: PreTrainedTokenizerBase
    log: Callable[[dict[str, float]], None]
    wait_for_everyone: Callable[[], None]
    """Returns once all processes have called it."""
    told: Told = lambda evaluating: None
    """Who is told of an evaluation, in the process that draws it: first of its beginning."""


class EvaluationCallback(TrainerCallback):
    """Samples held-out problems every so many steps, and before the first."""

    def __init__(self, held_out: HeldOut, host: Host, folder: RunFolder) -> None:
        self.held_out, self.host, self.folder = held_out, host, folder

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == 0:
            self._evaluate(state)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step % self.held_out.every == 0 or state.global_step == state.max_steps:
            self._evaluate(state)

    def _evaluate(self, state: Any) -> None:
        if state.is_world_process_zero:
            output = self.folder.evaluation(state.global_step)
            for split, rows in self.held_out.splits.items():
                self._evaluate_split(split, rows, output, state.global_step)
        self.host.wait_for_everyone()

    def _evaluate_split(self, split: str, rows: Dataset, output: Path, step: int) -> None:
        held_out = self.held_out
        now = Evaluating(step, split, len(rows), held_out.k)

        def tell(**standing: int) -> None:
            nonlocal now
            now = replace(now, **standing)
            self.host.told(now)

        tell()
        records = evaluate(
            self.host.model(),
            self.host.tokenizer,
            rows,
            verify=held_out.verify,
            k=held_out.k,
            **held_out.sampling,
            max_new_tokens=held_out.max_new_tokens,
            seed=held_out.seed,
            split=split,
            step=step,
            output=output,
            progress=lambda done, samples: tell(done=done, token=0),
            token=lambda place: tell(token=place),
        )
        tell(done=now.samples, token=0)
        _, rewards_PK = reward_matrix(records)
        for name, value in (
            (f"avg@{held_out.k}", avg_at_k(rewards_PK)),
            (f"pass@{held_out.k}", pass_at_k(rewards_PK, held_out.k, held_out.solve_threshold)),
        ):
            self.host.log({f"eval/{split}/{name}": float(value)})
