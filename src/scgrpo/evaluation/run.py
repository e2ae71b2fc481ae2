"""Sample a model on a task and score it: the records behind Avg@k and Pass@k."""

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from scgrpo.evaluation.engines.base import (
    BATCH_TOKENS,
    Completion,
    Engine,
    EngineError,
    Failed,
    Request,
    Sampling,
)
from scgrpo.evaluation.episodes import play_episodes
from scgrpo.evaluation.problems import Problems, Sample, Settings, Verify, load_problems
from scgrpo.evaluation.records import Record
from scgrpo.evaluation.sample_seeds import sample_seed
from scgrpo.evaluation.scoring import score
from scgrpo.evaluation.store import FileStore, Key, MemoryStore, Store

Progress = Callable[[int, int], None]


class IncompleteError(EngineError):
    """Samples that could not be had; those that could are kept."""


def evaluate(
    model: Any,
    tokenizer: Any,
    task_or_rows: Any,
    *,
    k: int = 8,
    temperature: float = Sampling.temperature,
    top_p: float = Sampling.top_p,
    top_k: int = Sampling.top_k,
    min_p: float = Sampling.min_p,
    repetition_penalty: float = Sampling.repetition_penalty,
    max_new_tokens: int = 256,
    batch_tokens: int = BATCH_TOKENS,
    seed: int = 0,
    split: str = "heldout",
    verify: Verify | None = None,
    limit: int | None = None,
    step: int = 0,
    model_name: str = "",
    output: Path | None = None,
    progress: Progress | None = None,
    token: Callable[[int], None] = lambda place: None,
    template_options: Mapping[str, Any] | None = None,
) -> list[Record]:
    """k scored samples for each problem, in the order of the rows, from a model in memory.

    The samples depend on the model, the rows and the seed only: not on `batch_tokens`, not on the
    caller's random state, which is left as it was, as are the model's training flags.

    Args:
        model: causal language model, in memory, as `transformers` loads or TRL trains it.
        tokenizer: its tokenizer.
        task_or_rows: a `Task`, or rows with a column `prompt` (messages or text), the columns that
            `verify` needs, and best a `problem_id` (else the row's number). A task that is played
            in an environment (`EpisodeTask`) is played, one episode a sample.
        k: samples of each problem.
        temperature: of the sampling; 0 takes the most likely token.
        top_p: share of the probability from which is drawn, the most likely tokens first.
        top_k: most likely tokens from which is drawn; 0 for all.
        min_p: least probability of a token, as a share of the likeliest one's.
        repetition_penalty: of tokens that stood before, in the prompt too; 1 for none.
        max_new_tokens: longest completion; shorter where the model's context ends.
        batch_tokens: padded tokens of one generation batch, prompt and completion.
        seed: seed of the samples.
        split: split of the task, and the name of the split in the records.
        verify: scores completions as a TRL reward function does; the task's own by default.
        limit: only the first so many rows.
        step: training step, for the records.
        model_name: name of the model, for the records.
        output: JSON lines file, which may hold other splits too; samples that it or its `.partial`
            holds are not drawn again.
        progress: called with (samples done, samples in all) after each batch.
        token: called with the place of each token, from 1, that the samples of a batch get.
        template_options: further arguments of the chat template, such as enable_thinking.

    Returns:
        Records {step, split, problem_id, sample, reward, completion, tokens, ...}.

    Raises:
        ValueError: for rows, settings or a file that cannot work, before anything is generated.
    """
    from scgrpo.evaluation.engines.transformers_engine import TransformersEngine

    problems = load_problems(task_or_rows, split, verify=verify, limit=limit)
    settings = Settings(
        split, seed, temperature, max_new_tokens, top_p, model=model_name, step=step,
        template_options=template_options or None, max_turns=problems.turns,
        **Sampling(
            top_k=top_k, min_p=min_p, repetition_penalty=repetition_penalty
        ).uncommon,
    )  # fmt: skip
    evaluation = Evaluation(
        problems, settings, k, output, lambda: TransformersEngine(
            model, tokenizer, batch_tokens=batch_tokens, told=token
        )
    )  # fmt: skip
    evaluation.draw(progress)
    return list(evaluation.records())


@dataclass
class Evaluation:
    """k samples of each problem: what is known of them, and how the rest is drawn.

    Args:
        problems: what is evaluated on.
        settings: what the samples depend on.
        k: samples of each problem.
        output: JSON lines file; None keeps the records in memory.
        engine: makes what draws; not called where nothing is missing.
        parallel_episodes: episodes at once, for tasks that are played.
        notes: further columns of the new records, which a resumed run may have otherwise.

    Raises:
        ValueError: for settings or a file that cannot work.
    """

    problems: Problems
    settings: Settings
    k: int
    output: Path | None
    engine: Callable[[], Engine]
    parallel_episodes: int = 64
    notes: Mapping[str, Any] = field(default_factory=dict)
    store: Store = field(init=False)
    samples: list[Sample] = field(init=False)

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ValueError(f"k is {self.k}; it must be at least 1.")
        self.sampling = self.settings.sampling
        self.samples = self.problems.samples(self.settings.split, self.k)
        self.store = MemoryStore()
        if self.output is not None:
            place = self.output
            self.store = FileStore(place, lambda r: self.settings.refuse_others(r, place))

    @property
    def missing(self) -> list[Sample]:
        """Samples that are not known yet."""
        return [sample for sample in self.samples if sample.key not in self.store.scores]

    def scores(self) -> list[Record]:
        """Rewards and lengths of all samples, by row and sample, without the texts."""
        return [self.store.scores[sample.key] for sample in self.samples]

    def records(self) -> Iterator[Record]:
        """All samples whole, by row and sample."""
        return self.store.read(sample.key for sample in self.samples)

    def draw(
        self,
        progress: Progress | None = None,
        observe: Callable[[list[Record]], None] = lambda records: None,
    ) -> None:
        """Draw and score what is missing.

        Args:
            progress: called with (samples done, samples in all) after each batch.
            observe: called with the new records of each batch.

        Raises:
            ValueError: for prompts that the engine cannot take, before anything is drawn.
            EngineError: where it is out of reach.
            IncompleteError: where samples are missing in the end.
        """
        missing = self.missing
        try:
            reason = self._draw(missing, progress, observe) if missing else ""
            if self.missing:
                raise IncompleteError(self._what_is_missing(reason))
            if missing or self.store.interrupted:
                self.store.finish(self._order())
        finally:
            self.store.close()

    def _draw(
        self,
        missing: list[Sample],
        progress: Progress | None,
        observe: Callable[[list[Record]], None],
    ) -> str:
        """Draw what can be had; what the last request that failed said."""
        engine = self.engine()
        versions = {"scgrpo": version("scgrpo")} | engine.versions()
        batches = self._batches(engine, missing, {**self.notes, "versions": versions})
        reason, drawn = "", 0
        try:
            for records, failed in batches:
                if records:
                    self.store.append(records)
                drawn += len(records)
                reason = failed or reason
                observe(records)
                if progress and records:
                    progress(len(self.samples) - len(missing) + drawn, len(self.samples))
        except EngineError as error:
            if not drawn:
                raise
            return str(error)
        finally:
            batches.close()
        return reason

    def _batches(
        self, engine: Engine, missing: list[Sample], provenance: Mapping[str, Any]
    ) -> Generator[tuple[list[Record], str], None, None]:
        """New records, batch by batch, and what a failed request of the batch said."""
        if self.problems.environment is not None:
            yield from play_episodes(
                engine, self.problems, self.settings, self.sampling, missing, provenance,
                parallel=self.parallel_episodes,
            )  # fmt: skip
            return
        seed = self.settings.seed
        requests = [
            Request(self.problems.prompts[s.row], sample_seed(seed, *s.key[1:]), s.label)
            for s in missing
        ]
        engine.check(requests, self.sampling)
        for results in engine.generate(requests, self.sampling):
            drawn = [(missing[i], c) for i, c in results if isinstance(c, Completion)]
            failures = [c.reason for _, c in results if isinstance(c, Failed)]
            records = score(drawn, self.problems, self.settings, provenance) if drawn else []
            yield records, (failures or [""])[-1]

    def _what_is_missing(self, reason: str) -> str:
        count, total = len(self.missing), len(self.samples)
        kept = f"; the others are kept in {self.output}.partial" if self.output else ""
        return (
            f"{count} of {total} samples are missing, since requests failed, the last with: "
            f"{reason.rstrip('.')}{kept if count < total else ''}; the same command draws only "
            "what is missing."
        )

    def _order(self) -> list[Key]:
        """Other splits as they stood, then this one by row and sample."""
        place = {problem: number for number, problem in enumerate(self.problems.ids)}
        split, end = self.settings.split, len(self.problems.ids)
        others = [key for key in self.store.scores if key[0] != split]
        mine = [key for key in self.store.scores if key[0] == split]
        return others + sorted(mine, key=lambda key: (place.get(key[1], end), *key[1:]))
