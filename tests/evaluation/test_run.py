"""Sampling and scoring: what the samples depend on, and what an interruption leaves."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import LogitsProcessorList

from scgrpo.evaluation.engines.base import Sampling
from scgrpo.evaluation.problems import Settings
from scgrpo.evaluation.records import read_records
from scgrpo.evaluation.run import evaluate
from scgrpo.evaluation.sample_seeds import sample_seed
from scgrpo.evaluation.sampling import InverseSampler, uniforms
from tests.trainer.tiny import tiny_dataset, tiny_model, tiny_tokenizer


@pytest.fixture(scope="module")
def model() -> Any:
    return tiny_model(initializer_range=0.05)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return tiny_tokenizer()


def verify(completions: list[Any], answer: list[str], **columns: Any) -> list[float]:
    texts = [c if isinstance(c, str) else c[0]["content"] for c in completions]
    return [float(letter in text) for text, letter in zip(texts, answer, strict=True)]


def sample(model: Any, tokenizer: Any, rows: Any = None, **options: Any) -> list[dict]:
    options = {"k": 3, "max_new_tokens": 12, "verify": verify} | options
    return lasting(evaluate(model, tokenizer, rows or tiny_dataset(5), **options))


def lasting(records: list[dict]) -> list[dict]:
    """What is the same whenever it is drawn."""
    return [{n: v for n, v in r.items() if n not in ("date", "seconds")} for r in records]


class Interrupted(Exception):
    pass


def interrupt_after(batches: int) -> Any:
    calls = iter(range(batches + 1))

    def progress(done: int, total: int) -> None:
        if next(calls) == batches - 1:
            raise Interrupted

    return progress


def test_records_hold_the_contract(model: Any, tokenizer: Any) -> None:
    records = sample(model, tokenizer, step=50)
    assert [(r["problem_id"], r["sample"]) for r in records] == [
        (str(p), k) for p in range(5) for k in range(3)
    ]
    for record in records:
        assert (record["step"], record["split"]) == (50, "heldout")
        assert record["reward"] in (0.0, 1.0)
        assert 1 <= record["tokens"] <= 12
        assert record["completion"].count("<end>") == 0
    json.dumps(records)


def test_samples_do_not_depend_on_batching(model: Any, tokenizer: Any) -> None:
    rows = [dict(r) for r in tiny_dataset(5)]
    rows[3]["prompt"] = [{"role": "user", "content": "a much longer question than the others"}]
    together = sample(model, tokenizer, rows, batch_tokens=100_000)
    assert together == sample(model, tokenizer, rows, batch_tokens=1)
    assert together == sample(model, tokenizer, rows, batch_tokens=90)


def test_samples_follow_the_seed_and_differ(model: Any, tokenizer: Any) -> None:
    records = sample(model, tokenizer)
    assert records == sample(model, tokenizer)
    others = sample(model, tokenizer, seed=1)
    assert [r["completion"] for r in records] != [r["completion"] for r in others]
    assert len({r["completion"] for r in records}) > 10


def test_state_is_left_alone(model: Any, tokenizer: Any) -> None:
    model.train()
    model.model.layers[0].eval()
    model.gradient_checkpointing_enable()
    flags = [module.training for module in model.modules()]
    torch.manual_seed(5)
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    records = sample(model, tokenizer)
    assert [module.training for module in model.modules()] == flags
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert (np.random.get_state()[1] == numpy_state).all()
    model.gradient_checkpointing_disable()
    assert records == sample(model.eval(), tokenizer)


def test_temperature_zero_is_the_most_likely_token(model: Any, tokenizer: Any) -> None:
    records = sample(model, tokenizer, temperature=0, k=2)
    assert records[0]["completion"] == records[1]["completion"]
    ids = tokenizer.apply_chat_template(
        tiny_dataset(1)[0]["prompt"], add_generation_prompt=True, return_dict=True
    )["input_ids"]
    first = model(torch.tensor([ids])).logits[0, -1].argmax()
    assert records[0]["completion"].startswith(tokenizer.decode([first], skip_special_tokens=True))


def test_draws_follow_the_distribution() -> None:
    probability = torch.tensor([0.5, 0.0, 0.3, 0.2])
    count = 20_000
    uniform_BT = torch.from_numpy(uniforms(sample_seed(0, "p", 0), count)).float()[:, None]
    whole = torch.zeros(count, 1, dtype=torch.bool)
    sampler = LogitsProcessorList([InverseSampler(uniform_BT, Sampling(temperature=2.0), whole)])
    scores = (2 * probability.log()).expand(count, -1)
    drawn = Counter(sampler(torch.zeros(count, 1, dtype=torch.long), scores).argmax(-1).tolist())
    assert drawn[1] == 0
    for token, share in enumerate(probability.tolist()):
        assert drawn[token] / count == pytest.approx(share, abs=0.012)


def test_model_generation_settings_do_not_apply(model: Any, tokenizer: Any) -> None:
    records = sample(model, tokenizer)
    model.generation_config.repetition_penalty = 5.0
    model.generation_config.max_length = 3
    try:
        assert sample(model, tokenizer) == records
    finally:
        model.generation_config.repetition_penalty = None
        model.generation_config.max_length = None


def test_interrupted_run_goes_on_with_the_same_records(
    model: Any, tokenizer: Any, tmp_path: Path
) -> None:
    path = tmp_path / "deep" / "out.jsonl"
    whole = sample(model, tokenizer, batch_tokens=60)
    with pytest.raises(Interrupted):
        sample(model, tokenizer, batch_tokens=60, output=path, progress=interrupt_after(2))
    assert not path.exists()
    partial = path.with_name("out.jsonl.partial")
    held = partial.read_text()
    assert 0 < len(held.splitlines()) < len(whole)
    partial.write_text(held + '{"step": 0, "spl')
    assert sample(model, tokenizer, batch_tokens=60, output=path) == whole
    assert lasting(read_records(path)) == whole
    assert [p.name for p in path.parent.iterdir()] == ["out.jsonl"]


def test_whole_file_is_not_drawn_again_but_grows(
    model: Any, tokenizer: Any, tmp_path: Path
) -> None:
    path = tmp_path / "out.jsonl"
    records = sample(model, tokenizer, output=path)
    assert sample(model, tokenizer, output=path, progress=interrupt_after(1)) == records
    more = sample(model, tokenizer, output=path, k=4)
    assert [r for r in more if r["sample"] < 3] == records
    assert lasting(read_records(path)) == more


def test_other_settings_refuse_the_file(model: Any, tokenizer: Any, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    sample(model, tokenizer, output=path)
    with pytest.raises(ValueError, match=r"holds samples with temperature 1.0, not 0.5"):
        sample(model, tokenizer, output=path, temperature=0.5)


@pytest.mark.parametrize("first", [True, False], ids=["dropped", "added"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("fingerprint", "1f"),
        ("task", "letters"),
        ("task_options", {"seed": 5}),
        ("system_prompt", ""),
        ("template_options", {"enable_thinking": False}),
        ("api_model", "other"),
        ("engine_options", {"min_p": 0.1}),
        ("max_turns", 3),
        ("max_episode_tokens", 64),
    ],
)
def test_a_setting_that_is_dropped_or_added_refuses_the_file(
    name: str, value: Any, first: bool
) -> None:
    plain = Settings("heldout", 0, 1.0, 16)
    other = replace(plain, **{name: value})
    drawn, asked = (other, plain) if first else (plain, other)
    drawn.refuse_others(drawn.record(), "out.jsonl")
    with pytest.raises(ValueError, match=f"holds samples with {name} .*none"):
        asked.refuse_others(drawn.record(), "out.jsonl")


def test_options_of_vllm_are_noted_only() -> None:
    settings = Settings("heldout", 0, 1.0, 16, engine="vllm")
    record = settings.record() | {"engine_options": {"max_model_len": 64}}
    settings.refuse_others(record, "out.jsonl")
    other = replace(settings, seed=1, top_p=0.5)
    with pytest.raises(ValueError, match=r"with seed 0, not 1, and top_p 1.0, not 0.5; choose"):
        other.refuse_others(record, "out.jsonl")


def test_two_splits_share_a_file(model: Any, tokenizer: Any, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    first = sample(model, tokenizer, output=path)
    second = sample(model, tokenizer, output=path, split="ood", temperature=0.5)
    assert lasting(read_records(path)) == first + second
    assert sample(model, tokenizer, output=path, progress=interrupt_after(1)) == first


def test_completion_ends_where_the_context_does(model: Any, tokenizer: Any) -> None:
    row = {"prompt": "a" * 250, "answer": "b"}
    assert all(r["tokens"] <= 6 for r in sample(model, tokenizer, [row], max_new_tokens=100))


def test_task_gives_rows_and_verifier(model: Any, tokenizer: Any) -> None:
    class Letters:
        def rows(self, split: str) -> Any:
            return tiny_dataset(4 if split == "ood" else 9)

        verify = staticmethod(verify)

    records = sample(model, tokenizer, Letters(), split="ood", verify=None, limit=2, k=1)
    assert [r["split"] for r in records] == ["ood", "ood"]


@pytest.mark.parametrize(
    ("rows", "options", "words"),
    [
        ([], {}, "no rows"),
        ([{"answer": "a"}], {}, "row 0 of split 'heldout' has no prompt"),
        ([{"prompt": "a" * 300, "answer": "b"}], {}, "has 300 tokens, but the model's context"),
        ([{"prompt": "a", "problem_id": "x"}] * 2, {}, "'x' occurs twice"),
        ([{"prompt": "a", "answer": "b"}], {"k": 0}, "k is 0"),
        ([{"prompt": "a", "answer": "b"}], {"temperature": -1}, "temperature is -1"),
        ([{"prompt": "a", "answer": "b"}], {"verify": None}, "without a verifier"),
        (
            [{"prompt": "a", "answer": "b"}],
            {"verify": lambda **_: [1.0, 1.0]},
            "2 rewards for 3 completions",
        ),
    ],
)
def test_mistakes_are_named(
    model: Any, tokenizer: Any, rows: list, options: dict, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        evaluate(
            model, tokenizer, rows, **{"k": 3, "verify": verify, "max_new_tokens": 4} | options
        )


def test_conversation_without_template(model: Any) -> None:
    with pytest.raises(ValueError, match="no chat template"):
        sample(model, tiny_tokenizer(template=None))


def test_cut_record_file_is_named(model: Any, tokenizer: Any, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("not json\n")
    with pytest.raises(ValueError, match=r"line 1 of .*out.jsonl is no JSON object"):
        sample(model, tokenizer, output=path)
