"""Where could a token weight win at all? The grid of docs/headroom.md: bases, probes, map.

    python -m benchmarks.headroom                      # what is missing, in the order of the grid
    python -m benchmarks.headroom --only sums-8 --batches 96

Given again, the command goes on where it stopped: a base that is there is kept, batches of a probe
are added to. `runs/headroom/NAME/probe.json` has everything that was found of a setting.
"""

import argparse
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scgrpo.embedded.base_model import build_base
from scgrpo.embedded.synthetic.corpus import CorpusOptions
from scgrpo.probe.request import ProbeRequest
from scgrpo.probe.run import Progress, Told, probe
from scgrpo.probe.store import Store
from scgrpo.probe.weightings import WEIGHTINGS, TokenFacts, Weighting
from scgrpo.tasks.synthetic import SyntheticOptions

METHODS = (
    *("credit", "credit-failed", "shuffled", "inverse", "entropy"),
    *("signed", "signed*credit", "reversed"),
)
ORACLES = ("oracle-steps", "oracle-until-error", "oracle-decisive")
_ADDITION = re.compile(r"(\d+)\+(\d+)=(\d+)")


@dataclass(frozen=True)
class Setting:
    """A task, and how its base is made."""

    task: dict[str, Any]
    errors: float = 0.25
    """Chance of a wrong step in the corpus."""
    steps: int = 200
    """Of the training of its base."""
    start: str | None = "tiny"
    """None: the shipped base itself."""
    corpus: CorpusOptions = field(init=False)

    def __post_init__(self) -> None:
        share = self.errors / CorpusOptions.error_rate
        own = CorpusOptions(
            self.errors,
            CorpusOptions.informed_error_rate * share,
            CorpusOptions.known_error_rate * share,
        )
        object.__setattr__(self, "corpus", own)


LONG = {"steps": 8, "largest": 9}
GRID = {
    "words-4": Setting({}, start=None),
    "plain-8": Setting(LONG | {"routine": 0.0}, 0.1),
    "digits-4": Setting({"wording": "digits"}),
    "plain-8-half": Setting(LONG | {"routine": 0.0}, 0.05),
    "plain-12": Setting({"steps": 12, "largest": 9, "routine": 0.0}, 0.06),
    "plain-12-half": Setting({"steps": 12, "largest": 9, "routine": 0.0}, 0.03),
    "digits-8": Setting(LONG | {"wording": "digits"}, 0.1, 400),
    "digits-8-half": Setting(LONG | {"wording": "digits"}, 0.05, 400),
    "sums-4": Setting({"wording": "sums"}, steps=600),
    "sums-8": Setting(LONG | {"wording": "sums"}, 0.1, 600),
}
"""By name: wording, and the most additions."""


def rollouts_of(facts: TokenFacts) -> list[tuple[NDArray[np.int64], list[str]]]:
    """Places and texts of the tokens of each rollout."""
    rollout = facts.rollout.numpy()
    places = [np.flatnonzero(rollout == row) for row in np.unique(rollout)]
    return [(own, [facts.pieces[place] for place in own]) for own in places]


def oracle(facts: TokenFacts, *, until_error: bool = False, decisive: bool = False) -> Tensor:
    """The weights of an oracle `(M)`, see docs/headroom.md."""
    weights = torch.zeros(len(facts))
    for places, pieces in rollouts_of(facts):
        own = of_rollout(pieces, until_error=until_error, decisive=decisive)
        weights[torch.from_numpy(places)] = torch.tensor(own)
    return weights


def of_rollout(
    pieces: list[str], *, until_error: bool = False, decisive: bool = False
) -> list[float]:
    """The weights of an oracle for the tokens of a rollout."""
    text = "".join(pieces)
    starts = [0, *accumulate(map(len, pieces))][:-1]
    errors = [m for m in _ADDITION.finditer(text) if int(m[1]) + int(m[2]) != int(m[3])]
    end = errors[0].end() if errors else len(text)
    segment = 0
    weights = []
    for piece, start in zip(pieces, starts, strict=True):
        stop = text.find("; ", segment)
        stop = len(text) if stop < 0 else stop + 2
        if start >= stop:
            segment = stop
            stop = text.find("; ", segment)
            stop = len(text) if stop < 0 else stop + 2
        inside = text[segment:stop]
        is_step = "=" in inside or "; " not in inside
        sign = text.find("=", segment, stop)
        weight = is_step and not piece.strip().isalpha()
        if decisive:
            weight = weight and 0 <= sign < start
            weight = weight and (not errors or errors[0].start(3) <= start < end)
        elif until_error:
            weight = weight and start < end
        weights.append(float(weight))
    return weights


SUSPICIONS: dict[str, Callable[[Mapping[str, NDArray[Any]]], NDArray[Any]]] = {
    "-d, verified reference": lambda a: -a["log_ratio_verified"],
    "-d, failed reference": lambda a: -a["log_ratio_failed"],
    "D": lambda a: a["kl_verified"],
    "surprise": lambda a: -a["logp"],
    "entropy": lambda a: a["entropy"],
}
"""By which the token to blame in a failed rollout may be looked for; the largest is meant."""


def blamed(pieces: list[str], suspicion: NDArray[Any]) -> tuple[bool, bool] | None:
    """Whether the most suspicious token of a failed rollout lies in its first wrong sum.

    Args:
        pieces: text of each token.
        suspicion: of each token.

    Returns:
        Looked for among all tokens, and among those of all sums; None without a wrong sum.
    """
    text = "".join(pieces)
    starts = np.array([0, *accumulate(map(len, pieces))][:-1])
    sums = [(m, int(m[1]) + int(m[2]) == int(m[3])) for m in _ADDITION.finditer(text)]
    inside = [(m.start(3) <= starts) & (starts < m.end()) for m, _ in sums]
    wrong = [own for own, (_, is_right) in zip(inside, sums, strict=True) if not is_right]
    if not wrong:
        return None
    among_sums = np.where(np.any(inside, axis=0), suspicion, -np.inf)
    return bool(wrong[0][suspicion.argmax()]), bool(wrong[0][among_sums.argmax()])


def blame_of(folder: Path, batches: int) -> dict[str, Any]:
    """How often each suspicion is right, over the failed rollouts that a teacher read."""
    store = Store(folder / "policy")
    found: dict[str, list[tuple[bool, bool]]] = {name: [] for name in SUSPICIONS}
    for number in range(batches):
        batch = store.read(number)
        for row, rollout in enumerate(batch.told["rollouts"]):
            own = np.flatnonzero(batch.arrays["rollout"] == row)
            arrays = {name: values[own] for name, values in batch.arrays.items() if name in READ}
            if rollout["solved"] or not len(own) or any(np.isnan(v).any() for v in arrays.values()):
                continue
            pieces = [batch.told["pieces"][place] for place in own]
            for name, suspicion in SUSPICIONS.items():
                hit = blamed(pieces, suspicion(arrays))
                found[name] += [hit] if hit else []
    count = len(found["D"])
    return {"rollouts": count} | {
        name: np.mean(hits, axis=0).tolist() for name, hits in found.items() if count
    }


READ = ("log_ratio_verified", "log_ratio_failed", "kl_verified", "logp", "entropy")


def probe_with_oracles(request: ProbeRequest, told: Told | None = None) -> Path:
    """Probe, the oracles being weightings that a request may name."""
    own: dict[str, Weighting] = {
        "oracle-steps": oracle,
        "oracle-until-error": partial(oracle, until_error=True),
        "oracle-decisive": partial(oracle, decisive=True),
    }
    WEIGHTINGS.update(own)
    try:
        return probe(request, told)
    finally:
        for name in own:
            del WEIGHTINGS[name]


def run(name: str, folder: Path, batches: int) -> Path:
    """The base of a setting and its probe, as far as they are not there."""
    setting, model = GRID[name], "tiny"
    if setting.start is not None:
        base = folder / name / "base"
        model = str(base)
        if not (base / "recipe.json").exists():
            print(f"{name}: base", flush=True)
            options = SyntheticOptions(**setting.task)
            build_base(base, options, setting.corpus, steps=setting.steps, start=setting.start)
    request = ProbeRequest(
        model=model,
        task="synthetic",
        task_options=setting.task,
        signals=",".join((*METHODS, *ORACLES)),
        batches=batches,
        layers="all",
        coordinates=150_000,
        output=folder / name,
    )

    def tell(progress: Progress) -> None:
        if progress.done % 8 == 0:
            print(f"{name}: {progress.done}/{progress.batches} batches", flush=True)

    return probe_with_oracles(request, Told(progress=tell))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("runs/headroom"))
    parser.add_argument("--only", nargs="*", choices=list(GRID), default=list(GRID))
    parser.add_argument("--batches", type=int, default=32)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.only:
        run(name, options.output, options.batches)


if __name__ == "__main__":
    main()
