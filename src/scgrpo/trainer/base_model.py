"""The tiny base model: trained from scratch on the synthetic task's corpus, by one command."""

import json
import math
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedTokenizerBase, Qwen3Config, Qwen3ForCausalLM, set_seed

from scgrpo.tasks.synthetic.corpus import CorpusOptions, draw_conversation
from scgrpo.tasks.synthetic.task import SyntheticOptions
from scgrpo.tasks.synthetic.tokenizer import build_tokenizer

STEPS, BATCH = 1800, 64
CLEAN_SHARE = 0.6
"""Share of the steps on solutions without errors and wording, which teach addition quickly."""
POOL = 8
"""Batches drawn at a time and sorted by length, so that little is padded."""

LEARNING_RATE, WARMUP_STEPS = 3e-3, 100
IGNORED = -100

Progress = Callable[[int, int, float], None]
"""Called with (steps done, steps in all, loss in nats per token)."""


def build_base(
    output: Path,
    options: SyntheticOptions | None = None,
    corpus: CorpusOptions | None = None,
    *,
    steps: int = STEPS,
    seed: int = 0,
    width: int = 96,
    layers: int = 3,
    progress: Progress | None = None,
) -> Path:
    """Train a base from scratch; the same arguments on the same machine give the same weights.

    Args:
        output: folder for the model and its tokenizer.
        options: the task's dials.
        corpus: how the corpus is written.
        steps: optimizer steps of `BATCH` conversations.
        seed: seed of weights and corpus.
        width: hidden size.
        layers: number of layers.
        progress: told about every step.

    Returns:
        The folder, as `from_pretrained` reads it.
    """
    options, corpus = options or SyntheticOptions(), corpus or CorpusOptions()
    set_seed(seed)
    tokenizer = build_tokenizer()
    model = _new_model(tokenizer, width, layers)
    rng, started = random.Random(seed), time.monotonic()
    optimizer = torch.optim.AdamW(
        model.parameters(), LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.01
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps))
    clean = _batches(tokenizer, rng, replace(options, routine=0.0), CorpusOptions.without_errors())
    noisy = _batches(tokenizer, rng, options, corpus)
    for step in range(steps):
        loss = _loss(model, *next(clean if step < CLEAN_SHARE * steps else noisy))
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
        "steps": steps,
        "seed": seed,
        "minutes": round((time.monotonic() - started) / 60, 1),
    }
    recipe = {"task": asdict(options), "corpus": asdict(corpus), "training": made}
    (output / "recipe.json").write_text(json.dumps(recipe, indent=2) + "\n")
    return output


def _new_model(tokenizer: PreTrainedTokenizerBase, width: int, layers: int) -> Qwen3ForCausalLM:
    heads = 4
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=3 * width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        head_dim=width // heads,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    return Qwen3ForCausalLM(config)


def _rate(step: int, steps: int) -> float:
    """Linear warm-up, then a cosine down to a twentieth."""
    warmup = min(1.0, (step + 1) / WARMUP_STEPS)
    return warmup * (0.05 + 0.95 * (1 + math.cos(math.pi * step / steps)) / 2)


def _batches(
    tokenizer: PreTrainedTokenizerBase,
    rng: random.Random,
    options: SyntheticOptions,
    corpus: CorpusOptions,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Token ids and labels `(B, L)` without end; only solutions are learned."""
    while True:
        drawn = [draw_conversation(rng, options, corpus) for _ in range(POOL * BATCH)]
        examples = sorted((_example(tokenizer, *pair) for pair in drawn), key=lambda e: len(e[0]))
        pool = [examples[start : start + BATCH] for start in range(0, len(examples), BATCH)]
        rng.shuffle(pool)
        for batch in pool:
            ids, labels = zip(*batch, strict=True)
            padding = float(tokenizer.pad_token_id)
            yield pad_sequence(ids, True, padding), pad_sequence(labels, True, float(IGNORED))


def _example(
    tokenizer: PreTrainedTokenizerBase, prompt: Any, solution: str
) -> tuple[Tensor, Tensor]:
    text = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, tokenize=False)
    prompt_ids = tokenizer(text)["input_ids"]
    solution_ids = [*tokenizer(solution)["input_ids"], tokenizer.eos_token_id]
    labels = [IGNORED] * len(prompt_ids) + solution_ids
    return torch.tensor([*prompt_ids, *solution_ids]), torch.tensor(labels)


def _loss(model: Qwen3ForCausalLM, ids: Tensor, labels: Tensor) -> Tensor:
    loss: Tensor = model(input_ids=ids, labels=labels).loss
    return loss
