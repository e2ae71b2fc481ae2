"""From completions to records: the verifier's rewards and how each sample came about."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from scgrpo.evaluation.engines.base import Completion
from scgrpo.evaluation.problems import Problems, Sample, Settings
from scgrpo.evaluation.records import Record
from scgrpo.evaluation.sample_seeds import sample_seed, short_seed


def score(
    drawn: Sequence[tuple[Sample, Completion]],
    problems: Problems,
    settings: Settings,
    provenance: Mapping[str, Any],
) -> list[Record]:
    """Records of completions, verified together.

    Args:
        drawn: samples and what was written for them.
        problems: their rows and verifier.
        settings: what they were drawn with.
        provenance: further columns, such as versions.

    Raises:
        ValueError: where the verifier does not return one reward for each.
    """
    assert problems.verify is not None
    mine = [problems.row(sample.row) for sample, _ in drawn]
    columns = {name: [row.get(name) for row in mine] for name in mine[0]}
    texts = [completion.text for _, completion in drawn]
    conversational = not isinstance(mine[0]["prompt"], str)
    completions: list[Any] = (
        [[{"role": "assistant", "content": text}] for text in texts] if conversational else texts
    )
    prompts = columns.pop("prompt")
    rewards = problems.verify(prompts=prompts, completions=completions, **columns)
    if len(rewards) != len(drawn):
        raise ValueError(
            f"the verifier returned {len(rewards)} rewards for {len(drawn)} completions; it must "
            "return exactly one per completion."
        )
    return [
        record_of(
            sample,
            reward,
            settings,
            provenance,
            completion=completion.text,
            tokens=completion.tokens,
            finish_reason=completion.finish_reason,
            seconds=completion.seconds,
            reasoning=completion.reasoning,
        )
        for (sample, completion), reward in zip(drawn, rewards, strict=True)
    ]


def record_of(
    sample: Sample,
    reward: float | None,
    settings: Settings,
    provenance: Mapping[str, Any],
    *,
    tokens: int | None,
    seconds: float,
    **outcome: Any,
) -> Record:
    """One record: the sample, its reward, what was written, and how it came about."""
    return {
        "step": settings.step,
        "split": sample.split,
        "problem_id": sample.problem_id,
        "sample": sample.index,
        "reward": None if reward is None else float(reward),
        "tokens": tokens,
        **{name: value for name, value in outcome.items() if value is not None},
        "sample_seed": short_seed(sample_seed(settings.seed, sample.problem_id, sample.index)),
        "seconds": round(seconds, 3),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        **settings.record(),
        **provenance,
    }
