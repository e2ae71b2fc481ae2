"""The engine for servers, against a real HTTP server on this machine."""

import socket
import threading
from typing import Any

import pytest

from scgrpo.evaluation.engines.base import (
    Completion,
    Engine,
    EngineError,
    Failed,
    Request,
    Sampling,
)
from scgrpo.evaluation.engines.openai_engine import OpenAIEngine, base_url, public_url
from scgrpo.evaluation.sample_seeds import sample_seed, short_seed
from tests.evaluation.engines.server import AT_ONCE, Answer, Call, Server, completion, serving

SAMPLING = Sampling(temperature=0.5, top_p=0.9, max_new_tokens=20)


def requests(count: int, prompt: Any = None) -> list[Request]:
    prompt = prompt or [{"role": "user", "content": "hello"}]
    return [Request(prompt, sample_seed(0, "p", i)) for i in range(count)]


def engine(server: Server, **options: Any) -> OpenAIEngine:
    return OpenAIEngine(server.url, "m", **{"timeout": 20.0} | options)


def drawn(
    engine: Engine, wanted: list[Request], sampling: Sampling = SAMPLING
) -> dict[int, Completion | Failed]:
    return {i: r for batch in engine.generate(wanted, sampling) for i, r in batch}


def fields(result: Completion | Failed) -> tuple[Any, ...]:
    assert isinstance(result, Completion)
    return result.text, result.tokens, result.finish_reason, result.prompt_tokens


def test_each_request_gets_its_own_answer_and_sends_its_own_seed() -> None:
    wanted = requests(20)
    with serving(lambda call: f"seed {call.body['seed']} drawn") as server:
        results = drawn(engine(server), wanted)
    assert {i: fields(r) for i, r in results.items()} == {
        i: (f"seed {short_seed(r.seed)} drawn", 3, "stop", 7) for i, r in enumerate(wanted)
    }
    assert len(set(server.seeds)) == 20 and all(0 <= seed < 2**31 for seed in server.seeds)


def test_the_request_says_how_to_sample_and_nothing_else() -> None:
    with serving(lambda call: "x") as server:
        drawn(engine(server), requests(1))
    (call,) = server.calls
    assert call.path == "/v1/chat/completions"
    assert call.body == {
        "model": "m",
        "messages": [{"role": "user", "content": "hello"}],
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 20,
        "seed": short_seed(sample_seed(0, "p", 0)),
    }


def test_texts_and_token_ids_are_completed_as_they_are() -> None:
    with serving(lambda call: "x") as server:
        drawn(engine(server), requests(1, "once upon"))
        drawn(engine(server), requests(1, [5, 6, 7]))
    assert [call.path for call in server.calls] == ["/v1/completions"] * 2
    assert [call.body["prompt"] for call in server.calls] == ["once upon", [5, 6, 7]]


def test_options_add_replace_and_leave_out_fields() -> None:
    options = {"top_k": -1, "seed": None, "max_tokens": None, "max_completion_tokens": 9}
    thinking = Sampling(template_options={"enable_thinking": False})
    with serving(lambda call: "x") as server:
        drawn(engine(server, options=options), requests(1), thinking)
    body = server.calls[0].body
    assert (body["top_k"], body["max_completion_tokens"]) == (-1, 9)
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert not {"seed", "max_tokens"} & set(body)


def test_what_is_uncommon_is_sent_where_it_changes_anything() -> None:
    shaped = Sampling(top_k=5, min_p=0.1, repetition_penalty=1.2)
    with serving(lambda call: "x") as server:
        drawn(engine(server), requests(1), shaped)
        drawn(engine(server, options={"top_k": 7, "min_p": None}), requests(1), shaped)
    first, second = (call.body for call in server.calls)
    assert (first["top_k"], first["min_p"], first["repetition_penalty"]) == (5, 0.1, 1.2)
    assert (second["top_k"], second["repetition_penalty"]) == (7, 1.2)
    assert "min_p" not in second


def test_a_request_may_have_less_room_than_the_others() -> None:
    tight = Request("x", 1, max_new_tokens=3)
    with serving(lambda call: "x") as server:
        drawn(engine(server), [tight])
    assert server.calls[0].body["max_tokens"] == 3


def test_cut_and_thoughtful_answers() -> None:
    bodies = {
        0: completion("so and so", finish_reason="length"),
        1: completion("42", reasoning_content="six times seven"),
        2: completion(None, reasoning="only thoughts", finish_reason="length"),
        3: {**completion("x"), "usage": None},
    }
    seeds = {short_seed(r.seed): i for i, r in enumerate(requests(4))}
    with serving(lambda call: Answer(bodies[seeds[call.body["seed"]]])) as server:
        results = drawn(engine(server), requests(4))
    assert fields(results[0]) == ("so and so", 3, "length", 7)
    assert results[1].reasoning == "six times seven"  # type: ignore[union-attr]
    assert fields(results[2]) == ("", 0, "length", 7)
    assert fields(results[3]) == ("x", None, "stop", None)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_busy_and_broken_servers_are_asked_again(status: int) -> None:
    def respond(call: Call) -> Answer | str:
        return "at last" if call.attempt == 2 else Answer("busy", status, AT_ONCE)

    with serving(respond) as server:
        results = drawn(engine(server), requests(3))
    assert [fields(results[i])[0] for i in range(3)] == ["at last"] * 3
    assert len(server.calls) == 9


def test_a_server_that_stays_broken_leaves_the_sample_out() -> None:
    bad = short_seed(requests(3)[1].seed)

    def respond(call: Call) -> Answer | str:
        broken = call.body["seed"] == bad
        return Answer({"error": {"message": "boom"}}, 500, AT_ONCE) if broken else "fine"

    with serving(respond) as server:
        results = drawn(engine(server, retries=2), requests(3))
    assert isinstance(results[1], Failed) and "500" in results[1].reason
    assert [isinstance(results[i], Completion) for i in (0, 2)] == [True, True]
    assert server.seeds.count(bad) == 3


def test_a_bad_request_is_not_repeated() -> None:
    body = {"error": {"message": "maximum context length is 8 tokens"}}
    with serving(lambda call: Answer(body, 400)) as server:
        result = drawn(engine(server), requests(1))[0]
    assert isinstance(result, Failed) and "maximum context length" in result.reason
    assert result.no_room
    assert len(server.calls) == 1


def test_an_answer_that_does_not_come_is_given_up() -> None:
    stop = threading.Event()
    with serving(lambda call: "late" if stop.wait(20) else "never") as server:
        results = drawn(engine(server, timeout=0.1, retries=0), requests(2))
        stop.set()
    assert {r.reason for r in results.values()} == {"no answer within 0.1 seconds"}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "answer",
    [
        Answer('{"choices": [{"mess'),
        Answer("<html>gateway</html>", headers={"content-type": "text/html"}),
        Answer({"choices": []}),
        Answer({"object": "list"}),
        Answer({"choices": [{"message": {"content": 3}}]}),
        Answer({"choices": [{"message": None}]}),
        Answer("null"),
    ],
)
def test_what_is_no_completion_is_no_sample(answer: Answer) -> None:
    with serving(lambda call: answer) as server:
        result = drawn(engine(server, retries=0), requests(1))[0]
    assert isinstance(result, Failed)
    assert result.reason.startswith("the answer was no completion in OpenAI's protocol")


def test_concurrency_is_used_and_kept_to() -> None:
    together = threading.Barrier(4)

    def respond(call: Call) -> str:
        together.wait(20)  # breaks, and fails the request, unless four are there at once
        return "together"

    with serving(respond) as server:
        results = drawn(engine(server, concurrency=4, retries=0), requests(12))
    assert {fields(r)[0] for r in results.values()} == {"together"}
    assert server.most_at_once == 4


def test_unread_results_hold_the_requests_back() -> None:
    with serving(lambda call: "x") as server:
        batches = engine(server, concurrency=2).generate(requests(200), SAMPLING)
        seen = len(next(batches))
        threading.Event().wait(0.5)
        assert len(server.calls) <= seen + 4 * 2 + 2 * 2
        seen += sum(map(len, batches))
    assert seen == 200


def test_closing_stops_what_is_under_way() -> None:
    stop = threading.Event()
    first = short_seed(requests(1)[0].seed)

    def respond(call: Call) -> str:
        if call.body["seed"] != first:
            stop.wait(20)
        return "x"

    with serving(respond) as server:
        batches = engine(server, concurrency=3).generate(requests(50), SAMPLING)
        next(batches)
        batches.close()  # type: ignore[attr-defined]
        assert len(server.calls) <= 4
        assert "scgrpo-requests" not in {thread.name for thread in threading.enumerate()}
        stop.set()


def test_a_server_that_died_is_given_up_early() -> None:
    def respond(call: Call) -> Answer | str:
        return "x" if call.number < 5 else Answer("gone", 502, AT_ONCE)

    with serving(respond) as server:
        batches = engine(server, concurrency=2, retries=1).generate(requests(500), SAMPLING)
        with pytest.raises(EngineError, match=r"the last \d+ requests to http.* failed.*502"):
            list(batches)
    assert len(server.calls) < 100


def test_no_server_is_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(EngineError) as caught:
            OpenAIEngine(url, "m").check(requests(1), SAMPLING)
    words = str(caught.value)
    assert words.startswith(f"no server answers at {url}/v1 (") and "--url" in words
    assert "\n" not in words and words.count(". ") == 0


@pytest.mark.parametrize("status", [401, 403])
def test_the_key_is_sent_but_never_shown(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-of-mine")
    refusal = Answer({"error": {"message": "bad key: sk-secret-of-mine"}}, status)
    with serving(lambda call: refusal, models=refusal) as server:
        for attempt in (
            lambda: engine(server).check(requests(1), SAMPLING),
            lambda: drawn(engine(server), requests(50)),
        ):
            with pytest.raises(EngineError, match=r"refuses the key.*OPENAI_API_KEY") as caught:
                attempt()
            assert "secret" not in str(caught.value)
    assert server.calls[0].headers["authorization"] == "Bearer sk-secret-of-mine"
    assert len(server.calls) <= 32


def test_an_unknown_model_ends_it() -> None:
    unknown = Answer({"error": {"message": "The model `m` does not exist."}}, 404)
    with serving(lambda call: unknown) as server, pytest.raises(EngineError, match="--api-model"):
        drawn(engine(server, concurrency=1), requests(9))
    assert len(server.calls) == 1


def test_a_server_need_not_list_its_models() -> None:
    for models in (Answer("no", 404), Answer("no", 405), Answer("{"), Answer("<html>")):
        with serving(lambda call: "x", models=models) as server:
            engine(server).check(requests(1), SAMPLING)


def test_addresses() -> None:
    assert base_url("http://h:1") == base_url("http://h:1/") == "http://h:1/v1"
    assert base_url("https://h/api/openai/") == "https://h/api/openai"
    assert public_url("https://me:pass@h:8/v1?key=secret") == "https://h:8/v1"
    for wrong in ("localhost:8000", "ftp://h", ""):
        with pytest.raises(ValueError, match=r"http://127\.0\.0\.1:8000/v1"):
            base_url(wrong)
    with pytest.raises(ValueError, match="concurrency is 0"):
        OpenAIEngine("http://h", "m", concurrency=0)


def test_without_the_package_the_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "openai", None)
    with pytest.raises(ImportError, match=r"pip install 'scgrpo\[openai\]'"):
        OpenAIEngine("http://h", "m")


def test_the_interface() -> None:
    assert isinstance(OpenAIEngine("http://h", "m"), Engine)
    assert set(OpenAIEngine("http://h", "m").versions()) == {"openai"}
