"""The engine for vLLM: against a stand-in of its interface, and against vLLM where it is there."""

import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from scgrpo.evaluation.engines import vllm_engine
from scgrpo.evaluation.engines.base import Completion, Engine, Failed, Request, Sampling
from scgrpo.evaluation.engines.transformers_engine import TransformersEngine
from scgrpo.evaluation.engines.vllm_engine import VLLMEngine
from scgrpo.evaluation.sample_seeds import sample_seed, short_seed
from tests.evaluation.engines.fake_vllm import FakeLLM, LoRARequest, SamplingParams
from tests.trainer.tiny import tiny_model, tiny_tokenizer

SAMPLING = Sampling(temperature=0.5, top_p=0.9, max_new_tokens=20)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeLLM]:
    class LLM(FakeLLM):
        tokenizer = tiny_tokenizer()
        made: list[FakeLLM] = []  # noqa: RUF012

        @staticmethod
        def write(prompt: list[int], parameters: SamplingParams) -> tuple[str, list[int], str]:
            return f"{sum(prompt)} {parameters.seed}", [1] * len(prompt), "stop"

    vllm, lora, request = ModuleType("vllm"), ModuleType("vllm.lora"), ModuleType("request")
    vllm.LLM, vllm.SamplingParams = LLM, SamplingParams  # type: ignore[attr-defined]
    request.LoRARequest = LoRARequest  # type: ignore[attr-defined]
    for name, module in (("vllm", vllm), ("vllm.lora", lora), ("vllm.lora.request", request)):
        monkeypatch.setitem(sys.modules, name, module)
    return LLM


def requests(*prompts: Any) -> list[Request]:
    return [Request(p, sample_seed(0, "p", i), f"problem {i}") for i, p in enumerate(prompts)]


def drawn(engine: Engine, wanted: list[Request], sampling: Sampling = SAMPLING) -> list[Any]:
    results = dict(r for batch in engine.generate(wanted, sampling) for r in batch)
    return [results[i] for i in range(len(wanted))]


def test_each_request_gets_what_was_written_for_it(fake: type[FakeLLM]) -> None:
    prompts = ["a" * n for n in (5, 1, 9, 3)]
    results = drawn(VLLMEngine("m"), requests(*prompts))
    ids = [tiny_tokenizer()(p)["input_ids"] for p in prompts]
    for i, result in enumerate(results):
        seed = short_seed(sample_seed(0, "p", i))
        assert (result.text, result.tokens) == (f"{sum(ids[i])} {seed}", len(ids[i]))
        assert (result.finish_reason, result.prompt_tokens) == ("stop", len(ids[i]))


def test_what_vllm_is_told(fake: type[FakeLLM]) -> None:
    seen: list[SamplingParams] = []
    fake.write = staticmethod(lambda p, s: (seen.append(s), ("x", [1], "length"))[1])  # type: ignore[assignment]
    engine = VLLMEngine("m", {"tensor_parallel_size": 2, "max_model_len": 99})
    wanted = [Request("ab", 5 << 97), Request("ab", 6 << 97, max_new_tokens=7)]
    assert drawn(engine, wanted)[0].finish_reason == "length"
    assert seen == [SamplingParams(0.5, 0.9, 5, 20), SamplingParams(0.5, 0.9, 6, 7)]
    (llm,) = fake.made
    assert (llm.model, llm.arguments) == ("m", {"tensor_parallel_size": 2})
    assert engine.context == 99


def test_vllm_is_told_what_is_uncommon(fake: type[FakeLLM]) -> None:
    seen: list[SamplingParams] = []
    fake.write = staticmethod(lambda p, s: (seen.append(s), ("x", [1], "length"))[1])  # type: ignore[assignment]
    shaped = Sampling(top_k=5, min_p=0.1, repetition_penalty=1.2, max_new_tokens=3)
    drawn(VLLMEngine("m"), [Request("ab", 5 << 97)], shaped)
    assert seen == [SamplingParams(1.0, 1.0, 5, 3, True, 5, 0.1, 1.2)]


def test_the_window_is_kept_full_and_not_exceeded(
    fake: type[FakeLLM], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vllm_engine, "WINDOW", 4)
    results = drawn(VLLMEngine("m"), requests(*["a" * (n % 7 + 1) for n in range(30)]))
    assert all(isinstance(result, Completion) for result in results)
    assert fake.made[0].most_running == 4


def test_results_come_before_all_is_done_and_the_rest_can_be_called_off(
    fake: type[FakeLLM], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vllm_engine, "GATHER", (2, 1000.0))
    batches = VLLMEngine("m").generate(requests(*["a" * n for n in range(1, 9)]), SAMPLING)
    assert len(next(batches)) == 4
    batches.close()  # type: ignore[attr-defined]
    (llm,) = fake.made
    assert len(llm.aborted) == 4 and not llm.running


def test_what_vllm_gave_up_is_no_sample(fake: type[FakeLLM]) -> None:
    fake.write = staticmethod(lambda p, s: ("", [], "abort"))  # type: ignore[assignment]
    (result,) = drawn(VLLMEngine("m"), requests("a"))
    assert isinstance(result, Failed) and "'abort'" in result.reason


def test_a_prompt_without_room(fake: type[FakeLLM]) -> None:
    engine = VLLMEngine("m", {"max_model_len": 10})
    with pytest.raises(ValueError, match=r"prompt of problem 1 has 10 tokens.*context is 10"):
        engine.check(requests("a", "a" * 10), SAMPLING)
    short, full = drawn(engine, requests("a", "a" * 10))
    assert isinstance(short, Completion) and full.no_room


def test_an_adapter_is_loaded_on_its_base(fake: type[FakeLLM], tmp_path: Path) -> None:
    settings = {"base_model_name_or_path": "org/base", "r": 8}
    (tmp_path / "adapter_config.json").write_text(json.dumps(settings))
    (tmp_path / "tokenizer_config.json").write_text("{}")
    engine = VLLMEngine(str(tmp_path), {"dtype": "float32"})
    (llm,) = fake.made
    assert llm.model == "org/base"
    assert llm.arguments == {
        "enable_lora": True, "max_lora_rank": 8, "tokenizer": str(tmp_path), "dtype": "float32"
    }  # fmt: skip
    next(engine.generate(requests("a"), SAMPLING))
    assert engine.lora.path == str(tmp_path)


def test_the_interface(fake: type[FakeLLM]) -> None:
    engine = VLLMEngine("m")
    assert isinstance(engine, Engine) and set(engine.versions()) == {"vllm", "transformers"}


def test_without_the_package_the_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(ImportError, match=r"pip install 'scgrpo\[vllm\]', or take --engine"):
        VLLMEngine("m")


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")
def test_vllm_itself_draws_as_the_model_does(tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        os.environ |= {"VLLM_TARGET_DEVICE": "cpu", "VLLM_CPU_KVCACHE_SPACE": "1"}
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    # vLLM's attention on a CPU wants heads of at least 32.
    shape = {"head_dim": 32, "tie_word_embeddings": False, "initializer_range": 0.1}
    model, tokenizer = tiny_model(**shape), tiny_tokenizer()
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    options = {"enforce_eager": True, "dtype": "float32", "max_model_len": 128}
    vllm = VLLMEngine(str(tmp_path), options)
    wanted = requests(*[[{"role": "user", "content": f"Q{n}"}] for n in range(8)], "plain", [9, 8])
    vllm.check(wanted, SAMPLING)
    greedy = Sampling(temperature=0.0, max_new_tokens=24)
    own = drawn(TransformersEngine(model, tokenizer), wanted, greedy)
    theirs = drawn(vllm, wanted, greedy)
    assert len({r.text for r in own}) > 3
    facts = [[(r.text, r.tokens, r.finish_reason, r.prompt_tokens) for r in rs]
             for rs in (own, theirs)]  # fmt: skip
    assert facts[0] == facts[1]
    hot = Sampling(max_new_tokens=24)
    first, again = drawn(vllm, wanted, hot), drawn(vllm, wanted, hot)
    assert [r.text for r in first] == [r.text for r in again]
    assert len({r.text for r in first}) == len(wanted)
    other = [Request(r.prompt, r.seed + (1 << 97)) for r in wanted]
    assert [r.text for r in drawn(vllm, other, hot)] != [r.text for r in first]
    results = vllm.generate(wanted, hot)
    results.close()  # type: ignore[attr-defined]
    assert len(drawn(vllm, wanted[:1], hot)) == 1
