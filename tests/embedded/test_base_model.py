"""The shipped bases: standard model folders that solve a part of the problems."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from scgrpo.embedded.base_model import SUBJECTS, build_base
from scgrpo.embedded.shipped import SHIPPED
from scgrpo.evaluation.records import reward_matrix
from scgrpo.evaluation.run import evaluate
from scgrpo.tasks import load_task

each_base = pytest.mark.parametrize(
    ("name", "task"), [("tiny", "synthetic"), ("tiny-agent", "lookup")]
)


@each_base
def test_loads_as_any_model_and_has_the_tokenizer_of_the_task(name, task):
    model = AutoModelForCausalLM.from_pretrained(SHIPPED[name])
    tokenizer = AutoTokenizer.from_pretrained(SHIPPED[name])
    built = SUBJECTS[task].build_tokenizer()
    assert tokenizer.get_vocab() == built.get_vocab()
    assert tokenizer.chat_template == built.chat_template
    assert model.config.vocab_size == len(tokenizer)
    assert sum(p.numel() for p in model.parameters()) < 1_000_000
    assert sum(f.stat().st_size for f in SHIPPED[name].iterdir()) < 2_000_000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "task", "lowest", "highest", "partial"),
    [("tiny", "synthetic", 0.25, 0.45, 0.5), ("tiny-agent", "lookup", 0.12, 0.25, 0.25)],
)
def test_solves_a_part_so_that_all_routes_occur(name, task, lowest, highest, partial):
    model = AutoModelForCausalLM.from_pretrained(SHIPPED[name])
    tokenizer = AutoTokenizer.from_pretrained(SHIPPED[name], padding_side="left")
    task = load_task(task)
    length = task.trainer_defaults["max_completion_length"]
    records = evaluate(model, tokenizer, task, k=8, limit=96, max_new_tokens=length)
    solved = reward_matrix(records)[1].sum(1)
    assert lowest <= np.mean(solved) / 8 <= highest
    assert (solved == 0).any() and ((solved >= 2) & (solved < 8)).mean() > partial


@each_base
def test_recipe_says_how_it_was_made(name, task):
    recipe = json.loads((SHIPPED[name] / "recipe.json").read_text())
    options = asdict(load_task(task).options)
    assert recipe["task"] == {dial: options[dial] for dial in recipe["task"]}
    assert recipe["training"]["steps"] == SUBJECTS[task].steps


@pytest.mark.slow
def test_the_same_recipe_gives_the_same_weights(tmp_path):
    folders = [build_base(tmp_path / name, steps=5) for name in ("a", "b")]
    first, second = (AutoModelForCausalLM.from_pretrained(f).state_dict() for f in folders)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_base_goes_on_from_another(tmp_path):
    """The first step is at 1.5e-3 / 20, so that AdamW moves no weight by more than that."""
    folder = build_base(tmp_path / "on", steps=1, start="tiny")
    first, second = (
        AutoModelForCausalLM.from_pretrained(f).state_dict() for f in (SHIPPED["tiny"], folder)
    )
    moved = max(float((first[name] - second[name]).abs().max()) for name in first)
    assert 1e-6 < moved < 8e-5
    assert json.loads((folder / "recipe.json").read_text())["training"]["start"] == "tiny"


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"start": "tiny", "width": 128}, "--start is 'tiny', of width 96 and 3 layers"),
        ({"start": "tiny-agent"}, "the vocabulary of the task"),
        ({"start": "no-such"}, "neither a model folder"),
    ],
)
def test_a_start_of_another_shape_is_refused(tmp_path, other, message):
    with pytest.raises(ValueError, match=message):
        build_base(tmp_path / "on", steps=1, **other)
    assert not (tmp_path / "on").exists()
