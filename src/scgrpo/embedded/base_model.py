"""The tiny base models: trained from scratch on an embedded task's corpus, by one command."""

import json
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedTokenizerBase, Qwen3Config, Qwen3ForCausalLM, set_seed

from scgrpo.embedded.loading import load_policy
from scgrpo.embedded.lookup import corpus as lookup
from scgrpo.embedded.lookup import tokenizer as lookup_tokenizer
from scgrpo.embedded.request import BaseRequest
from scgrpo.embedded.synthetic import corpus as synthetic
from scgrpo.embedded.synthetic import tokenizer as synthetic_tokenizer
from scgrpo.files import write_atomically
from scgrpo.mistakes import ConfigError, require_ranges
from scgrpo.tasks.lookup.task import LookupOptions
from scgrpo.tasks.synthetic.task import SyntheticOptions

BATCH, HEADS = 64, 4
CLEAN_SHARE = 0.6
"""Share of the steps on solutions without errors and wording, which teach addition quickly."""
POOL = 8
"""Batches drawn at a time and sorted by length, so that little is padded."""

LEARNING_RATE, WARMUP_STEPS = 3e-3, 100
STARTED_RATE, STARTED_WARMUP = 1.5e-3, 20
"""Of a base that goes on from another, which can add already: it sees no clean part."""
IGNORED = -100

Conversation = tuple[list[dict[str, str]], Sequence[str]]
"""Prompt, and what follows: turns of the model and answers of a tool, one after the other."""

Progress = Callable[[int, int, float], None]
"""Called with (steps done, steps in all, loss in nats per token)."""


@dataclass(frozen=True)
class Subject:
    """What a base model learns, and how it reads."""

    options: type[Any]
    """Dials of the task."""
    corpus: type[Any]
    """How the corpus is written; it has `without_errors`."""
    plain: dict[str, Any]
    """Dials without wording, for the first part of the training."""
    draw: Callable[[random.Random, Any, Any], Conversation]
    build_tokenizer: Callable[[], PreTrainedTokenizerBase]
    steps: int
    """Optimizer steps of the shipped base."""


SUBJECTS = {
    "synthetic": Subject(
        SyntheticOptions,
        synthetic.CorpusOptions,
        {"routine": 0.0},
        synthetic.draw_conversation,
        synthetic_tokenizer.build_tokenizer,
        steps=1800,
    ),
    "lookup": Subject(
        LookupOptions,
        lookup.CorpusOptions,
        {"words": 0},
        lookup.draw_conversation,
        lookup_tokenizer.build_tokenizer,
        steps=1500,
    ),
}
"""Tasks for which there is a corpus."""


def dials(request: BaseRequest) -> tuple[Any, Any]:
    """Options of the task and of its corpus.

    Raises:
        ConfigError: for a task without a corpus, an option that it does not have, a number out of
            its range, or a width that cannot be.
    """
    require_ranges(request)
    if request.task not in SUBJECTS:
        raise ConfigError(
            f"--task is {request.task!r}; a base can be built for {' or '.join(SUBJECTS)}."
        )
    if request.width % (2 * HEADS):
        raise ConfigError(
            f"--width is {request.width}; it must be a multiple of {2 * HEADS} ({HEADS} heads of "
            "even size)."
        )
    subject = SUBJECTS[request.task]
    return (
        _options(subject.options, "task-options", request.task_options),
        _options(subject.corpus, "corpus-options", request.corpus_options),
    )


def _options(kind: type[Any], option: str, values: dict[str, Any]) -> Any:
    try:
        return kind(**values)
    except TypeError:
        known = ", ".join(spec.name for spec in fields(kind))
        raise ConfigError(f"--{option} is {values}; it may set {known}.") from None


def build_base(
    output: Path,
    options: Any = None,
    corpus: Any = None,
    *,
    task: str = BaseRequest.task,
    steps: int | None = None,
    seed: int = BaseRequest.seed,
    width: int = BaseRequest.width,
    layers: int = BaseRequest.layers,
    start: str | None = None,
    progress: Progress | None = None,
) -> Path:
    """Train a base from scratch; the same arguments on the same machine give the same weights.

    Args:
        output: folder for the model and its tokenizer.
        options: the task's dials, its defaults by default.
        corpus: how the corpus is written, its defaults by default.
        task: one of `SUBJECTS`.
        steps: optimizer steps of `BATCH` conversations, those of the shipped base by default.
        seed: seed of weights and corpus.
        width: hidden size.
        layers: number of layers.
        start: base to go on from, of the same shape and vocabulary; new weights by default.
        progress: told about every step.

    Returns:
        The folder, as `from_pretrained` reads it.

    Raises:
        ConfigError: for a start of another shape or vocabulary.
    """
    subject = SUBJECTS[task]
    options, corpus = options or subject.options(), corpus or subject.corpus()
    steps = steps or subject.steps
    set_seed(seed)
    tokenizer = subject.build_tokenizer()
    model = _new_model(tokenizer, width, layers)
    if start is not None:
        model.load_state_dict(_start(start, tokenizer, width, layers))
    rng, started = random.Random(seed), time.monotonic()
    rate, warmup, clean_share = LEARNING_RATE, WARMUP_STEPS, CLEAN_SHARE
    if start is not None:
        rate, warmup, clean_share = STARTED_RATE, STARTED_WARMUP, 0.0
    optimizer = torch.optim.AdamW(model.parameters(), rate, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps, warmup))
    plain = replace(options, **subject.plain)

    def clean_conversation() -> Conversation:
        return subject.draw(rng, plain, subject.corpus.without_errors())

    clean = _batches(tokenizer, rng, clean_conversation)
    noisy = _batches(tokenizer, rng, lambda: subject.draw(rng, options, corpus))
    for step in range(steps):
        loss = _loss(model, *next(clean if step < clean_share * steps else noisy))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if progress:
            progress(step + 1, steps, loss.item())
    model.eval().save_pretrained(output)
    tokenizer.save_pretrained(output)
    shape = {"width": width, "layers": layers}
    made = {
        **shape,
        **({} if start is None else {"start": start}),
        "steps": steps,
        "seed": seed,
        "minutes": round((time.monotonic() - started) / 60, 1),
    }
    recipe = {"name": task, "task": asdict(options), "corpus": asdict(corpus), "training": made}
    write_atomically(output / "recipe.json", json.dumps(recipe, indent=2) + "\n")
    return output


def _new_model(tokenizer: PreTrainedTokenizerBase, width: int, layers: int) -> Qwen3ForCausalLM:
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=3 * width,
        num_hidden_layers=layers,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        head_dim=width // HEADS,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    return Qwen3ForCausalLM(config)


def _start(
    name: str, tokenizer: PreTrainedTokenizerBase, width: int, layers: int
) -> dict[str, Tensor]:
    model, own = load_policy(name)
    shape = (model.config.hidden_size, model.config.num_hidden_layers)
    if shape != (width, layers) or own.get_vocab() != tokenizer.get_vocab():
        raise ConfigError(
            f"--start is {name!r}, of width {shape[0]} and {shape[1]} layers; it must have the "
            f"width {width}, {layers} layers and the vocabulary of the task, or be left out."
        )
    return dict(model.state_dict())


def _rate(step: int, steps: int, warmup: int) -> float:
    """Linear warm-up, then a cosine down to a twentieth."""
    risen = min(1.0, (step + 1) / warmup)
    return risen * (0.05 + 0.95 * (1 + math.cos(math.pi * step / steps)) / 2)


def _batches(
    tokenizer: PreTrainedTokenizerBase,
    rng: random.Random,
    draw: Callable[[], Conversation],
) -> Iterator[tuple[Tensor, Tensor]]:
    """Token ids and labels `(B, L)` without end; only what the model writes is learned."""
    while True:
        drawn = [draw() for _ in range(POOL * BATCH)]
        examples = sorted((_example(tokenizer, *pair) for pair in drawn), key=lambda e: len(e[0]))
        pool = [examples[start : start + BATCH] for start in range(0, len(examples), BATCH)]
        rng.shuffle(pool)
        for batch in pool:
            ids, labels = zip(*batch, strict=True)
            padding = float(tokenizer.pad_token_id)
            yield pad_sequence(ids, True, padding), pad_sequence(labels, True, float(IGNORED))


def _example(
    tokenizer: PreTrainedTokenizerBase, prompt: Any, following: Sequence[str]
) -> tuple[Tensor, Tensor]:
    asked = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, tokenize=False)
    ids = list(tokenizer(asked)["input_ids"])
    labels = [IGNORED] * len(ids)
    for place, text in enumerate(following):
        if place % 2 == 0:
            turn = [*tokenizer(text)["input_ids"], tokenizer.eos_token_id]
            ids, labels = ids + turn, labels + turn
        else:
            answer = tokenizer(_answer(tokenizer, text))["input_ids"]
            ids, labels = ids + answer, labels + [IGNORED] * len(answer)
    return torch.tensor(ids), torch.tensor(labels)


def _answer(tokenizer: PreTrainedTokenizerBase, text: str) -> str:
    """A tool's answer as it stands between two turns: the tiny templates have no state."""
    message = {"role": "tool", "content": text}
    rendered = tokenizer.apply_chat_template([message], add_generation_prompt=True, tokenize=False)
    return str(rendered)


def _loss(model: Qwen3ForCausalLM, ids: Tensor, labels: Tensor) -> Tensor:
    loss: Tensor = model(input_ids=ids, labels=labels).loss
    return loss
