"""From what the command line names to an engine."""

import os
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from scgrpo.cli.errors import Debugging
from scgrpo.embedded.shipped import local_name
from scgrpo.evaluation.engines import ENGINES
from scgrpo.mistakes import ConfigError
from scgrpo.runs.config_reader import read_mapping

if TYPE_CHECKING:
    from scgrpo.cli.evaluate import EvaluationRequest
    from scgrpo.evaluation.engines.base import Engine


def check_engine(request: "EvaluationRequest") -> None:
    """Refuse options that the engine does not have, and a server without address.

    Raises:
        ConfigError: naming the option.
    """
    if request.engine not in ENGINES:
        raise ConfigError(f"--engine is {request.engine!r}; choose one of {', '.join(ENGINES)}.")
    of_a_server = {"--url": request.url, "--api-model": request.api_model}
    if request.engine != "openai":
        for option, value in of_a_server.items():
            if value is not None:
                raise ConfigError(
                    f"{option} {value} belongs to --engine openai, but the engine is "
                    f"{request.engine}; add --engine openai, or leave it out."
                )
    elif server_url(request) is None:
        raise ConfigError(
            "--engine openai needs the address of a server; give --url http://HOST:PORT/v1, or set "
            "OPENAI_BASE_URL."
        )
    options = read_mapping("engine-options", request.engine_options)
    if options and request.engine == "transformers":
        raise ConfigError(
            f"--engine-options is {request.engine_options!r}, but the transformers engine has "
            "none; they are for vllm and openai."
        )


def server_url(request: "EvaluationRequest") -> str | None:
    """Address of the server, from the command line or the environment."""
    return request.url or os.environ.get("OPENAI_BASE_URL") or None


def make_engine(
    request: "EvaluationRequest", path: str, console: Console
) -> "Callable[[], Engine]":
    """What makes the engine when it is needed, so that a finished evaluation loads no model.

    Args:
        request: what was asked for.
        path: the model, found.
        console: where loading is shown.
    """
    options = read_mapping("engine-options", request.engine_options)

    def local() -> "Engine":
        from scgrpo.evaluation.engines.transformers_engine import TransformersEngine

        with _loading(console):
            model, tokenizer = _load(path)
        return TransformersEngine(model, tokenizer, batch_tokens=request.batch_tokens)

    def vllm() -> "Engine":
        from scgrpo.evaluation.engines.vllm_engine import VLLMEngine

        if not Debugging.on:
            os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        with _loading(console):
            return VLLMEngine(local_name(path), options)

    def openai() -> "Engine":
        from scgrpo.evaluation.engines.openai_engine import OpenAIEngine

        return OpenAIEngine(
            server_url(request) or "",
            request.api_model or request.model,
            options=options,
            concurrency=request.concurrency,
            timeout=request.timeout,
        )

    return {"transformers": local, "vllm": vllm, "openai": openai}[request.engine]


def _loading(console: Console) -> Any:
    return console.status("loading the model ...") if console.is_terminal else nullcontext()


def _load(path: str) -> tuple[Any, Any]:
    import torch

    from scgrpo.runs.run import load_policy

    model, tokenizer = load_policy(path)
    if torch.cuda.is_available():
        model = model.to("cuda", torch.bfloat16)
    return model, tokenizer


def model_folder(path: str) -> Path:
    """Folder of a model that is found, whether there is one or not."""
    return Path(local_name(path))
