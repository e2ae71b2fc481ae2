"""Does the probe foretell a run? Weightings x settings x seeds, trained, against their worth.

    python -m benchmarks.prediction                    # what is missing, seed by seed
    python -m benchmarks.prediction --only words-4 --steps 80 --until 06:30
    python -m benchmarks.prediction --along words-4    # probes of finished runs, at middle and end
    python -m benchmarks.headroom_report --headroom runs/headroom --prediction runs/prediction

The protocol is that of docs/headroom.md; `benchmarks/headroom.py` makes the bases and their probes.
Given again, the command goes on where it stopped, with more `--steps` from there.
`runs/prediction/SETTING/WEIGHTING-sSEED` are run folders as any other.
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.headroom import GRID, METHODS, ORACLES, of_rollout, probe_with_oracles

import scgrpo.runs.run as running
from scgrpo.credit.advantages import per_token
from scgrpo.probe.request import ProbeRequest
from scgrpo.runs.run_config import RunConfig
from scgrpo.tasks.synthetic import SyntheticTask
from scgrpo.trainer.trainer import SCGRPOTrainer

SETTINGS = ("words-4", "plain-8-half", "digits-4")
SEEDS, STEPS, EARLY, RATE = (0, 1, 2), 160, 40, 1e-4
EVALUATED = 128


@dataclass(frozen=True)
class Trained:
    """How a weighting of the probe is trained with."""

    preset: str = "sc-grpo-partial"
    settings: dict[str, Any] = field(default_factory=dict)
    oracle: dict[str, bool] | None = None


RUNS = {
    "uniform": Trained("grpo"),
    "oracle-decisive": Trained("grpo", oracle={"decisive": True}),
    "signed": Trained("sc-grpo-signed-ungated"),
    "reversed": Trained(settings={"weight": "reversed"}),
    "credit": Trained(),
    "oracle-until-error": Trained("grpo", oracle={"until_error": True}),
    "inverse": Trained(settings={"weight": "inverse"}),
    "signed*credit": Trained(settings={"weight": "signed*credit"}),
    "entropy": Trained("grpo", {"use": "weight", "weight": "entropy", "threshold_scope": "batch"}),
    "shuffled": Trained(settings={"weight": "shuffled"}),
    "oracle-steps": Trained("grpo", oracle={}),
}
"""By the name of the weighting in the probe, in the order in which they are trained."""


class OracleTrainer(SCGRPOTrainer):
    """GRPO whose advantages are weighted by an oracle of headroom.py, which reads the text."""

    kind: Mapping[str, bool] = {}

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        inputs = super()._prepare_inputs(generation_batch)
        ids_BT, mask_BT = inputs["completion_ids"], inputs["completion_mask"]
        weight_BT = torch.zeros(ids_BT.shape)
        for row, (ids, count) in enumerate(zip(ids_BT, mask_BT.sum(1).tolist(), strict=True)):
            pieces = [self._tokenizer.decode([token]) for token in ids[:count].tolist()]
            weight_BT[row, :count] = torch.tensor(of_rollout(pieces, **self.kind))
        return inputs | {"advantages": per_token(inputs["advantages"], weight_BT) * weight_BT}


def config_of(
    setting: str,
    weighting: str,
    seed: int,
    folder: Path,
    bases: Path,
    steps: int = STEPS,
    rate: float = RATE,
) -> RunConfig:
    """The run of a weighting."""
    how, own = RUNS[weighting], GRID[setting]
    return RunConfig(
        preset=how.preset,
        task="synthetic",
        task_options=own.task,
        model="tiny" if own.start is None else str(bases / setting / "base"),
        output_dir=str(folder / setting),
        name=f"{weighting.replace('*', 'x')}-s{seed}",
        seed=seed,
        eval_steps=EARLY,
        eval_problems=EVALUATED,
        eval_k=8,
        rollout_steps=0,
        trainer={
            "max_steps": steps,
            "learning_rate": rate,
            "per_device_train_batch_size": 16,
            "save_steps": EARLY,
            "save_total_limit": 4,
            "use_cpu": True,
            **how.settings,
        },
    )


def train(config: RunConfig, weighting: str) -> Path:
    """Train a run; one with an oracle by the trainer that knows it."""
    kind = RUNS[weighting].oracle
    usual = running.SCGRPOTrainer
    if kind is not None:
        running.SCGRPOTrainer = type("OracleTrainer", (OracleTrainer,), {"kind": kind})
    try:
        return running.train(config)
    finally:
        running.SCGRPOTrainer = usual


def jobs(
    settings: Sequence[str], weightings: Sequence[str], seeds: Sequence[int]
) -> Iterator[tuple[str, str, int]]:
    """Seed by seed, so that what is there at any time is balanced."""
    for seed, setting, weighting in product(seeds, settings, weightings):
        yield setting, weighting, seed


def along(setting: str, folder: Path, batches: int, steps: int) -> None:
    """Probe the finished runs of the first seed at their middle and end."""
    for weighting in ("uniform", "signed", "oracle-decisive"):
        run = folder / setting / f"{weighting}-s{SEEDS[0]}"
        if (run / "model").is_dir():
            request = ProbeRequest(
                run=run,
                steps=f"{steps // 2},{steps}",
                signals=",".join((*METHODS, *ORACLES)),
                batches=batches,
                layers="all",
                coordinates=150_000,
            )
            print(f"probe of {run}", flush=True)
            probe_with_oracles(request)


def curve_of(run: Path) -> dict[str, list[float]]:
    """Held-out Avg@8 by problem, in their order, at each step that was evaluated."""
    found = {}
    for path in sorted((run / "eval").glob("step_*.jsonl")):
        rewards: dict[str, list[float]] = {}
        for line in path.read_text().splitlines():
            sample = json.loads(line)
            if sample["split"] == "heldout":
                rewards.setdefault(sample["problem_id"], []).append(sample["reward"])
        step = str(int(path.stem.removeprefix("step_")))
        found[step] = [float(np.mean(rewards[problem])) for problem in sorted(rewards)]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("runs/prediction"))
    parser.add_argument("--bases", type=Path, default=Path("runs/headroom"))
    parser.add_argument("--only", nargs="*", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--weightings", nargs="*", choices=list(RUNS), default=list(RUNS))
    parser.add_argument("--seeds", nargs="*", type=int, default=list(SEEDS))
    parser.add_argument("--steps", type=int, default=STEPS, help="a later call may train further")
    parser.add_argument("--rate", type=float, default=RATE, help="others: in another --output")
    parser.add_argument("--along", nargs="*", choices=SETTINGS, default=[])
    parser.add_argument("--batches", type=int, default=24, help="of the probes along runs")
    parser.add_argument("--until", help="begin no run after this time of the day, as 06:30")
    options = parser.parse_args()
    torch.set_num_threads(1)
    SyntheticTask.evaluation_splits = ("heldout",)  # evaluations are most of a run's time
    if options.along:
        for setting in options.along:
            along(setting, options.output, options.batches, options.steps)
        return
    for setting, weighting, seed in jobs(options.only, options.weightings, options.seeds):
        if options.until and datetime.now().strftime("%H:%M") > options.until:
            break
        config = config_of(
            setting, weighting, seed, options.output, options.bases, options.steps, options.rate
        )
        print(f"{datetime.now():%H:%M:%S} {setting}: {weighting}, seed {seed}", flush=True)
        train(config, weighting)


if __name__ == "__main__":
    main()
