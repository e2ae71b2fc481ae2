"""The teacher's pass by TRL's vLLM: with a stand-in for the engine, and with vLLM itself."""

import sys
from dataclasses import fields, replace
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace

import pytest
import torch
from datasets import Dataset

from scgrpo import SCGRPOConfig, SCGRPOTrainer
from scgrpo.config import Method
from scgrpo.credit.build import build_credit
from scgrpo.credit.heads import PolicyHeads
from scgrpo.credit.scoring import Scorer
from scgrpo.credit.served import ServedScorer
from scgrpo.teachers.policy import Policy
from scgrpo.trainer.serving import EngineLogps
from scgrpo.world import OneProcess
from tests.credit.parts import host_of, rollouts_of
from tests.processes import in_processes
from tests.trainer.tiny import tiny_model, tiny_tokenizer

SIGNED = {"weight": "signed", "reference_set": "any-partial"}


def read(model, ids, temperature=1.0):
    """Log-probs of all tokens but the first, from the logits of the whole."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids])).logits[0, :-1]
    return (logits / temperature).log_softmax(-1)[range(len(ids) - 1), ids[1:]].tolist()


class FakeEngine:
    """What is asked of TRL's `VLLMGeneration`, colocated, as vLLM answers."""

    mode = "colocate"

    def __init__(self, model, context=257):
        config = SimpleNamespace(max_model_len=context)
        self.model, self.asked = model, []
        self.llm = SimpleNamespace(
            generate=self.generate, llm_engine=SimpleNamespace(model_config=config)
        )

    def generate(self, prompts, sampling_params, use_tqdm):
        assert sampling_params == {"max_tokens": 1, "prompt_logprobs": 0, "detokenize": False}
        outputs = []
        for prompt in prompts:
            ids = prompt["prompt_token_ids"]
            self.asked.append(ids)
            told = [
                {token: SimpleNamespace(logprob=value)}
                for token, value in zip(ids[1:], read(self.model, ids), strict=True)
            ]
            outputs.append(SimpleNamespace(prompt_logprobs=[None, *told]))
        return outputs


class FakeServer(FakeEngine):
    """The same as a server, to which one process speaks."""

    mode = "server"

    def __init__(self, model, is_main=True):
        self.asked = []
        client = SimpleNamespace(get_sequence_logprobs=self.logprobs, get_server_info=self.info)
        self.model, self.vllm_client = model, client if is_main else None

    def info(self):
        return {"model_config": {"max_model_len": 257}}

    def logprobs(self, sequences, prompt_lengths, top_logprobs):
        assert top_logprobs == 0
        self.asked += sequences
        read_all = (read(self.model, ids) for ids in sequences)
        starts = zip(read_all, prompt_lengths, strict=True)
        return {"actual_logprobs": [[[v] for v in own[n - 1 :]] for own, n in starts]}


@pytest.fixture
def sampling_parameters(monkeypatch):
    module = ModuleType("vllm")
    module.SamplingParams = lambda **options: options  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", module)


TEXTS = ["1+2=3", "4", "5+5=1;", "7", "1", "22", "1+1", "9=9"]
REWARDS = [1.0, 0, 1, 0, 0, 1, 1, 0]


def attached(engine=None, weight="signed", world=None, in_update=False, **more):
    world = world or OneProcess()
    method = Method(**SIGNED | {"weight": weight})
    model = tiny_model().eval()
    served = None if engine is None else EngineLogps(engine(model), world)
    host = host_of(method, world, model, served=served, **more)
    credit = build_credit(host)
    assert isinstance(credit.use.scorer, ServedScorer) == (engine is not None)
    batch, step = rollouts_of(TEXTS, REWARDS, 4, world)
    return credit.attach(batch, replace(step, updates_once=in_update)), served


@pytest.mark.parametrize(
    "engine, weight",
    [(FakeEngine, "signed"), (FakeEngine, "cscr"), (FakeServer, "signed-contrast")],
)
def test_opinions_are_those_of_the_trainers_own_pass(engine, weight, sampling_parameters):
    own, _ = attached(weight=weight)
    other, served = attached(engine, weight)
    assert served.engine.asked and served.max_length == 256
    assert own.passes.columns.keys() == other.passes.columns.keys()
    for name, values in own.passes.columns.items():
        torch.testing.assert_close(other.passes.columns[name], values, atol=1e-4, rtol=1e-4)
    assert own.passes.columns["log_ratio"].abs().max() > 0.01
    assert other.logged["credit/teacher_auc"] == own.logged["credit/teacher_auc"]
    sequences = {
        tuple(prompt + completion)
        for completion, prompts in zip(
            other.step.rollouts.completion_ids, other.prompts.ids, strict=True
        )
        for prompt in prompts
    }
    assert sequences and sequences <= {tuple(ids) for ids in served.engine.asked}


def test_the_engine_is_asked_where_the_update_does_the_rest_too(sampling_parameters):
    own, _ = attached(in_update=True)
    other, served = attached(FakeEngine, in_update=True)
    known = other.passes.columns["teacher_logp"]
    torch.testing.assert_close(known, own.passes.columns["teacher_logp"], atol=1e-4, rtol=1e-4)
    assert known.abs().max() > 0.01 and not other.passes.columns["log_ratio"].any()
    assert served.engine.asked and other.passes.seconds["student_pass"] == 0


def test_one_process_asks_the_server_for_all():
    models = [tiny_model().eval() for _ in range(2)]
    engines = [FakeServer(model, is_main=model is models[0]) for model in models]

    def on(world):
        model, served = (
            models[world.process_index],
            EngineLogps(engines[world.process_index], world),
        )
        host = host_of(Method(**SIGNED), world, model, served=served)
        credit = build_credit(host)
        found = credit.attach(*rollouts_of(TEXTS, REWARDS, 4, world))
        return found.passes.columns["log_ratio"], served.max_length

    (first, longest), (second, other) = in_processes(2, on)
    alone, _ = attached()
    whole = alone.passes.columns["log_ratio"]
    torch.testing.assert_close(first, whole[:4, : first.shape[1]], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(second, whole[4:, : second.shape[1]], atol=1e-4, rtol=1e-4)
    assert longest == other == 256
    assert engines[0].asked and not engines[1].asked


def test_a_token_that_the_engine_does_not_know_is_refused(sampling_parameters):
    engine = FakeEngine(tiny_model().eval())
    engine.llm.generate = lambda prompts, **_: [
        SimpleNamespace(prompt_logprobs=[None, {5: SimpleNamespace(logprob=-float("inf"))}])
    ]
    with pytest.raises(RuntimeError, match=r"the log-probability -inf; set teacher_scorer='model'"):
        EngineLogps(engine, OneProcess())([[4]], [[5]])


def test_a_teachers_prompt_fits_the_engine():
    served = EngineLogps(FakeEngine(None), OneProcess())
    assert (served.fitting(None, 512), served.fitting(100, 100)) == (256, 100)
    with pytest.raises(ValueError, match=r"teacher_max_length is 257, but the engine .* takes 256"):
        served.fitting(257, 512)


@pytest.mark.parametrize(
    "changed, said",
    [
        ({"teacher_scorer": "server"}, "teacher_scorer is 'server'; choose one of model, vllm."),
        ({"use_vllm": False}, "use_vllm is false; set use_vllm=true"),
        ({"weight": "credit"}, "weight='credit' .* needs the teacher's whole distribution"),
        ({"weight": "contrast"}, "weight='contrast' .* needs the teacher's whole"),
        ({"reference_set": "partial+none"}, r"reference_set='partial\+none' needs the teacher's"),
        ({"use": "loss"}, "use='loss' with weight='signed' .* whole distribution"),
        ({"teacher": "model", "teacher_model": "x"}, "teacher's whole distribution"),
        ({"teacher_weights": "initial"}, "teacher_weights is 'initial'; set it to 'current'"),
        ({"temperature": 0.7}, "at temperature 1, but temperature is 0.7"),
        ({"vllm_enable_sleep_mode": True}, "set vllm_enable_sleep_mode=false"),
        ({"vllm_tensor_parallel_size": 2}, "vllm_tensor_parallel_size is 2; set it to 1"),
    ],
)
def test_what_the_engine_cannot_do_is_refused(changed, said, tmp_path):
    asked = {"teacher_scorer": "vllm", "use_vllm": True, "vllm_mode": "colocate"} | SIGNED
    SCGRPOConfig(str(tmp_path), use_cpu=True, bf16=False, **asked)
    with pytest.raises(ValueError, match=said):
        SCGRPOConfig(str(tmp_path), use_cpu=True, bf16=False, **asked | changed)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")
@pytest.mark.timeout(600)
def test_vllm_itself_agrees_with_the_trainers_own_pass(tmp_path, monkeypatch):
    """On the policy of each step, of which the engine was told before it drew.

    The engine makes bfloat16 of a float32 model, and a float32 one takes no weights on a CPU.
    """
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    tokenizer = tiny_tokenizer()
    model, frozen = (tiny_model(head_dim=32, max_position_embeddings=512) for _ in range(2))
    tokenizer.save_pretrained(tmp_path / "model")
    model.save_pretrained(tmp_path / "model")
    model.name_or_path = str(tmp_path / "model")
    args = SCGRPOConfig(
        str(tmp_path / "run"), teacher_scorer="vllm", use_vllm=True, vllm_mode="colocate",
        vllm_max_model_length=512, guide="{reference}",
        max_steps=3, per_device_train_batch_size=8, num_generations=4,
        max_completion_length=12, learning_rate=1e-2, use_cpu=True, bf16=False, report_to=[],
        save_strategy="no", **SIGNED,
    )  # fmt: skip
    questions = [[{"role": "user", "content": f"Q{i}A"}] for i in range(16)]
    dataset = Dataset.from_dict({"prompt": questions})

    def odd(completions, **_):
        return [float(len(c[-1]["content"]) % 2) for c in completions]

    trainer = SCGRPOTrainer(model, odd, args, dataset, processing_class=tokenizer)
    scorer, before = trainer._credit.use.scorer, Policy.of(frozen, lambda: frozen)
    own = Scorer(**{f.name: getattr(scorer, f.name) for f in fields(Scorer)})
    heads = PolicyHeads(before.module, before.module, 1.0)
    old = replace(own, student=before, teacher=before, heads=heads)
    asked: list[list[torch.Tensor]] = [[], [], []]

    def all_three(requests):
        found = score(requests)
        passes = found, own.score(requests), old.score(requests)
        for scores, into in zip(passes, asked, strict=True):
            into.append(torch.cat([one.signals["teacher_logp"] for one in scores[0]]))
        return found

    score = scorer.score
    object.__setattr__(scorer, "score", all_three)
    trainer.train()
    served, current, initial = asked
    assert len(served) == 3
    for by_engine, by_trainer in zip(served, current, strict=True):
        assert (by_engine - by_trainer).abs().median() < 0.05
        assert (by_engine - by_trainer).abs().max() < 0.3
    # The weights have moved meanwhile, and the engine's with them.
    assert (served[-1] - initial[-1]).abs().median() > 0.3
