"""Texts of `--help` that are longer than a line."""

import textwrap
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from typer.core import TyperCommand

if TYPE_CHECKING:
    from scgrpo.runs.config_reader import Key

WIDTH = 76

EPILOG = """[bold]First steps[/]
  scgrpo demo                                  GRPO against SC-GRPO, on a CPU
  scgrpo train --config run.yaml --seed 1      one run
  scgrpo evaluate runs/NAME --task synthetic   its Avg@8 and Pass@8
  scgrpo report runs/NAME                      where its credit went
  scgrpo watch runs/NAME                       the same in the browser, as it goes
  scgrpo tasks                                 what it can be trained on

[bold]Exit codes[/]
  0 done, 1 failed, 2 a mistake in what was asked,
  130 interrupted: the same command goes on from there"""

_EXAMPLE = """[bold]A first run.yaml[/]
  preset: sc-grpo               # scgrpo presets shows all
  model: Qwen/Qwen3-0.6B
  dataset: problems.jsonl       # columns prompt and answer
  reward: my_reward.py:verify   # def verify(completions, answer, **kwargs)
  learning_rate: 1e-6
  max_steps: 200"""

_REST = """[bold]Keys of the trainer[/]
  Every field of SCGRPOConfig, and so of trl.GRPOConfig: learning_rate,
  num_generations, max_completion_length, use_vllm, threshold_percentile, ...
  All of them, with their meaning: scgrpo train --list-keys

[bold]Also[/]
  An entry of a mapping:   --task_options.steps 4
  Several values:          --report_to wandb tensorboard
  Several processes:       accelerate launch -m scgrpo.cli train -c run.yaml"""


_SHOWN = """[bold]While it trains[/]
  step            done and in all
  reward          mean over the rollouts of the step
  length          mean length of a completion, in tokens
  clipped         share of completions that did not end within
                  max_completion_length
  Avg@k           mean reward on held-out problems, last evaluation
  routes          shares of the groups: partial (some rollouts solved,
                  weighted), none (none solved, diversity), plain (GRPO)
  c               scale of the weight D / (D + c), in nats
  tokens/s        prompt and completion tokens a second
  left            time until the last step
  All numbers of metrics.jsonl, and what is healthy: docs/metrics.md"""


def _line(key: "Key") -> str:
    indent = " " * 18
    default = "" if key.default in (None, {}) else f" [default: {key.default}]"
    text = textwrap.fill(f"{key.help}{default}", WIDTH, initial_indent=indent,
                         subsequent_indent=indent)  # fmt: skip
    return f"  [cyan]{key.name:<15}[/] {escape(text.lstrip())}"


def _run_keys() -> str:
    from scgrpo.runs.config_reader import run_keys

    return "\n".join(["[bold]Keys of a run[/]", *map(_line, run_keys().values())])


class TrainCommand(TyperCommand):
    """Reads the keys of a run only where its help is asked for."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        self.epilog = "\n\n".join([_EXAMPLE, _run_keys(), _SHOWN, _REST])
        super().format_help(ctx, formatter)
