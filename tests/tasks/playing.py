"""Episodes by a function that writes the turns, played as evaluation plays them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scgrpo.evaluation.engines.base import Completion, Failed, Request, Sampling
from scgrpo.evaluation.episodes import play_episodes
from scgrpo.evaluation.problems import Problems, Settings
from scgrpo.tasks.episodes import TextEnvironment

Respond = Callable[[list[Any]], list[str | None]]
"""Writes the next turn of each conversation; None where there is no room for one."""


@dataclass(frozen=True)
class Episode:
    """An episode as it went."""

    messages: list[dict[str, str]]
    reward: float
    done: bool
    """Whether the environment ended it, and not the limit of turns."""
    turns: int


class FunctionEngine:
    """An engine whose turns a function writes."""

    name = "function"

    def __init__(self, respond: Respond) -> None:
        self.respond = respond

    def versions(self) -> dict[str, str]:
        return {}

    def check(self, requests: Sequence[Request], sampling: Sampling) -> None:
        pass

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Any]:
        written = self.respond([request.prompt for request in requests])
        for place, text in enumerate(written):
            if text is None:
                yield [(place, Failed("full", no_room=True))]
            else:
                yield [(place, Completion(text, 1, "stop", 0.0))]


def play(
    make_environment: Callable[[], TextEnvironment],
    rows: Sequence[Mapping[str, Any]],
    respond: Respond,
    *,
    max_turns: int,
) -> list[Episode]:
    """The episodes of the rows, in their order, without those that had no room for a turn."""
    ids = [str(number) for number in range(len(rows))]
    problems = Problems(rows, [row["prompt"] for row in rows], ids, None, make_environment)
    settings = Settings("test", 0, 1.0, 50, max_turns=max_turns)
    samples = problems.samples("test", 1)
    engine = FunctionEngine(respond)
    turns = play_episodes(engine, problems, settings, Sampling(), samples, {})
    records = [record for ended, _ in turns for record in ended]
    return [
        Episode(r["messages"], r["reward"], r["finish_reason"] == "done", r["turns"])
        for r in sorted(records, key=lambda record: int(record["problem_id"]))
    ]
