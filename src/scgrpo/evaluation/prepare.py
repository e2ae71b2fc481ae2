"""From a request to an evaluation: its task, problems, settings, file and engine."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from scgrpo import tasks
from scgrpo.embedded.shipped import local_name
from scgrpo.evaluation.engines.base import Sampling
from scgrpo.evaluation.fingerprint import fingerprint
from scgrpo.evaluation.load_engine import Loading, engine_of
from scgrpo.evaluation.problems import Settings, load_problems
from scgrpo.evaluation.request import EvaluationRequest
from scgrpo.evaluation.run import Evaluation
from scgrpo.tasks.episodes import EpisodeTask

OUTPUTS = Path("runs/eval")


def prepare(
    request: EvaluationRequest,
    task: Any,
    path: str,
    loading: Loading,
    token: Callable[[int], None] = lambda place: None,
) -> Evaluation:
    """The evaluation of a checked request, of which nothing is drawn yet.

    Args:
        request: what is asked for, with its split.
        task: its task.
        path: the model: hub id, folder or name of a shipped one; the server's name with `openai`.
        loading: what a model is loaded in, such as a display.
        token: called with the place of each token, from 1, where this process draws.

    Raises:
        ValueError: for rows, settings or a file that cannot work.
    """
    problems = load_problems(
        task,
        str(request.split),
        limit=request.limit,
        system_prompt=request.system_prompt,
        as_chat=bool(request.chat_prompts),
    )
    folder = None if request.engine == "openai" else Path(local_name(path))
    settings = settings_of(request, task, None if folder is None else fingerprint(folder))
    return Evaluation(
        problems,
        settings,
        request.k,
        request.output or _default_output(request, settings),
        engine_of(request, path, loading, token),
        parallel_episodes=request.concurrency,
        notes=_notes(request),
    )


def find_task(name: str, options: Mapping[str, Any]) -> Any:
    """A task by its name, with its options.

    Raises:
        ConfigError: for an unknown name, with the nearest one.
        ValueError: for options that it does not have.
    """
    tasks.require_task(name)
    return tasks.load_task(name, **options)


def with_split(request: EvaluationRequest, task: Any) -> EvaluationRequest:
    """The request on its own split, or on the one that the task is evaluated on."""
    splits: tuple[str, ...] = getattr(task, "evaluation_splits", ("heldout",))
    return replace(request, split=request.split or next(iter(splits), "heldout"))


def _notes(request: EvaluationRequest) -> dict[str, Any]:
    """What records tell beside their settings."""
    if request.engine == "openai":
        from scgrpo.evaluation.engines.openai_engine import public_url

        return {"url": public_url(request.server or "")}
    options = _recorded(request.engine_options)
    return {"engine_options": options} if options else {}


def settings_of(request: EvaluationRequest, task: Any, weights: str | None) -> Settings:
    """What the samples of a request depend on.

    Args:
        request: what is asked for, with its split.
        task: its task, whose data is not read.
        weights: fingerprint of the model; None where there is none, or it is not known.
    """
    played = isinstance(task, EpisodeTask)
    longest = getattr(task, "trainer_defaults", {}).get("max_completion_length")
    usual = Sampling.max_new_tokens if played else longest or Sampling.max_new_tokens
    return Settings(
        split=str(request.split),
        seed=request.seed,
        temperature=Sampling.temperature if request.temperature is None else request.temperature,
        max_new_tokens=request.max_new_tokens or usual,
        top_p=Sampling.top_p if request.top_p is None else request.top_p,
        top_k=request.top_k or None,
        min_p=request.min_p or None,
        repetition_penalty=None if request.repetition_penalty == 1 else request.repetition_penalty,
        engine=request.engine,
        model=request.model,
        fingerprint=weights,
        task=request.task_name,
        task_options=_recorded(request.options_of_task),
        system_prompt=request.system_prompt,
        chat_prompts=request.chat_prompts or None,
        template_options=_recorded(request.template_options),
        api_model=request.api_model,
        # A server's options shape the samples; vLLM's are mostly about the machine.
        engine_options=(_recorded(request.engine_options) if request.engine == "openai" else None),
        max_turns=task.max_turns if played else None,
        max_episode_tokens=request.max_episode_tokens or longest if played else None,
    )


def _recorded(options: Mapping[str, Any]) -> dict[str, Any] | None:
    """A mapping as JSON holds it, which has no dates; None for an empty one."""
    return json.loads(json.dumps(options, default=str)) or None


def _default_output(request: EvaluationRequest, settings: Settings) -> Path:
    """One file for each model, task and settings: the same command goes on where it stopped.

    k and the number of problems are no part of it, since a file can grow.
    """
    digest = hashlib.sha256(json.dumps(settings.record(), sort_keys=True).encode()).hexdigest()[:8]
    parts = Path(request.model).name, request.subject, settings.split, digest
    return OUTPUTS / ("-".join(re.sub(r"[^\w.]+", "-", part) for part in parts) + ".jsonl")
