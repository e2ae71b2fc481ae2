"""Tasks that are played: turns in one batch, what ends an episode, and resuming by episode."""

from pathlib import Path
from typing import Any

import pytest

from scgrpo.evaluation.engines.base import Completion, EngineError, Failed, Request
from scgrpo.evaluation.problems import Settings, load_problems
from scgrpo.evaluation.records import read_records
from scgrpo.evaluation.run import Evaluation, IncompleteError, evaluate
from scgrpo.evaluation.sample_seeds import sample_seed
from tests.evaluation.counting import Answer, Countdown, CountingTask, RuleEngine, count_down, say
from tests.evaluation.engines.server import AT_ONCE, Call, serving
from tests.evaluation.engines.server import Answer as Response
from tests.tasks.tiny_text_model import text_model, text_tokenizer


@pytest.fixture(autouse=True)
def _none_open() -> Any:
    Countdown.open = 0
    yield
    assert Countdown.open == 0


def play(
    answer: Answer | Any, *starts: int, k: int = 1, output: Path | None = None, **options: Any
) -> tuple[list[dict[str, Any]], RuleEngine]:
    engine = answer if hasattr(answer, "generate") else RuleEngine(answer)
    limits = {"max_turns": 6, "max_episode_tokens": None} | {
        name: options.pop(name) for name in list(options) if name.startswith("max_")
    }
    problems = load_problems(CountingTask(*starts), "test")
    settings = Settings("test", 3, 1.0, 50, **limits)
    evaluation = Evaluation(problems, settings, k, output, lambda: engine, **options)
    evaluation.draw()
    return list(evaluation.records()), engine


def said(record: dict[str, Any]) -> list[str]:
    return [m["content"] for m in record["messages"] if m["role"] == "assistant"]


def test_an_episode_is_kept_whole() -> None:
    (record,), _ = play(count_down, 2)
    assert [(m["role"], m["content"]) for m in record["messages"]] == [
        ("system", "Count down, then stop."),
        ("user", "You are at 2"),
        ("assistant", "next"),
        ("user", "at 1"),
        ("assistant", "next"),
        ("user", "at 0"),
        ("assistant", "stop"),
    ]
    outcome = ("reward", "turns", "tokens", "turn_tokens", "finish_reason", "seconds")
    assert [record[name] for name in outcome] == [1.0, 3, 3, [1, 1, 1], "done", 1.5]
    assert record["versions"]["rules"] == "1" and record["max_turns"] == 6


def test_all_that_go_on_take_their_turn_in_one_batch() -> None:
    records, engine = play(count_down, 0, 2, 1, k=2)
    assert [len(batch) for batch in engine.batches] == [6, 4, 2]
    assert [r["turns"] for r in records] == [1, 1, 3, 3, 2, 2]
    assert all(r["reward"] == 1.0 for r in records)


def test_a_place_that_gets_free_is_taken_by_the_next_episode() -> None:
    records, engine = play(count_down, 0, 2, 1, k=2, parallel_episodes=3)
    # p0 x 2 and p2, then p2 x 2 and p1, then those and p1, then one is left.
    assert [len(batch) for batch in engine.batches] == [3, 3, 3, 2, 1]
    alone, _ = play(count_down, 0, 2, 1, k=2)
    assert [r["messages"] for r in records] == [r["messages"] for r in alone]


def test_every_turn_of_every_episode_has_its_own_seed() -> None:
    _, engine = play(count_down, 1, 2, k=2)
    seeds = [request.seed for batch in engine.batches for request in batch]
    assert len(set(seeds)) == len(seeds) == 10
    assert seeds[0] == sample_seed(3, "p1", 0, 0)


def test_limits_of_turns_and_tokens() -> None:
    (record,), _ = play(lambda request: say("next", 10), 9)
    assert (record["turns"], record["finish_reason"], record["reward"]) == (6, "turns", 0.1)
    assert record["messages"][-1]["role"] == "assistant"
    (record,), engine = play(lambda request: say("next", 10), 9, max_episode_tokens=25)
    assert [b[0].max_new_tokens for b in engine.batches] == [25, 15, 5]
    assert (record["turns"], record["finish_reason"]) == (3, "length")


def test_a_full_context_ends_the_episode_with_what_it_earned() -> None:
    def answer(request: Request) -> Completion | Failed:
        return say("next") if len(request.prompt) < 6 else Failed("full", no_room=True)

    (record,), _ = play(answer, 9)
    assert (record["turns"], record["finish_reason"], record["reward"]) == (2, "context", 0.1)
    with pytest.raises(IncompleteError, match=r"1 of 1 samples are missing.*full"):
        play(lambda request: Failed("full", no_room=True), 9)


def test_a_turn_that_fails_leaves_its_episode_out_until_it_is_played_again(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"

    def break_down(request: Request) -> Completion | Failed:
        return Failed("boom") if request.prompt[-1]["content"] == "at 1" else count_down(request)

    with pytest.raises(IncompleteError, match=r"2 of 4 samples are missing.*boom.*out.jsonl.part"):
        play(break_down, 0, 2, k=2, output=path)
    assert not path.exists()
    kept = path.with_name("out.jsonl.partial").read_text().splitlines()
    records, engine = play(count_down, 0, 2, k=2, output=path)
    assert {r.label for b in engine.batches for r in b} == {"problem 'p2'"}
    assert [said(r) for r in records] == [["stop"]] * 2 + [["next", "next", "stop"]] * 2
    assert len(kept) == 2 and set(kept) < set(path.read_text().splitlines())
    assert read_records(path) == records


def test_environments_are_given_back_whatever_happens() -> None:
    class Interrupt(BaseException):
        pass

    def fail(request: Request) -> Completion:
        raise Interrupt

    with pytest.raises(Interrupt):
        play(fail, 1, 2, 3)


def test_an_engine_that_leaves_turns_out_is_no_silent_zero() -> None:
    class Forgetful(RuleEngine):
        def generate(self, requests: Any, sampling: Any) -> Any:
            return (batch for batch in list(super().generate(requests, sampling))[1:])

    with pytest.raises(EngineError, match="returned 1 of 2 turns"):
        play(Forgetful(count_down), 0, 1)


def test_played_by_a_model_in_this_process() -> None:
    model, tokenizer = text_model(), text_tokenizer()
    options = {"k": 2, "max_new_tokens": 8, "split": "test"}
    records = evaluate(model, tokenizer, CountingTask(3, 4), **options)
    assert [r["turns"] for r in records] == [6] * 4
    assert len({r["messages"][-1]["content"] for r in records}) == 4
    one_by_one = evaluate(model, tokenizer, CountingTask(3, 4), batch_tokens=1, **options)
    assert [r["messages"] for r in one_by_one] == [r["messages"] for r in records]


def test_played_through_a_server() -> None:
    from scgrpo.evaluation.engines.openai_engine import OpenAIEngine

    def respond(call: Call) -> Response | str:
        if call.number == 3:
            return Response("busy", 503, AT_ONCE)
        return "stop" if call.body["messages"][-1]["content"].endswith("at 0") else "next"

    with serving(respond) as server:
        records, _ = play(OpenAIEngine(server.url, "m"), 2, 1, k=2)
    assert [(r["reward"], r["turns"]) for r in records] == [(1.0, 3)] * 2 + [(1.0, 2)] * 2
