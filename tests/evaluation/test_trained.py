"""How training samples, as options of an evaluation."""

from scgrpo.evaluation.request import EvaluationRequest
from scgrpo.evaluation.trained import sampling_options


def test_what_is_set_in_training() -> None:
    trainer = {
        "temperature": 0.7, "top_p": 0.9, "top_k": 0, "min_p": None, "repetition_penalty": 1.1,
        "chat_template_kwargs": {"enable_thinking": False}, "beta": 0.1, "generation_kwargs": None,
    }  # fmt: skip
    assert sampling_options(trainer) == {
        "temperature": 0.7, "top_p": 0.9, "top_k": 0, "repetition_penalty": 1.1,
        "template_options": {"enable_thinking": False},
    }  # fmt: skip
    assert sampling_options({}) == {"template_options": {}}


def test_generation_kwargs_come_first() -> None:
    trainer = {"top_k": 0, "generation_kwargs": {"top_k": 7, "num_beams": 2}}
    assert sampling_options(trainer) == {"top_k": 7, "template_options": {}}


def test_what_is_asked_for_comes_before_what_training_did() -> None:
    asked = EvaluationRequest("m", temperature=0.0, template_options={"enable_thinking": True})
    trained = {
        "temperature": 0.7,
        "top_k": 5,
        "template_options": {"enable_thinking": False, "a": 1},
    }
    request = asked.or_as(trained)
    assert (request.temperature, request.top_k, request.top_p) == (0.0, 5, None)
    assert request.template_options == {"enable_thinking": True, "a": 1}
    assert asked.or_as({}) == asked
