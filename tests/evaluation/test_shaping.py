"""What shapes the distribution does so as in transformers, whose samplers are a second opinion."""

from typing import Any

import pytest
import torch
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from scgrpo.evaluation.engines.base import Sampling
from scgrpo.evaluation.run import evaluate
from scgrpo.evaluation.sampling import InverseSampler
from tests.trainer.tiny import tiny_dataset, tiny_model, tiny_tokenizer

GRID = 4096
SHAPES = [
    {"top_k": 3},
    {"min_p": 0.2},
    {"repetition_penalty": 1.7},
    {"repetition_penalty": 0.6},
    {"temperature": 0.5, "top_k": 6, "top_p": 0.8, "min_p": 0.1, "repetition_penalty": 1.3},
    {"temperature": 2.0, "top_p": 0.95, "min_p": 0.4},
    {"top_k": 50},
]


def theirs(scores: torch.Tensor, ids: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    """Probabilities by the samplers of transformers, in the order in which it applies them."""
    shapers = [RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty)]
    shapers.append(TemperatureLogitsWarper(sampling.temperature))
    if sampling.top_k:
        shapers.append(TopKLogitsWarper(sampling.top_k))
    shapers += [TopPLogitsWarper(sampling.top_p), MinPLogitsWarper(sampling.min_p)]
    return LogitsProcessorList(shapers)(ids, scores.clone()).softmax(-1)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_distribution_is_that_of_transformers(shape: dict[str, Any]) -> None:
    torch.manual_seed(0)
    scores = 2 * torch.randn(1, 12)
    ids = torch.tensor([[4, 7, 7, 1]])
    sampling = Sampling(**shape)
    grid = ((torch.arange(GRID) + 0.5) / GRID)[:, None]
    sampler = InverseSampler(grid, sampling, torch.zeros(GRID, 4, dtype=torch.bool))
    drawn = sampler(ids.expand(GRID, -1), scores.expand(GRID, -1)).argmax(-1)
    found = torch.bincount(drawn, minlength=12) / GRID
    expected = theirs(scores, ids, sampling)[0]
    assert torch.equal(found > 0, expected > 0)
    torch.testing.assert_close(found, expected, atol=1.5 / GRID, rtol=0)


def test_the_most_likely_token_is_that_after_the_penalty() -> None:
    scores = torch.tensor([[3.0, 2.5, -1.0]])
    ids = torch.tensor([[0]])
    sampler = InverseSampler(
        torch.zeros(1, 1),
        Sampling(temperature=0, repetition_penalty=1.5),
        torch.zeros(1, 1, dtype=torch.bool),
    )
    assert sampler(ids, scores).tolist() == [[2.0, 2.5, -1.0]]


def test_padding_has_not_stood_before() -> None:
    scores = torch.tensor([[3.0, 2.0, -1.0]])
    sampler = InverseSampler(
        torch.zeros(1, 1),
        Sampling(temperature=0, repetition_penalty=2.0),
        torch.tensor([[True, True, False]]),
    )
    # Token 0 pads here; of the prompt there is token 2, and token 1 was written since.
    assert sampler(torch.tensor([[0, 0, 2, 1]]), scores).tolist() == [[3.0, 1.0, -2.0]]


@pytest.mark.parametrize("shape", [SHAPES[0], SHAPES[2], SHAPES[4]], ids=str)
def test_samples_do_not_depend_on_the_batch(shape: dict[str, Any]) -> None:
    model, tokenizer = tiny_model(), tiny_tokenizer()
    rows = tiny_dataset(6)
    rows = rows.map(lambda row, i: {"prompt": [{"role": "user", "content": "a" * 3 * i}]}, True)

    def texts(batch_tokens: int) -> list[str]:
        records = evaluate(
            model, tokenizer, rows, verify=lambda completions, **_: [0.0] * len(completions),
            k=2, max_new_tokens=12, batch_tokens=batch_tokens, **shape,
        )  # fmt: skip
        return [record["completion"] for record in records]

    assert texts(40) == texts(10_000)


def test_records_say_what_was_uncommon() -> None:
    def first(**shape: Any) -> dict[str, Any]:
        return evaluate(
            tiny_model(), tiny_tokenizer(), tiny_dataset(1), k=1, max_new_tokens=2,
            verify=lambda completions, **_: [0.0] * len(completions), **shape,
        )[0]  # fmt: skip

    names = {"top_k", "min_p", "repetition_penalty", "template_options"}
    assert not names & set(first())
    assert not names & set(first(top_k=0, min_p=0.0, repetition_penalty=1.0, template_options={}))
    shaped = first(top_k=4, min_p=0.1, repetition_penalty=1.2)
    assert [shaped[n] for n in ("top_k", "min_p", "repetition_penalty")] == [4, 0.1, 1.2]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"top_k": -1}, "top_k is -1; it must be at least 0"),
        ({"min_p": 1.5}, "min_p is 1.5; it must lie between 0 and 1"),
        ({"repetition_penalty": 0}, "repetition_penalty is 0; it must be above 0"),
    ],
)
def test_shapes_that_cannot_be(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Sampling(**options)
