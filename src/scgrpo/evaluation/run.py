"""Sample a model on a task and score it: the records behind Avg@k and Pass@k."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scgrpo.evaluation.records import Record, RecordFile
from scgrpo.evaluation.sampling import inference_state, sample_completions, stop_tokens, uniforms

Verify = Callable[..., Sequence[float | None]]
Progress = Callable[[int, int], None]
_Key = tuple[str, str, int]


@dataclass(frozen=True)
class _Sample:
    row: int
    problem_id: str
    index: int

    split: str

    @property
    def key(self) -> "_Key":
        return self.split, self.problem_id, self.index


@dataclass(frozen=True)
class _Settings:
    """What the samples depend on, written into each record."""

    model: str
    step: int
    split: str
    seed: int
    temperature: float
    max_new_tokens: int


def evaluate(
    model: Any,
    tokenizer: Any,
    task_or_rows: Any,
    *,
    k: int = 8,
    temperature: float = 1.0,
    max_new_tokens: int = 256,
    batch_tokens: int = 16384,
    seed: int = 0,
    split: str = "heldout",
    verify: Verify | None = None,
    limit: int | None = None,
    step: int = 0,
    model_name: str = "",
    output: Path | None = None,
    progress: Progress | None = None,
    template_options: Mapping[str, Any] | None = None,
) -> list[Record]:
    """k scored samples for each problem, in the order of the rows.

    The samples depend on the model, the rows and the seed only: not on `batch_tokens`, not on the
    caller's random state, which is left as it was, as are the model's training flags.

    Args:
        model: causal language model, in memory, as `transformers` loads or TRL trains it.
        tokenizer: its tokenizer.
        task_or_rows: a `Task`, or rows with a column `prompt` (messages or text), the columns that
            `verify` needs, and best a `problem_id` (else the row's number).
        k: samples of each problem.
        temperature: of the sampling; 0 takes the most likely token.
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
        template_options: further arguments of the chat template, such as enable_thinking.

    Returns:
        Records {step, split, problem_id, sample, reward, completion, tokens, ...}.

    Raises:
        ValueError: for rows, settings or a file that cannot work, before anything is generated.
    """
    rows, verify = _rows_and_verifier(task_or_rows, split, verify, limit)
    settings = _Settings(model_name, step, split, seed, temperature, max_new_tokens)
    _check_settings(settings, k, batch_tokens)
    problem_ids = _problem_ids(rows)
    prompt_ids = [_render(tokenizer, row["prompt"], template_options or {}) for row in rows]
    context = _context_length(model)
    _check_lengths(prompt_ids, problem_ids, context)
    samples = [_Sample(r, p, i, split) for r, p in enumerate(problem_ids) for i in range(k)]
    file = RecordFile(output) if output is not None else None
    known = {_key(r): r for r in file.load()} if file else {}
    _check_same_settings(known.values(), settings, output)
    missing = [s for s in samples if s.key not in known]
    sampler = _Sampler(model, tokenizer, prompt_ids, settings, context)
    with inference_state(model):
        for batch in _batches(missing, prompt_ids, max_new_tokens, batch_tokens):
            records = _score(batch, sampler.draw(batch), rows, verify, settings)
            known |= {_key(record): record for record in records}
            if file:
                file.append(records)
            if progress:
                progress(sum(s.key in known for s in samples), len(samples))
    if file and (missing or file.partial.exists() or not file.path.exists()):
        file.finish(_in_order(known, split, problem_ids))
    return [known[s.key] for s in samples]


class _Sampler:
    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        prompt_ids: list[list[int]],
        settings: _Settings,
        context: int | None,
    ) -> None:
        self.model, self.tokenizer, self.prompt_ids = model, tokenizer, prompt_ids
        self.settings, self.context = settings, context
        self.stops = stop_tokens(model, tokenizer)
        pad = tokenizer.pad_token_id
        self.pad = pad if pad is not None else (self.stops or [0])[0]

    def draw(self, batch: list[_Sample]) -> list[tuple[str, int]]:
        """Text and number of tokens of each sample."""
        prompts = [self.prompt_ids[sample.row] for sample in batch]
        room = self.settings.max_new_tokens
        if self.context is not None:
            room = min(room, self.context - max(map(len, prompts)))
        seed = self.settings.seed
        completions = sample_completions(
            self.model,
            prompts,
            np.stack([uniforms(seed, s.problem_id, s.index, room) for s in batch]),
            temperature=self.settings.temperature,
            pad=self.pad,
            stops=self.stops,
        )
        texts = self.tokenizer.batch_decode(completions, skip_special_tokens=True)
        return list(zip(texts, map(len, completions), strict=True))


def _score(
    batch: list[_Sample],
    drawn: list[tuple[str, int]],
    rows: list[dict[str, Any]],
    verify: Verify,
    settings: _Settings,
) -> list[Record]:
    mine = [rows[sample.row] for sample in batch]
    columns = {name: [row.get(name) for row in mine] for name in mine[0]}
    texts = [text for text, _ in drawn]
    conversational = not isinstance(mine[0]["prompt"], str)
    completions = [[{"role": "assistant", "content": t}] for t in texts]
    prompts = columns.pop("prompt")
    rewards = verify(
        prompts=prompts, completions=completions if conversational else texts, **columns
    )
    if len(rewards) != len(batch):
        raise ValueError(
            f"the verifier returned {len(rewards)} rewards for {len(batch)} completions; it must "
            "return exactly one per completion."
        )
    return [
        {
            "step": settings.step,
            "split": settings.split,
            "problem_id": sample.problem_id,
            "sample": sample.index,
            "reward": None if reward is None else float(reward),
            "completion": text,
            "tokens": tokens,
            "model": settings.model,
            "seed": settings.seed,
            "temperature": settings.temperature,
            "max_new_tokens": settings.max_new_tokens,
        }
        for sample, (text, tokens), reward in zip(batch, drawn, rewards, strict=True)
    ]


def _batches(
    samples: list[_Sample], prompt_ids: list[list[int]], max_new_tokens: int, batch_tokens: int
) -> Iterator[list[_Sample]]:
    """Longest prompts first, so that a batch which does not fit fails at once."""
    batch: list[_Sample] = []
    width = 0
    for sample in sorted(samples, key=lambda s: -len(prompt_ids[s.row])):
        width = width or len(prompt_ids[sample.row]) + max_new_tokens
        if batch and (len(batch) + 1) * width > batch_tokens:
            yield batch
            batch, width = [], len(prompt_ids[sample.row]) + max_new_tokens
        batch.append(sample)
    if batch:
        yield batch


def _rows_and_verifier(
    task_or_rows: Any, split: str, verify: Verify | None, limit: int | None
) -> tuple[list[dict[str, Any]], Verify]:
    source = task_or_rows
    if hasattr(source, "rows") and hasattr(source, "verify"):
        verify = verify or source.verify
        source = source.rows(split)
    if verify is None:
        raise ValueError("rows were given without a verifier; pass verify=..., or a task.")
    rows = [dict(source[i]) for i in range(min(len(source), limit or len(source)))]
    if not rows:
        raise ValueError(f"split {split!r} has no rows to evaluate; check the split and its data.")
    for number, row in enumerate(rows):
        if not row.get("prompt"):
            raise ValueError(f"row {number} of split {split!r} has no prompt; add one.")
    return rows, verify


def _problem_ids(rows: list[dict[str, Any]]) -> list[str]:
    ids = [str(row.get("problem_id", number)) for number, row in enumerate(rows)]
    if len(set(ids)) < len(ids):
        twice = next(p for place, p in enumerate(ids) if p in ids[:place])
        raise ValueError(f"problem_id {twice!r} occurs twice; give every problem its own.")
    return ids


def _render(tokenizer: Any, prompt: Any, options: Mapping[str, Any]) -> list[int]:
    if isinstance(prompt, str):
        return list(tokenizer(prompt)["input_ids"])
    if not (tokenizer.chat_template or options.get("chat_template")):
        raise ValueError(
            "the prompts are conversations, but the tokenizer "
            f"({tokenizer.name_or_path or type(tokenizer).__name__}) has no chat template; set "
            "tokenizer.chat_template, or give the prompts as plain text."
        )
    rendered = tokenizer.apply_chat_template(
        prompt, add_generation_prompt=True, tokenize=True, return_dict=True, **options
    )
    return list(rendered["input_ids"])


def _context_length(model: Any) -> int | None:
    return getattr(model.config.get_text_config(), "max_position_embeddings", None)


def _check_lengths(prompts: list[list[int]], problem_ids: list[str], context: int | None) -> None:
    for prompt, problem in zip(prompts, problem_ids, strict=True):
        if context is not None and len(prompt) >= context:
            raise ValueError(
                f"the prompt of problem {problem!r} has {len(prompt)} tokens, but the model's "
                f"context is {context}, which leaves no room for a completion; leave such "
                "problems out or use a model with a longer context."
            )


def _check_settings(settings: _Settings, k: int, batch_tokens: int) -> None:
    smallest = {"k": k, "max_new_tokens": settings.max_new_tokens, "batch_tokens": batch_tokens}
    for name, value in smallest.items():
        if value < 1:
            raise ValueError(f"{name} is {value}; it must be at least 1.")
    if settings.temperature < 0:
        raise ValueError(
            f"temperature is {settings.temperature}; it must be at least 0 (0 takes the most "
            "likely token)."
        )


def _check_same_settings(known: Iterable[Record], settings: _Settings, output: Path | None) -> None:
    for record in known:
        for name, wanted in vars(settings).items():
            mine = record.get("split", settings.split) == settings.split
            if mine and record.get(name, wanted) != wanted:
                raise ValueError(
                    f"{output} holds samples with {name} {record[name]!r}, not {wanted!r}; choose "
                    "another output, or delete it."
                )


def _key(record: Record) -> _Key:
    return str(record["split"]), str(record["problem_id"]), int(record["sample"])


def _in_order(known: dict[_Key, Record], split: str, problem_ids: list[str]) -> list[Record]:
    """Other splits as they stood, then this one by row and sample."""
    place = {problem: number for number, problem in enumerate(problem_ids)}
    others = [record for key, record in known.items() if key[0] != split]
    mine = [record for key, record in known.items() if key[0] == split]
    mine.sort(key=lambda record: (place.get(_key(record)[1], len(place)), *_key(record)[1:]))
    return others + mine
