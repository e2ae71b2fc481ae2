"""Sampling whose draws depend on the seed, the problem and the sample alone.

Every sample has its own stream of uniform numbers, one a token, and each token is the inverse of
the cumulative distribution at that number. So neither the batch that a sample happens to be in nor
the caller's random state matters, and an interrupted evaluation goes on with the same samples.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from scgrpo.evaluation.engines.base import Sampling


class InverseSampler(LogitsProcessor):
    """Leaves one token per row: the one at the row's next uniform number.

    What shapes the distribution does so in the order of transformers: repetition penalty,
    temperature, top_k, top_p, min_p.

    Args:
        uniform_BT: uniform numbers.
        sampling: what shapes the distribution.
        padding_BL: True where a padded prompt has no token.
        told: called with the place of each token, from 1.
    """

    def __init__(
        self,
        uniform_BT: Tensor,
        sampling: Sampling,
        padding_BL: Tensor,
        told: Callable[[int], None] = lambda place: None,
    ) -> None:
        self.uniform_BT = uniform_BT
        self.sampling = sampling
        self.padding_BL = padding_BL
        self.told = told

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        sampling = self.sampling
        place = input_ids.shape[1] - self.padding_BL.shape[1]
        self.told(place + 1)
        if sampling.repetition_penalty != 1:
            scores = _penalised(scores, input_ids, self.padding_BL, sampling.repetition_penalty)
        if sampling.temperature == 0:
            return scores
        precise = torch.float32 if scores.device.type == "mps" else torch.float64
        logits_BV = scores.to(precise) / sampling.temperature
        if 0 < sampling.top_k < logits_BV.shape[-1]:
            least_B1 = logits_BV.topk(sampling.top_k).values[:, -1:]
            logits_BV = logits_BV.masked_fill(logits_BV < least_B1, -torch.inf)
        probability_BV = logits_BV.softmax(dim=-1)
        if sampling.top_p < 1:
            probability_BV = _nucleus(probability_BV, sampling.top_p)
        if sampling.min_p > 0:
            least_B1 = sampling.min_p * probability_BV.amax(-1, keepdim=True)
            probability_BV = probability_BV.masked_fill(probability_BV < least_B1, 0.0)
        cumulative_BV = probability_BV.cumsum(dim=-1)
        uniform_B1 = self.uniform_BT[:, place, None]
        # The last sum stands for 1, which rounding may miss.
        target_B1 = uniform_B1.to(precise) * cumulative_BV[:, -1:]
        token_B1 = torch.searchsorted(cumulative_BV, target_B1, right=True)
        token_B1 = token_B1.clamp(max=scores.shape[-1] - 1)
        return torch.full_like(scores, -torch.inf).scatter(1, token_B1, 0.0)


def _penalised(scores: Tensor, input_ids: Tensor, padding_BL: Tensor, penalty: float) -> Tensor:
    """Logits whose tokens stood before made less likely; padding has not stood anywhere."""
    stood_BL = torch.ones_like(input_ids, dtype=torch.bool)
    stood_BL[:, : padding_BL.shape[1]] = ~padding_BL
    count_BV = torch.zeros_like(scores).scatter_add(1, input_ids, stood_BL.to(scores.dtype))
    changed = torch.where(scores < 0, scores * penalty, scores / penalty)
    return torch.where(count_BV > 0, changed, scores)


def _nucleus(probability_BV: Tensor, top_p: float) -> Tensor:
    """The most likely tokens that reach `top_p` together, the others at 0."""
    sorted_BV, order_BV = probability_BV.sort(dim=-1, descending=True, stable=True)
    before_BV = sorted_BV.cumsum(dim=-1) - sorted_BV
    kept_BV = sorted_BV.masked_fill(before_BV >= top_p, 0.0)
    return torch.zeros_like(probability_BV).scatter(-1, order_BV, kept_BV)


def uniforms(seed: int, count: int) -> np.ndarray:
    """Uniform numbers of a sample's seed, float64 in [0, 1); more of them begin with the same."""
    return np.random.default_rng(seed).random(count)


@contextmanager
def inference_state(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; every module's own state is restored."""
    was_training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module in was_training:
            module.training = True


def stop_tokens(model: Any, tokenizer: Any) -> list[int]:
    """Ids that end a completion: the tokenizer's and the model's."""
    ends = model.generation_config.eos_token_id
    ends = ends if isinstance(ends, list) else [ends]
    return sorted({end for end in [*ends, tokenizer.eos_token_id] if end is not None})


def sample_completions(
    model: Any,
    prompts: Sequence[Sequence[int]],
    uniform_BT: np.ndarray,
    *,
    sampling: Sampling,
    pad: int,
    stops: Sequence[int],
    told: Callable[[int], None] = lambda place: None,
) -> list[list[int]]:
    """Token ids of one completion for each prompt, the stop token included.

    Args:
        model: causal language model with `generate`, in evaluation mode.
        prompts: token ids of B prompts, of any lengths; padded on the left here.
        uniform_BT: uniform numbers, as many columns as tokens may be written.
        sampling: what shapes the distribution; its limit of tokens is not looked at.
        pad: id to pad with.
        stops: ids that end a completion.
        told: called with the place of each token, from 1.
    """
    longest = max(map(len, prompts))
    ids = torch.tensor([[pad] * (longest - len(p)) + list(p) for p in prompts])
    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts])
    sampler = InverseSampler(
        torch.from_numpy(uniform_BT).float().clamp(max=1 - 2**-24).to(model.device),
        sampling,
        (mask == 0).to(model.device),
        told,
    )
    output = model.generate(
        input_ids=ids.to(model.device),
        attention_mask=mask.to(model.device),
        generation_config=_settings(uniform_BT.shape[1], pad, stops),
        logits_processor=LogitsProcessorList([sampler]),
    )
    return [_until_stop(row, stops) for row in output[:, longest:].tolist()]


def _settings(max_new_tokens: int, pad: int, stops: Sequence[int]) -> GenerationConfig:
    # Neutral values, stated, so that those in the model's own generation_config do not apply.
    return GenerationConfig(
        max_new_tokens=max_new_tokens,
        do_sample=False,
        num_beams=1,
        num_return_sequences=1,
        repetition_penalty=1.0,
        no_repeat_ngram_size=0,
        min_new_tokens=0,
        pad_token_id=pad,
        eos_token_id=list(stops) or None,
        use_cache=True,
        disable_compile=True,
    )


def _until_stop(ids: list[int], stops: Sequence[int]) -> list[int]:
    for place, token in enumerate(ids):
        if token in stops:
            return ids[: place + 1]
    return ids
