"""A probe from its request to its results: batches drawn, resumed and analysed."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState

from scgrpo.locks import Lock
from scgrpo.mistakes import ConfigError
from scgrpo.probe.analysis import analyse
from scgrpo.probe.batch import FEW, Instrument
from scgrpo.probe.gradients import Coordinates, chosen_parameters
from scgrpo.probe.references import Solved
from scgrpo.probe.request import ProbeRequest
from scgrpo.probe.results import write_results
from scgrpo.probe.sampling import Subject, check_subject, subject_of
from scgrpo.probe.store import Store
from scgrpo.probe.weightings import Weighting, weightings_of
from scgrpo.run_folder import RunFolder
from scgrpo.runs.config_reader import load_run_config, run_config_of
from scgrpo.runs.run_config import RunConfig
from scgrpo.tasks import short_name
from scgrpo.teachers.memory import Reference
from scgrpo.trainer.checkpoint import checkpoint_of, checkpoints, step_of
from scgrpo.trainer.wholeness import decided, require_whole


@dataclass(frozen=True)
class Progress:
    """Where a probe stands."""

    policy: str
    done: int
    """Batches of this policy."""
    batches: int
    policies_left: int
    """Policies after this one."""
    seconds: float
    """Of one batch, those of this call; NaN before the first."""

    @property
    def seconds_left(self) -> float:
        return self.seconds * (self.batches - self.done + self.policies_left * self.batches)


@dataclass(frozen=True)
class Told:
    """Whom a probe tells how it goes."""

    progress: Callable[[Progress], None] = lambda progress: None
    size: Callable[[str], None] = lambda words: None
    """Of the memory that will be needed."""


@dataclass(frozen=True)
class Probed:
    """One policy that is probed."""

    name: str
    step: int | None
    """Of its run, None for a policy that is no run's."""
    checkpoint: Path | None


def probe(request: ProbeRequest, told: Told | None = None) -> Path:
    """Draw what is missing, and write the results.

    Args:
        request: what is asked for.
        told: who is told how it goes.

    Returns:
        The folder of the results, `probe.json` among them.

    Raises:
        ValueError: for what cannot be, before anything is drawn.
        OSError: where another process probes into the same folder.
    """
    request.check()
    told = told or Told()
    weightings = weightings_of(request.signals)
    config = replace(_config(request), seed=request.seed)
    check_subject(config)
    # As the trainer's arguments will say it, which come after the first word between processes.
    PartialState(cpu=config.trainer.get("use_cpu", not torch.cuda.is_available()))
    policies = _policies(request)
    folder = request.output or _default_folder(request, config)
    with _alone(folder):
        found: list[dict[str, Any]] = []
        for place, policy in enumerate(policies):
            left = len(policies) - place - 1
            result = _probe_policy(request, config, policy, folder, weightings, told, left)
            found.append({"policy": policy.name, "step": policy.step} | result)
        decided(lambda: write_results(folder, request, config, found))
    return folder


def _config(request: ProbeRequest) -> RunConfig:
    if request.run is not None:
        written = RunFolder(request.run).read_config()
        if written is None or not isinstance(written.get("run"), dict):
            raise ConfigError(
                f"{request.run} is no run folder (it has no config.yaml of a run); give a folder "
                "that `scgrpo train` wrote, or --model and --task."
            )
        return run_config_of(written["run"], f"{request.run}/config.yaml")
    config = load_run_config(request.config)
    given = {"model": request.model, "task": request.task, "task_options": request.task_options}
    return replace(config, **{key: value for key, value in given.items() if value})


def _policies(request: ProbeRequest) -> list[Probed]:
    if request.run is None:
        return [Probed("policy", None, None)]
    folder = RunFolder(request.run)
    there = {step_of(path): path for path in checkpoints(folder.checkpoints)}
    wanted = request.wanted_steps()
    if wanted is None:
        wanted = [0, *sorted(there)]
    missing = [step for step in wanted if step and step not in there]
    if missing:
        kept = ", ".join(map(str, sorted(there))) or "none"
        raise ConfigError(
            f"{request.run} has no checkpoint of step {', '.join(map(str, missing))} (it has "
            f"{kept}); ask for those, or train with a larger save_total_limit."
        )
    return [
        Probed(f"step {step}", step, checkpoint_of(folder.checkpoints, step) if step else None)
        for step in wanted
    ]


def _default_folder(request: ProbeRequest, config: RunConfig) -> Path:
    if request.run is not None:
        return request.run / "probe"
    subject = short_name(config.task_name) if config.task_name else Path(str(config.dataset)).stem
    return Path("runs") / f"probe-{Path(config.model).name}-{subject}"


def _probe_policy(
    request: ProbeRequest,
    config: RunConfig,
    policy: Probed,
    folder: Path,
    weightings: Mapping[str, Weighting],
    told: Told,
    policies_left: int,
) -> dict[str, Any]:
    place = folder / policy.name.replace(" ", "_")
    store = Store(place)
    processes = PartialState().num_processes
    settings = request.settings() | _identity(config) | {"processes": processes}
    settings["signals"] = ", ".join(weightings)  # what `all` means may grow
    decided(lambda: store.begin(settings))
    if policy.checkpoint is not None:
        require_whole(policy.checkpoint, reads=PartialState().is_main_process, to_resume=False)
    subject = subject_of(config, request.groups, policy.checkpoint, place)
    parameters = chosen_parameters(subject.policy, request.layers)
    coordinates = Coordinates.of(parameters, request.coordinates, request.seed)
    instrument = Instrument(
        subject, weightings, parameters, coordinates, request.seed, request.max_tokens
    )
    told.size(_size(request, subject, instrument))
    _draw(instrument, store, request, policy.name, told, policies_left)
    with suppress(OSError):  # the trainer made it, for what a probe has none of
        RunFolder(place).checkpoints.rmdir()
    size = subject.trainer.num_generations
    group = {
        "rollouts": request.groups * size,
        "group_size": size,
        "update_rollouts": subject.update_rollouts,
        "parameters": sum(p.numel() for p in parameters.values()),
        "coordinates": coordinates.size(parameters),
        "adapter": any(".lora_" in name for name in parameters),
    }
    if subject.world.process_index:
        return group
    return group | analyse(store, range(request.batches), group, list(weightings), request.seed)


def _draw(
    instrument: Instrument,
    store: Store,
    request: ProbeRequest,
    name: str,
    told: Told,
    policies_left: int,
) -> None:
    """Draw the batches that are not there, those of one round on all processes at once."""
    subject, world = instrument.subject, instrument.subject.world
    each = world.num_processes
    rounds = -(-request.batches // each)
    first = next(
        (r for r in range(rounds) if not all(store.has(r * each + p) for p in range(each))), rounds
    )
    began = time.monotonic()

    def tell(done: int) -> None:
        drawn = (done - first) * each
        seconds = (time.monotonic() - began) / drawn if drawn else float("nan")
        batches = min(done * each, request.batches)
        told.progress(Progress(name, batches, request.batches, policies_left, seconds))

    tell(first)
    for number, rows in zip(range(first, rounds), subject.rounds(first), strict=False):
        sampled = subject.sample(rows, request.seed, number)
        batch = number * each + world.process_index
        earlier = [
            one
            for before in range(max(0, number * each - FEW), number * each)
            for one in _solved(store, before)
        ]
        gradients, names, kept = instrument.measure(sampled, batch, earlier)
        store.write(batch, gradients, names, kept)
        subject.trainer.accelerator.wait_for_everyone()
        tell(number + 1)


def _solved(store: Store, number: int) -> Iterator[Solved]:
    for problem, ids, mask in store.read(number).told["solved"]:
        yield Solved(problem, Reference(ids, mask))


def _identity(config: RunConfig) -> dict[str, Any]:
    """What of a run's config the batches depend on."""
    left_out = {"output_dir", "name", "resume", "eval_steps", "eval_problems", "eval_k"}
    return {
        key: value
        for key, value in asdict(config).items()
        if key not in left_out | {"rollout_steps"}
    }


def _size(request: ProbeRequest, subject: Subject, instrument: Instrument) -> str:
    """The memory that the gradients need."""
    entries = sum(p.numel() for p in instrument.parameters.values())
    kept = instrument.coordinates.size(instrument.parameters)
    count = len(instrument.weightings) + 4  # the kinds of token that a task may have
    disk = 2 * kept * count * request.batches
    memory = 4 * (2 * entries + kept * count)
    return (
        f"{count - 4} weightings of {request.batches} batches of {request.groups} x "
        f"{subject.trainer.num_generations} rollouts; {kept:,} of the {entries:,} coordinates; "
        f"about {disk / 1e9:.2g} GB on disk, and {memory / 1e9:.2g} GB of memory beside the model "
        f"and a forward of {request.max_tokens:,} tokens"
    )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other probes out of a folder; the processes of one share it."""
    lock: list[Lock] = []
    decided(lambda: lock.append(Lock(folder / "probe.lock", f"probing into {folder}")))
    try:
        yield
    finally:
        for held in lock:
            held.release()
