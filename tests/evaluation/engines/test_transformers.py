"""The engine in this process: what a completion depends on, and what it reports."""

from typing import Any

import pytest
import torch
from transformers import LogitsProcessorList

from scgrpo.evaluation.engines.base import Completion, Engine, EngineError, Request, Sampling
from scgrpo.evaluation.engines.transformers_engine import TransformersEngine
from scgrpo.evaluation.sample_seeds import sample_seed, short_seed
from scgrpo.evaluation.sampling import InverseSampler
from tests.trainer.tiny import tiny_model, tiny_tokenizer


@pytest.fixture(scope="module")
def parts() -> Any:
    return tiny_model(initializer_range=0.05), tiny_tokenizer()


def chat(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def requests(*prompts: Any, **options: Any) -> list[Request]:
    return [Request(p, sample_seed(0, "p", i), **options) for i, p in enumerate(prompts)]


def drawn(engine: Engine, wanted: list[Request], **sampling: Any) -> list[Any]:
    sampling = {"max_new_tokens": 12} | sampling
    results = dict(r for batch in engine.generate(wanted, Sampling(**sampling)) for r in batch)
    return [results[i] for i in range(len(wanted))]


def texts(results: list[Completion]) -> list[str]:
    return [result.text for result in results]


def test_the_interface(parts: Any) -> None:
    engine = TransformersEngine(*parts)
    assert isinstance(engine, Engine)
    assert engine.versions()["transformers"] and engine.versions()["torch"]


def test_messages_text_and_token_ids_are_the_same_prompt(parts: Any) -> None:
    engine = TransformersEngine(*parts)
    ids = parts[1].apply_chat_template(chat("Q1a"), add_generation_prompt=True)["input_ids"]
    text = "<user>Q1a<end><bot>"
    results = [drawn(engine, [Request(p, 7)])[0] for p in (chat("Q1a"), text, ids)]
    assert len(set(texts(results))) == 1
    assert {r.prompt_tokens for r in results} == {len(ids)}


def test_results_do_not_depend_on_the_batch(parts: Any) -> None:
    prompts = [chat("a" * n) for n in (1, 30, 2, 7, 30)]
    together = drawn(TransformersEngine(*parts), requests(*prompts))
    alone = drawn(TransformersEngine(*parts, batch_tokens=1), requests(*prompts))
    assert texts(together) == texts(alone)


def test_results_do_not_depend_on_the_batch_at_the_end_of_the_context(parts: Any) -> None:
    # Contexts of 256: rooms of 12, 12, 6 and 1 tokens.
    prompts = ["a" * 10, "a" * 200, "a" * 250, "a" * 255]
    together = drawn(TransformersEngine(*parts), requests(*prompts))
    alone = drawn(TransformersEngine(*parts, batch_tokens=1), requests(*prompts))
    assert texts(together) == texts(alone)
    assert together[2].tokens <= 6 and together[3].tokens == 1


def test_a_tight_request_is_a_prefix_of_a_wide_one(parts: Any) -> None:
    engine = TransformersEngine(*parts)
    wide, tight = Request("abc", 3), Request("abc", 3, max_new_tokens=4)
    first, second = drawn(engine, [wide, tight], max_new_tokens=12)
    assert first.tokens > 4 and (second.tokens, second.finish_reason) == (4, "length")
    assert first.text.startswith(second.text)


def test_stop_and_length(parts: Any) -> None:
    results = drawn(TransformersEngine(*parts), requests(*[chat("Q")] * 64))
    assert {r.finish_reason for r in results} == {"stop", "length"}
    assert all(r.tokens == 12 for r in results if r.finish_reason == "length")
    assert all(r.finish_reason == "stop" for r in results if r.tokens < 12)


def test_a_full_context_is_no_completion(parts: Any) -> None:
    full, other = drawn(TransformersEngine(*parts), requests("a" * 256, "a"))
    assert full.no_room and "256 tokens fill the context of 256" in full.reason
    assert isinstance(other, Completion)
    with pytest.raises(ValueError, match="has 256 tokens, but the model's context is 256"):
        TransformersEngine(*parts).check(requests("a" * 256), Sampling())


def test_memory_that_does_not_suffice_names_the_option(parts: Any, monkeypatch: Any) -> None:
    def generate(**_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(parts[0], "generate", generate)
    with pytest.raises(EngineError, match=r"smaller --batch-tokens than 5000"):
        drawn(TransformersEngine(*parts, batch_tokens=5000), requests("a"))


def nucleus(probability: list[float], top_p: float, uniforms: list[float]) -> list[int]:
    """Tokens that are drawn at these uniform numbers."""
    uniform_BT = torch.tensor(uniforms)[:, None]
    whole = torch.zeros(len(uniforms), 1, dtype=torch.bool)
    sampler = LogitsProcessorList([InverseSampler(uniform_BT, Sampling(top_p=top_p), whole)])
    scores = torch.tensor(probability).log().expand(len(uniforms), -1)
    return sampler(torch.zeros(len(uniforms), 1, dtype=torch.long), scores).argmax(-1).tolist()


def test_top_p_keeps_the_likely_tokens_and_renormalises() -> None:
    # 0.5 + 0.3 reach 0.7, so tokens 2 and 0 stay with 5/8 and 3/8; in order of the vocabulary
    # token 0 takes [0, 0.375) and token 2 the rest.
    probability = [0.3, 0.15, 0.5, 0.05]
    assert nucleus(probability, 0.7, [0.0, 0.37, 0.38, 0.999]) == [0, 0, 2, 2]
    assert nucleus(probability, 0.5, [0.0, 0.999]) == [2, 2]
    assert nucleus(probability, 1e-9, [0.0, 0.999]) == [2, 2]
    assert nucleus(probability, 0.96, [0.94, 0.96]) == [2, 3]
    assert nucleus(probability, 1.0, [0.29, 0.31, 0.46, 0.96]) == [0, 1, 2, 3]


def test_seeds() -> None:
    # sha256("0\\0p\\03"), worked with another program.
    import hashlib

    digest = hashlib.sha256(b"0\x00p\x003").hexdigest()
    assert sample_seed(0, "p", 3) == int(digest[:32], 16)
    assert short_seed(sample_seed(0, "p", 3)) == int(digest[:8], 16) >> 1
    different = {sample_seed(0, "p", 3, turn) for turn in range(5)} | {sample_seed(0, "p", 3)}
    assert len(different) == 6


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"top_p": 0.0}, "top_p is 0.0"),
        ({"top_p": 1.1}, "top_p is 1.1"),
        ({"temperature": -1.0}, "temperature is -1.0"),
        ({"max_new_tokens": 0}, "max_new_tokens is 0"),
    ],
)
def test_settings_that_cannot_be(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Sampling(**options)
