"""Whole evaluations through a server: what is recorded, what a failure leaves, how it goes on."""

from pathlib import Path
from typing import Any

import pytest

from scgrpo.evaluation.engines.base import EngineError
from scgrpo.evaluation.engines.openai_engine import OpenAIEngine
from scgrpo.evaluation.problems import Settings, load_problems
from scgrpo.evaluation.records import read_records
from scgrpo.evaluation.run import Evaluation, IncompleteError
from scgrpo.evaluation.sample_seeds import sample_seed, short_seed
from tests.evaluation.engines.server import AT_ONCE, Answer, Call, Server, serving

ROWS = [
    {"prompt": [{"role": "user", "content": f"{n} + 1"}], "answer": n + 1, "problem_id": f"p{n}"}
    for n in range(4)
]
SETTINGS = Settings("test", 0, 0.7, 30, engine="openai", model="m")


def verify(completions: list[Any], answer: list[int], **_: Any) -> list[float]:
    return [float(c[0]["content"] == str(a)) for c, a in zip(completions, answer, strict=True)]


def add(call: Call) -> str:
    """Right for even seeds only."""
    right = int(call.body["messages"][-1]["content"].split()[0]) + 1
    return str(right) if call.body["seed"] % 2 == 0 else "no"


def evaluation(server: Server, output: Path | None = None, k: int = 3, **more: Any) -> Evaluation:
    settings = more.pop("settings", SETTINGS)
    problems = load_problems(ROWS, "test", verify=verify, **more)
    engine = lambda: OpenAIEngine(server.url, "m", concurrency=4, retries=1)  # noqa: E731
    return Evaluation(problems, settings, k, output, engine, notes={"url": server.url})


def seed_of(problem: str, sample: int) -> int:
    return short_seed(sample_seed(0, problem, sample))


def test_records_say_how_each_sample_came_about(tmp_path: Path) -> None:
    with serving(add) as server:
        run = evaluation(server, tmp_path / "out.jsonl")
        run.draw()
    records = read_records(tmp_path / "out.jsonl")
    assert [(r["problem_id"], r["sample"]) for r in records] == [
        (f"p{n}", i) for n in range(4) for i in range(3)
    ]
    for record in records:
        seed = seed_of(record["problem_id"], record["sample"])
        assert record["sample_seed"] == seed
        assert record["reward"] == float(seed % 2 == 0)
        settings = ("engine", "model", "split", "temperature", "top_p", "max_new_tokens", "seed")
        assert [record[n] for n in settings] == ["openai", "m", "test", 0.7, 1.0, 30, 0]
        assert record["url"] == server.url and record["finish_reason"] == "stop"
        assert set(record["versions"]) == {"scgrpo", "openai"}
        assert record["date"][:2] == "20" and record["seconds"] > 0
    assert run.scores() == [
        {n: r[n] for n in ("step", "split", "problem_id", "sample", "reward", "tokens",
                           "finish_reason")} for r in records
    ]  # fmt: skip


def test_failed_requests_leave_samples_out_and_the_next_run_draws_just_those(
    tmp_path: Path,
) -> None:
    path = tmp_path / "out.jsonl"
    bad = {seed_of("p1", 0), seed_of("p3", 2)}

    def respond(call: Call) -> Answer | str:
        return Answer("boom", 500, AT_ONCE) if call.body["seed"] in bad else add(call)

    with serving(respond) as server, pytest.raises(IncompleteError) as caught:
        evaluation(server, path).draw()
    words = str(caught.value)
    assert words.startswith("2 of 12 samples are missing") and "500" in words
    assert f"{path}.partial" in words and "\n" not in words
    assert not path.exists()
    with serving(add) as server:
        run = evaluation(server, path)
        run.draw()
    assert set(server.seeds) == bad and len(server.calls) == 2
    assert [s["reward"] for s in run.scores()] == [
        float(seed_of(f"p{n}", i) % 2 == 0) for n in range(4) for i in range(3)
    ]


def test_a_crash_costs_only_what_was_under_way(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"

    class Crash(BaseException):
        pass

    def crash(done: int, total: int) -> None:
        if done >= 5:
            raise Crash

    with serving(add) as server, pytest.raises(Crash):
        evaluation(server, path).draw(crash)
    known = {(r["problem_id"], r["sample"]) for r in read_partial(path)}
    assert 5 <= len(known) < 12 or len(known) == 12
    with serving(add) as server:
        run = evaluation(server, path)
        run.draw()
    assert len(server.calls) == 12 - len(known)
    assert {seed_of(*key) for key in known}.isdisjoint(server.seeds)
    assert len(run.scores()) == 12


def read_partial(path: Path) -> list[dict[str, Any]]:
    return read_records(path.with_name(path.name + ".partial"))


def test_nothing_missing_needs_no_server(tmp_path: Path) -> None:
    with serving(add) as server:
        evaluation(server, tmp_path / "out.jsonl").draw()
    run = evaluation(server, tmp_path / "out.jsonl", k=2)  # the server is gone
    run.draw()
    assert len(run.scores()) == 8
    with pytest.raises(EngineError, match="no server answers"):
        evaluation(server, tmp_path / "out.jsonl", k=4).draw()
    assert len(read_records(tmp_path / "out.jsonl")) == 12


def test_a_server_that_dies_is_told_with_what_is_missing(tmp_path: Path) -> None:
    def respond(call: Call) -> Answer | str:
        return add(call) if call.number < 10 else Answer("gone", 502, AT_ONCE)

    with (
        serving(respond) as server,
        pytest.raises(IncompleteError, match=r"of 160 samples are missing.*requests to.*502"),
    ):
        evaluation(server, tmp_path / "out.jsonl", k=40).draw()
    assert len(read_partial(tmp_path / "out.jsonl")) == 10
    assert len(server.calls) < 100


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"temperature": 0.1}, "temperature 0.7, not 0.1"),
        ({"top_p": 0.5}, "top_p 1.0, not 0.5"),
        ({"seed": 4}, "seed 0, not 4"),
        ({"engine": "vllm"}, "engine 'openai', not 'vllm'"),
        ({"model": "other"}, "model 'm', not 'other'"),
    ],
)
def test_other_settings_are_refused_before_anything_is_asked(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    from dataclasses import replace

    path = tmp_path / "out.jsonl"
    with serving(add) as server:
        evaluation(server, path).draw()
        asked = len(server.calls)
        with pytest.raises(ValueError, match=f"holds samples with {words}; choose another output"):
            evaluation(server, path, settings=replace(SETTINGS, **change))
    assert len(server.calls) == asked


def test_the_system_prompt_takes_the_place_of_the_tasks_own() -> None:
    with serving(add) as server:
        evaluation(server, system_prompt="Be brief.", k=1, limit=1).draw()
    assert server.calls[0].body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "0 + 1"},
    ]
    own = [{"role": "system", "content": "x"}, {"role": "user", "content": "y"}]
    row = {"prompt": own, "problem_id": "p"}
    (prompt,) = load_problems([row], "test", verify=verify, system_prompt="").prompts
    assert prompt == own[1:] and row["prompt"] == own
    with pytest.raises(ValueError, match="prompts are plain text"):
        load_problems([{"prompt": "y"}], "test", verify=verify, system_prompt="x")
