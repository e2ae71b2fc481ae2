"""Sampling by `transformers` in this process, each token at its sample's own uniform number."""

import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import torch

from scgrpo.evaluation.engines.base import (
    BATCH_TOKENS,
    Completion,
    EngineError,
    Request,
    Result,
    Sampling,
)
from scgrpo.evaluation.engines.rendering import check_lengths, no_room, render_all
from scgrpo.evaluation.sampling import inference_state, sample_completions, stop_tokens, uniforms


class TransformersEngine:
    """A model in memory.

    The completions depend on the model, the prompts and the seeds only: not on `batch_tokens`, not
    on the caller's random state, which is left as it was, as are the model's training flags.

    Args:
        model: causal language model, as `transformers` loads or TRL trains it.
        tokenizer: its tokenizer.
        batch_tokens: padded tokens of one generation batch, prompt and completion.
        told: called with the place of each token, from 1, that all samples of a batch get.
    """

    name = "transformers"

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        batch_tokens: int = BATCH_TOKENS,
        told: Callable[[int], None] = lambda place: None,
    ) -> None:
        if batch_tokens < 1:
            raise ValueError(f"batch_tokens is {batch_tokens}; it must be at least 1.")
        self.model, self.tokenizer, self.batch_tokens = model, tokenizer, batch_tokens
        self.told = told
        self.context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
        self.stops = stop_tokens(model, tokenizer)
        pad = tokenizer.pad_token_id
        self.pad = pad if pad is not None else (self.stops or [0])[0]

    def versions(self) -> dict[str, str]:
        return {name: version(name) for name in ("transformers", "torch")}

    def check(self, requests: Sequence[Request], sampling: Sampling) -> None:
        prompts = render_all(self.tokenizer, requests, sampling.template_options)
        check_lengths(prompts, requests, self.context)

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[list[Result]]:
        prompts = render_all(self.tokenizer, requests, sampling.template_options)
        rooms = [self._room(p, r, sampling) for p, r in zip(prompts, requests, strict=True)]
        full = [i for i, room in enumerate(rooms) if room < 1]
        if full:
            yield [(i, no_room(prompts[i], self.context)) for i in full]
        for batch in _batches(prompts, rooms, self.batch_tokens, self.context):
            yield self._draw(batch, prompts, requests, rooms, sampling)

    def _room(self, prompt: list[int], request: Request, sampling: Sampling) -> int:
        room = request.room(sampling)
        return room if self.context is None else min(room, self.context - len(prompt))

    def _draw(
        self,
        batch: list[int],
        prompts: list[list[int]],
        requests: Sequence[Request],
        rooms: list[int],
        sampling: Sampling,
    ) -> list[Result]:
        room = max(rooms[i] for i in batch)
        started = time.monotonic()
        try:
            with inference_state(self.model):
                completions = sample_completions(
                    self.model,
                    [prompts[i] for i in batch],
                    np.stack([uniforms(requests[i].seed, room) for i in batch]),
                    sampling=sampling,
                    pad=self.pad,
                    stops=self.stops,
                    told=self.told,
                )
        except torch.OutOfMemoryError as error:
            raise EngineError(
                f"a batch of {len(batch)} completions does not fit the memory of "
                f"{self.model.device}; give a smaller --batch-tokens than {self.batch_tokens}."
            ) from error
        completions = [ids[: rooms[i]] for i, ids in zip(batch, completions, strict=True)]
        texts = self.tokenizer.batch_decode(completions, skip_special_tokens=True)
        seconds = time.monotonic() - started
        return [
            (
                i,
                Completion(
                    text,
                    len(ids),
                    "stop" if ids[-1:] and ids[-1] in self.stops else "length",
                    seconds,
                    len(prompts[i]),
                ),
            )
            for i, ids, text in zip(batch, completions, texts, strict=True)
        ]


def _batches(
    prompts: list[list[int]], rooms: list[int], batch_tokens: int, context: int | None
) -> Iterator[list[int]]:
    """Longest prompts first, so that a batch which does not fit fails at once.

    `generate` has one limit of tokens for a batch, the largest of its rooms, which must not lead
    past the context behind the longest prompt.
    """
    batch: list[int] = []
    width = room = 0
    open_places = [i for i, room in enumerate(rooms) if room > 0]
    for i in sorted(open_places, key=lambda i: -len(prompts[i])):
        wider = width - room + max(room, rooms[i])
        too_many = (len(batch) + 1) * wider > batch_tokens
        if batch and (too_many or (context is not None and wider > context)):
            yield batch
            batch = []
        if not batch:
            width, room = len(prompts[i]) + rooms[i], rooms[i]
        width, room = width - room + max(room, rooms[i]), max(room, rooms[i])
        batch.append(i)
    if batch:
        yield batch
