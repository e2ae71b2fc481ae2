"""`scgrpo evaluate`."""

import hashlib
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from rich.console import Console

from scgrpo.cli.engines import check_engine, make_engine, model_folder, server_url
from scgrpo.cli.errors import Failure
from scgrpo.cli.evaluation_progress import EvaluationProgress
from scgrpo.cli.evaluation_table import summary_table
from scgrpo.cli.quiet import quiet
from scgrpo.evaluation.compare import Summary, summarise
from scgrpo.mistakes import ConfigError, require_known
from scgrpo.runs.config_reader import read_mapping

if TYPE_CHECKING:
    from scgrpo.evaluation.problems import Problems, Settings
    from scgrpo.evaluation.run import Evaluation

MAX_NEW_TOKENS = 1024
"""Of a task that does not say, and of one turn of an episode."""
OUTPUTS = Path("runs/eval")


@dataclass(frozen=True)
class EvaluationRequest:
    """What is evaluated, as it was asked for on the command line."""

    model: str
    task: str = "synthetic"
    task_options: str = "{}"
    k: int = 8
    split: str | None = None
    limit: int | None = None
    temperature: float = 1.0
    top_p: float = 1.0
    max_new_tokens: int | None = None
    batch_tokens: int = 16384
    output: Path | None = None
    seed: int = 0
    engine: str = "transformers"
    url: str | None = None
    api_model: str | None = None
    engine_options: str = "{}"
    concurrency: int = 32
    timeout: float = 1800.0
    system_prompt: str | None = None
    template_options: str = "{}"
    max_turns: int | None = None
    max_episode_tokens: int | None = None
    solve_threshold: float = 1.0
    pass_at: str | None = None


def run_evaluation(request: EvaluationRequest, console: Console | None = None) -> Summary:
    """Evaluate and show the result.

    Raises:
        ValueError: for a model, task or file that cannot be used.
        Failure: where samples are missing in the end, or the engine cannot be used.
    """
    from scgrpo.evaluation.engines.base import EngineError

    console = console or Console()
    quiet()
    ks = _ks(request)
    check_engine(request)
    request = replace(request, task_options=_task_options(request))
    task = find_task(request.task, request.task_options)
    request = replace(request, split=request.split or default_split(task))
    path = request.model if request.engine == "openai" else find_model(request.model)
    evaluation = _evaluation(request, task, path, console)
    with EvaluationProgress(console) as progress:
        make = evaluation.engine

        def engine() -> Any:
            made = make()
            progress.start()
            return made

        evaluation.engine = engine
        try:
            evaluation.draw(progress.update, progress.observe)
        except EngineError as error:
            raise Failure(str(error)) from error
    scores = evaluation.scores()
    title = f"{request.model} on {request.task}, {request.split}"
    console.print(summary_table(title, scores, ks, request.solve_threshold, progress))
    for kind, count in getattr(task, "failures", {}).items():
        console.print(f"The verifier itself failed ({kind}) {count} times now; each counts as 0.")
    console.print(f"Samples: {evaluation.output}", soft_wrap=True, highlight=False)
    return summarise(scores, solve_threshold=request.solve_threshold)


def _task_options(request: EvaluationRequest) -> str:
    """The task's options, with the limit of turns, which its prompts and worlds may know."""
    options = read_mapping("task-options", request.task_options)
    turns = {} if request.max_turns is None else {"max_turns": request.max_turns}
    return yaml.safe_dump(options | turns)


def _ks(request: EvaluationRequest) -> list[int]:
    """Tries for which Pass@k is shown.

    Raises:
        ConfigError: for text that is no list of numbers from 1 to k.
    """
    if request.pass_at is None:
        return [request.k]
    words = re.split(r"[,\s]+", request.pass_at.strip())
    if not all(re.fullmatch(r"\d+", word) and 1 <= int(word) <= request.k for word in words):
        raise ConfigError(
            f"--pass-at is {request.pass_at!r}; write numbers from 1 to k = {request.k}, such as "
            f"1,{request.k}."
        )
    return sorted({int(word) for word in words})


def _evaluation(request: EvaluationRequest, task: Any, path: str, console: Console) -> "Evaluation":
    from scgrpo.evaluation.problems import load_problems
    from scgrpo.evaluation.run import Evaluation

    problems = load_problems(
        task, str(request.split), limit=request.limit, system_prompt=request.system_prompt
    )
    settings = _settings(request, task, path, problems)
    notes: dict[str, Any] = {}
    if request.engine == "openai":
        from scgrpo.evaluation.engines.openai_engine import public_url

        notes = {"url": public_url(server_url(request) or "")}
    elif options := _recorded("engine-options", request.engine_options):
        notes = {"engine_options": options}
    return Evaluation(
        problems,
        settings,
        request.k,
        request.output or _default_output(request, settings),
        make_engine(request, path, console),
        parallel_episodes=request.concurrency,
        notes=notes,
    )


def _settings(request: EvaluationRequest, task: Any, path: str, problems: "Problems") -> "Settings":
    from scgrpo.evaluation.fingerprint import fingerprint
    from scgrpo.evaluation.problems import Settings

    played = problems.environment is not None
    longest = getattr(task, "trainer_defaults", {}).get("max_completion_length")
    usual = MAX_NEW_TOKENS if played else longest or MAX_NEW_TOKENS
    # A server's options shape the samples; vLLM's are mostly about the machine.
    server = _recorded("engine-options", request.engine_options)
    return Settings(
        split=str(request.split),
        seed=request.seed,
        temperature=request.temperature,
        max_new_tokens=request.max_new_tokens or usual,
        top_p=request.top_p,
        engine=request.engine,
        model=request.model,
        fingerprint=None if request.engine == "openai" else fingerprint(model_folder(path)),
        task=request.task,
        task_options=_recorded("task-options", request.task_options),
        system_prompt=request.system_prompt,
        template_options=_recorded("template-options", request.template_options),
        api_model=request.api_model,
        engine_options=server if request.engine == "openai" else None,
        max_turns=problems.turns if played else None,
        max_episode_tokens=request.max_episode_tokens or longest if played else None,
    )


def _recorded(option: str, text: str) -> dict[str, Any] | None:
    """A mapping as JSON holds it, which has no dates; None for an empty one."""
    return json.loads(json.dumps(read_mapping(option, text), default=str)) or None


def _default_output(request: EvaluationRequest, settings: "Settings") -> Path:
    """One file for each model, task and settings: the same command goes on where it stopped.

    k and the number of problems are no part of it, since a file can grow.
    """
    digest = hashlib.sha256(json.dumps(settings.record(), sort_keys=True).encode()).hexdigest()[:8]
    parts = Path(request.model).name, request.task, settings.split, digest
    return OUTPUTS / ("-".join(re.sub(r"[^\w.]+", "-", part) for part in parts) + ".jsonl")


def find_task(name: str, options: str = "{}") -> Any:
    """A task by its name, with options written as YAML.

    Raises:
        ConfigError: for an unknown name, with the nearest one, or options that are no mapping.
    """
    from scgrpo.tasks import available_tasks, load_task

    require_known("task", name, available_tasks())
    return load_task(name, **read_mapping("task-options", options))


def default_split(task: Any) -> str:
    """The split that a task is evaluated on."""
    splits: tuple[str, ...] = getattr(task, "evaluation_splits", ("heldout",))
    return splits[0]


def find_model(name: str) -> str:
    """The model that a name means: that of a run folder, else the name itself.

    Raises:
        ConfigError: for a folder without a model.
    """
    folder = Path(name)
    if not folder.is_dir():
        return name
    if any((folder / f).is_file() for f in ("config.json", "adapter_config.json")):
        return name
    if (folder / "model").is_dir():
        return str(folder / "model")
    from scgrpo.trainer.checkpoint import last_complete_checkpoint

    checkpoint = last_complete_checkpoint(folder / "checkpoints")
    if checkpoint is None:
        raise ConfigError(
            f"{name} holds no model: no config.json, and no model or checkpoints of a run; give a "
            "model folder or a run folder."
        )
    return str(checkpoint)
