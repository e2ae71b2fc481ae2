"""A task of several turns, and an engine that plays it by rules, for the tests of evaluation."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from scgrpo.evaluation.engines.base import Completion, Failed, Request, Sampling
from scgrpo.tasks.base import Validation
from scgrpo.tasks.episodes import Step

SYSTEM = {"role": "system", "content": "Count down, then stop."}


class Countdown:
    """Counts down from a number at each `next`; the reward is 1 for `stop` at zero."""

    open = 0
    """Environments that were not given back."""

    def reset(self, row: Any) -> str:
        type(self).open += 1
        self.left = int(row["start"])
        return f"at {self.left}"

    def step(self, action: str) -> Step:
        if action == "stop":
            return Step("stopped", float(self.left == 0), True)
        self.left -= 1
        return Step(f"at {self.left}", 0.1, False)

    def close(self) -> None:
        type(self).open -= 1


class CountingTask:
    """One problem for each start."""

    name, guide = "counting", "math"
    evaluation_splits = ("test",)
    text_environment = Countdown

    def __init__(self, *starts: int, max_turns: int = 6) -> None:
        self.starts, self.max_turns = starts, max_turns

    def rows(self, split: str) -> list[dict[str, Any]]:
        prompt = [SYSTEM, {"role": "user", "content": "You are "}]
        return [{"prompt": prompt, "problem_id": f"p{s}", "start": s} for s in self.starts]

    def verify(self, completions: list[Any], **_: Any) -> list[float]:
        raise AssertionError("episodes are scored by their environment")

    def validate(self, split: str | None = None, limit: int | None = None) -> Validation:
        return Validation(1, 1, 1)


Answer = Callable[[Request], Completion | Failed]


class RuleEngine:
    """Answers by a function of the request, and keeps what it was asked."""

    name = "rules"

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.batches: list[list[Request]] = []

    def versions(self) -> dict[str, str]:
        return {"rules": "1"}

    def check(self, requests: Sequence[Request], sampling: Sampling) -> None:
        pass

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Any]:
        self.batches.append(list(requests))
        for place, request in reversed(list(enumerate(requests))):  # results come in any order
            yield [(place, self.answer(request))]


def say(text: str, tokens: int = 1) -> Completion:
    return Completion(text, tokens, "stop", 0.5)


def count_down(request: Request) -> Completion:
    """The play that wins."""
    return say("stop" if request.prompt[-1]["content"].endswith("at 0") else "next")  # type: ignore[index,call-overload]
