"""What an evaluation is asked to be: its options and what they cannot be."""

from typing import Any

import pytest

from scgrpo.evaluation.request import EvaluationRequest
from scgrpo.mistakes import ConfigError


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def ask(**options: Any) -> EvaluationRequest:
    return EvaluationRequest("m", **options)


def test_the_defaults_can_be() -> None:
    ask().check()
    assert ask().tries == [8] and ask().options_of_task == {}


def test_tries_are_numbers_in_order() -> None:
    assert ask(pass_at="4, 1,2 4").tries == [1, 2, 4]


def test_the_task_knows_the_limit_of_turns() -> None:
    assert ask(task_options={"a": 1, "max_turns": 9}, max_turns=3).options_of_task == {
        "a": 1, "max_turns": 3,
    }  # fmt: skip


def test_the_server_is_given_or_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask(url="http://a").server == "http://a" and ask().server is None
    monkeypatch.setenv("OPENAI_BASE_URL", "http://b")
    assert ask(url="http://a").server == "http://a" and ask().server == "http://b"
    ask(engine="openai").check()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"k": 0}, "k is 0; it must be at least 1."),
        ({"limit": 0}, "limit is 0; it must be at least 1."),
        ({"solve_threshold": 1.5}, "solve_threshold is 1.5; it must be at most 1.0."),
        ({"temperature": -1.0}, "temperature is -1.0; it must be at least 0.0."),
        ({"pass_at": "1,9"}, "--pass-at is '1,9'; write numbers from 1 to k = 8, such as 1,8."),
        ({"pass_at": "", "k": 2}, "--pass-at is ''; write numbers from 1 to k = 2, such as 1,2."),
        ({"engine": "vlm"}, "--engine is 'vlm'; choose one of transformers, vllm, openai."),
        ({"engine": "vllm", "api_model": "x"}, "--api-model x belongs to --engine openai, but"),
        ({"engine": "openai"}, "--engine openai needs the address of a server; give --url"),
        ({"engine_options": {"a": 1}}, "--engine-options is {'a': 1}, but the transformers engine"),
    ],
)
def test_what_cannot_be(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ask(**options).check()
    assert str(caught.value).startswith(words)
