"""From a request to the engine that draws."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from scgrpo.embedded.shipped import local_name
from scgrpo.evaluation.engines.base import Engine
from scgrpo.evaluation.request import EvaluationRequest

Loading = Callable[[], AbstractContextManager[Any]]
"""Makes what a model is loaded in, such as a display."""


def engine_of(
    request: EvaluationRequest,
    path: str,
    loading: Loading,
    token: Callable[[int], None] = lambda place: None,
) -> Callable[[], Engine]:
    """What makes the engine when it is needed, so that a finished evaluation loads no model.

    Args:
        request: what was asked for.
        path: the model: hub id, folder or name of a shipped one.
        loading: entered while a model is loaded.
        token: called with the place of each token, from 1, where this process draws.
    """

    def transformers() -> Engine:
        from scgrpo.evaluation.engines.transformers_engine import TransformersEngine

        with loading():
            model, tokenizer = _load(path)
        return TransformersEngine(model, tokenizer, batch_tokens=request.batch_tokens, told=token)

    def vllm() -> Engine:
        from scgrpo.evaluation.engines.vllm_engine import VLLMEngine

        with loading():
            return VLLMEngine(local_name(path), request.engine_options)

    def openai() -> Engine:
        from scgrpo.evaluation.engines.openai_engine import OpenAIEngine

        return OpenAIEngine(
            request.server or "",
            request.api_model or request.model,
            options=request.engine_options,
            concurrency=request.concurrency,
            timeout=request.timeout,
        )

    return {"transformers": transformers, "vllm": vllm, "openai": openai}[request.engine]


def _load(path: str) -> tuple[Any, Any]:
    import torch

    from scgrpo.embedded.loading import load_policy

    model, tokenizer = load_policy(path)
    if torch.cuda.is_available():
        model = model.to("cuda", torch.bfloat16)
    return model, tokenizer
