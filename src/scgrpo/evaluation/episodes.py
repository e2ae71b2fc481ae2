"""Evaluation of tasks that are played: k episodes of each problem, all turns through one engine."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scgrpo.evaluation.engines.base import (
    Completion,
    Engine,
    EngineError,
    Request,
    Sampling,
)
from scgrpo.evaluation.problems import Problems, Sample, Settings
from scgrpo.evaluation.records import Record
from scgrpo.evaluation.sample_seeds import sample_seed
from scgrpo.evaluation.scoring import record_of
from scgrpo.tasks.episodes import TextEnvironment, opening


@dataclass
class _Play:
    """An episode under way."""

    sample: Sample
    environment: TextEnvironment
    messages: list[dict[str, Any]]
    reward: float = 0.0
    turns: int = 0
    tokens: int = 0
    """Tokens that the model wrote so far."""
    seconds: float = 0.0
    finish_reason: str = ""
    """Why it ended; empty while it goes on."""
    turn_tokens: list[int | None] = field(default_factory=list)

    def room(self, settings: Settings) -> int:
        """Tokens that the next turn may have."""
        if settings.max_episode_tokens is None:
            return settings.max_new_tokens
        return min(settings.max_new_tokens, settings.max_episode_tokens - self.tokens)

    def take_turn(self, completion: Completion, settings: Settings) -> None:
        """What the model wrote, what the world says to it, and whether that was the end."""
        step = self.environment.step(completion.text)
        self.messages.append({"role": "assistant", "content": completion.text})
        self.reward, self.turns = step.reward, self.turns + 1
        self.tokens += completion.tokens or 0
        self.turn_tokens.append(completion.tokens)
        self.seconds += completion.seconds
        if step.done:
            self.finish_reason = "done"
        elif settings.max_turns is not None and self.turns >= settings.max_turns:
            self.finish_reason = "turns"
        elif self.room(settings) < 1:
            self.finish_reason = "length"
        else:
            self.messages.append({"role": "user", "content": step.observation})


def play_episodes(
    engine: Engine,
    problems: Problems,
    settings: Settings,
    sampling: Sampling,
    missing: Sequence[Sample],
    provenance: Mapping[str, Any],
    *,
    parallel: int = 64,
) -> Iterator[tuple[list[Record], str]]:
    """Play an episode for each sample; all that are under way take their next turn in one batch.

    An episode ends when the environment says so, at the limit of turns or of tokens, or where the
    transcript fills the model's context; its reward is then that of its last step. A turn that the
    engine could not draw leaves the whole episode missing.

    Args:
        engine: what writes the turns.
        problems: rows and what makes the environments.
        settings: limits and seed.
        sampling: how a turn is drawn.
        missing: episodes to play.
        provenance: further columns of the records.
        parallel: episodes under way at once.

    Yields:
        Records of the episodes that a turn ended, and what a failed request said.

    Raises:
        EngineError: where the engine cannot go on.
    """
    waiting = deque(missing)
    under_way: list[_Play] = []
    checked = False
    try:
        while waiting or under_way:
            while waiting and len(under_way) < parallel:
                under_way.append(_begin(problems, waiting.popleft()))
            requests = [_next_turn(play, settings) for play in under_way]
            if not checked:
                engine.check(requests, sampling)
                checked = True
            reason = _take_turns(engine, under_way, requests, sampling, settings)
            ended = [play for play in under_way if play.finish_reason]
            under_way = [play for play in under_way if not play.finish_reason]
            for play in ended:
                play.environment.close()
            whole = [play for play in ended if play.finish_reason != "failed"]
            yield [_record(play, settings, provenance) for play in whole], reason
    finally:
        for play in under_way:
            play.environment.close()


def _begin(problems: Problems, sample: Sample) -> _Play:
    assert problems.environment is not None
    row = problems.row(sample.row)
    if isinstance(row["prompt"], str):
        raise ValueError(
            f"the prompt of {sample.label} is plain text; an episode needs chat messages."
        )
    environment = problems.environment()
    return _Play(sample, environment, opening(row["prompt"], environment.reset(row)))


def _next_turn(play: _Play, settings: Settings) -> Request:
    sample = play.sample
    seed = sample_seed(settings.seed, sample.problem_id, sample.index, play.turns)
    # A copy, since the transcript grows while a request may still be under way.
    return Request(list(play.messages), seed, sample.label, play.room(settings))


def _take_turns(
    engine: Engine,
    under_way: list[_Play],
    requests: list[Request],
    sampling: Sampling,
    settings: Settings,
) -> str:
    """One turn of each episode; what a failed request said."""
    reason, drawn = "", set()
    results = engine.generate(requests, sampling)
    try:
        for batch in results:
            for place, result in batch:
                drawn.add(place)
                if isinstance(result, Completion):
                    under_way[place].take_turn(result, settings)
                elif result.no_room and under_way[place].turns:
                    under_way[place].finish_reason = "context"
                else:
                    under_way[place].finish_reason, reason = "failed", result.reason
    finally:
        results.close()  # type: ignore[attr-defined]
    if len(drawn) < len(requests):
        raise EngineError(
            f"the {engine.name} engine returned {len(drawn)} of {len(requests)} turns."
        )
    return reason


def _record(play: _Play, settings: Settings, provenance: Mapping[str, Any]) -> Record:
    return record_of(
        play.sample,
        play.reward,
        settings,
        provenance,
        tokens=None if None in play.turn_tokens else play.tokens,
        seconds=play.seconds,
        messages=play.messages,
        turns=play.turns,
        turn_tokens=play.turn_tokens,
        finish_reason=play.finish_reason,
    )
