"""The shipped base: a standard model folder that solves a part of the problems."""

import json

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from scgrpo.evaluation.records import reward_matrix
from scgrpo.evaluation.run import evaluate
from scgrpo.tasks import load_task
from scgrpo.tasks.synthetic.tokenizer import build_tokenizer
from scgrpo.trainer.base_model import build_base
from scgrpo.trainer.run import TINY_BASE


def test_loads_as_any_model_and_has_the_tokenizer_of_the_task():
    model = AutoModelForCausalLM.from_pretrained(TINY_BASE)
    tokenizer = AutoTokenizer.from_pretrained(TINY_BASE)
    assert tokenizer.get_vocab() == build_tokenizer().get_vocab()
    assert tokenizer.chat_template == build_tokenizer().chat_template
    assert model.config.vocab_size == len(tokenizer)
    assert sum(p.numel() for p in model.parameters()) < 1_000_000
    assert sum(f.stat().st_size for f in TINY_BASE.iterdir()) < 5_000_000


def test_solves_a_part_so_that_all_routes_occur():
    model = AutoModelForCausalLM.from_pretrained(TINY_BASE)
    tokenizer = AutoTokenizer.from_pretrained(TINY_BASE, padding_side="left")
    task = load_task("synthetic")
    length = task.trainer_defaults["max_completion_length"]
    records = evaluate(model, tokenizer, task, k=8, limit=96, max_new_tokens=length)
    solved = reward_matrix(records)[1].sum(1)
    assert 0.25 <= np.mean(solved) / 8 <= 0.45
    assert (solved == 0).any() and ((solved >= 2) & (solved < 8)).mean() > 0.5


def test_recipe_says_how_it_was_made():
    recipe = json.loads((TINY_BASE / "recipe.json").read_text())
    task = load_task("synthetic")
    assert recipe["task"] == {**recipe["task"], "steps": task.options.steps}
    assert recipe["task"]["routine"] == task.options.routine


@pytest.mark.slow
def test_the_same_recipe_gives_the_same_weights(tmp_path):
    folders = [build_base(tmp_path / name, steps=5) for name in ("a", "b")]
    first, second = (AutoModelForCausalLM.from_pretrained(f).state_dict() for f in folders)
    assert all(torch.equal(first[name], second[name]) for name in first)
