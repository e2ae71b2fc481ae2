"""Stands in for vLLM: the same interface, with the completions of a function.

`LLM` and `SamplingParams` take what vLLM 0.22 to 0.31 take of it and nothing else; requests end in
the order of their length, some at each step, as they do there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any


@dataclass
class SamplingParams:
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None
    max_tokens: int | None = 16
    skip_special_tokens: bool = True
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0


Write = Callable[[list[int], SamplingParams], tuple[str, list[int], str]]
"""Text, token ids and finish reason for prompt ids and parameters."""


class FakeLLM:
    """What `vllm.LLM` offers of what the engine uses."""

    write: Write
    tokenizer: Any
    made: "list[FakeLLM]"

    def __init__(self, model: str, *, max_model_len: int = 64, **arguments: Any) -> None:
        self.model, self.arguments = model, arguments
        self.model_config = SimpleNamespace(max_model_len=max_model_len)
        self.llm_engine = self
        self.numbers = 0
        self.running: dict[str, tuple[list[int], SamplingParams, Any]] = {}
        self.aborted: list[str] = []
        self.most_running = 0
        self.made.append(self)

    def get_tokenizer(self) -> Any:
        return self.tokenizer

    def enqueue(
        self,
        prompts: list[dict[str, list[int]]],
        sampling_params: list[SamplingParams],
        lora_request: Any = None,
        priority: list[int] | None = None,
        use_tqdm: bool = True,
    ) -> list[str]:
        names = []
        for prompt, parameters in zip(prompts, sampling_params, strict=True):
            name = str(self.numbers)
            self.numbers += 1
            self.running[name] = prompt["prompt_token_ids"], parameters, lora_request
            names.append(f"{name}-a1b2c3d4")
        self.most_running = max(self.most_running, len(self.running))
        return names

    def step(self) -> list[Any]:
        """The shorter half ends; another one is not finished yet."""
        order = sorted(self.running, key=lambda name: len(self.running[name][0]))
        ended = order[: (len(order) + 1) // 2]
        outputs = []
        for name in ended:
            text, ids, reason = type(self).write(*self.running.pop(name)[:2])
            output = SimpleNamespace(text=text, token_ids=ids, finish_reason=reason)
            outputs.append(SimpleNamespace(request_id=name, finished=True, outputs=[output]))
        outputs += [SimpleNamespace(request_id=n, finished=False) for n in self.running]
        return outputs

    def abort_request(self, request_ids: list[str], internal: bool = False) -> None:
        self.aborted += request_ids
        for name in request_ids:
            del self.running[name]


class LoRARequest:
    def __init__(self, lora_name: str, lora_int_id: int, lora_path: str) -> None:
        self.name, self.number, self.path = lora_name, lora_int_id, lora_path
