"""What an engine is: prompts in, completions out, each drawn by its own seed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

Message = Mapping[str, Any]
Prompt = str | Sequence[Message] | Sequence[int]
"""A text, chat messages, or token ids."""
BATCH_TOKENS = 16384
"""Padded tokens of a batch that `transformers` draws."""
CONCURRENCY, TIMEOUT = 32, 1800.0
"""Requests to a server at once, and the seconds that one may take."""


@dataclass(frozen=True)
class Sampling:
    """How all completions of an evaluation are drawn; nothing else shapes the distribution."""

    temperature: float = 1.0
    """0 takes the most likely token."""
    top_p: float = 1.0
    """Share of the probability, the most likely tokens first, from which is drawn; 1 for all."""
    top_k: int = 0
    """Most likely tokens from which is drawn; 0 for all."""
    min_p: float = 0.0
    """Least probability of a token, as a share of the likeliest one's; 0 for any."""
    repetition_penalty: float = 1.0
    """By which the logits of tokens are divided (or, below 0, multiplied) that stood before."""
    max_new_tokens: int = 1024
    """Longest completion; shorter where the model's context ends."""
    template_options: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of the chat template, such as enable_thinking."""

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens is {self.max_new_tokens}; it must be at least 1.")
        if self.temperature < 0:
            raise ValueError(
                f"temperature is {self.temperature}; it must be at least 0 (0 takes the most "
                "likely token)."
            )
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}; it must be above 0 and at most 1.")
        if self.top_k < 0:
            raise ValueError(f"top_k is {self.top_k}; it must be at least 0 (0 takes all tokens).")
        if not 0 <= self.min_p <= 1:
            raise ValueError(f"min_p is {self.min_p}; it must lie between 0 and 1.")
        if self.repetition_penalty <= 0:
            raise ValueError(
                f"repetition_penalty is {self.repetition_penalty}; it must be above 0 (1 is none)."
            )

    @property
    def uncommon(self) -> dict[str, Any]:
        """What not every server knows, where it changes anything."""
        given = {"top_k": self.top_k, "min_p": self.min_p}
        changed: dict[str, Any] = {name: value for name, value in given.items() if value}
        if self.repetition_penalty != 1:
            changed["repetition_penalty"] = self.repetition_penalty
        return changed


@dataclass(frozen=True)
class Request:
    """One completion that is wanted."""

    prompt: Prompt
    seed: int
    """128 bits; `sample_seeds.short_seed` makes of it what a server takes."""
    label: str = ""
    """What the prompt belongs to, for messages, such as "problem 'x'"."""
    max_new_tokens: int | None = None
    """Limit of this completion, where it is tighter than that of the `Sampling`."""

    def room(self, sampling: Sampling) -> int:
        """Tokens that may be written."""
        return min(self.max_new_tokens or sampling.max_new_tokens, sampling.max_new_tokens)


@dataclass(frozen=True)
class Completion:
    """What a model wrote."""

    text: str
    """Without special tokens."""
    tokens: int | None
    """Tokens written, the stop token included; None where a server does not say."""
    finish_reason: str
    """`stop`; `length` at a limit of tokens or the end of the context; or a server's own word."""
    seconds: float
    """Wall time of the batch or the request that it was drawn in."""
    prompt_tokens: int | None = None
    reasoning: str | None = None
    """Thoughts that a server keeps apart from the answer."""


@dataclass(frozen=True)
class Failed:
    """A completion that could not be had, though it was tried again."""

    reason: str
    no_room: bool = False
    """Whether the prompt fills the model's context, so that an episode ends here."""


Result = tuple[int, Completion | Failed]
"""Place of the request, and what became of it."""


class EngineError(RuntimeError):
    """An engine that cannot go on; the message says why and what helps."""


@runtime_checkable
class Engine(Protocol):
    """Draws completions; how it batches is its own affair."""

    name: str

    def versions(self) -> dict[str, str]:
        """Versions of the libraries that draw."""
        ...

    def check(self, requests: Sequence[Request], sampling: Sampling) -> None:
        """Refuse what cannot work before anything is drawn.

        Raises:
            ValueError: for a prompt that does not fit, or settings that the engine does not have.
            EngineError: where the engine is out of reach.
        """
        ...

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[list[Result]]:
        """Draw one completion for each request.

        Yields:
            Results as they come, in any order. Closing the iterator stops the rest.

        Raises:
            EngineError: where it makes no sense to go on.
        """
        ...
