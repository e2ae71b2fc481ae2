"""The shop through TRL's tool loop: real sessions, rewards, masks and credit; scripted writing.

A random tiny model never writes a tool call, so what is generated is scripted here; everything
else is what a user's run does.
"""

import json
from functools import partial

import pytest
from typer.testing import CliRunner

from scgrpo.cli.main import app
from scgrpo.tasks.shop import ShopTask
from scgrpo.tasks.shop.oracle import wanted_options
from tests.tasks.tiny_text_model import save_text_model, text_model, text_tokenizer
from tests.trainer.runs import config
from tests.trainer.scripted import ScriptedTrainer, tool_call

OPTIONS = {
    "products": 3,
    "goals": 5,
    "test_goals": 2,
    "validation_goals": 1,
    "show_actions": False,
    "show_attributes": False,
}
PLANS = ("right", "right", "bare", "idle")
"""What the rollouts of a group do: buy rightly twice, buy without options, look and leave."""


def write(shop, text, place):
    """The next turn of a rollout, by the plan that it announced in its first turn."""
    plan = next((p for p in PLANS if f"my plan: {p}" in text), None)
    opening = "" if plan else f"my plan: {PLANS[place % len(PLANS)]}"
    goal = next(g for g in shop.goals if g.instruction in text)
    calls = planned_calls(shop, plan or PLANS[place % len(PLANS)], goal)
    turn = sum(text.count(f'{{"name": "{tool}", "arg') for tool in ("search", "click"))
    return opening + (tool_call(*calls[turn]) if turn < len(calls) else "done")


def planned_calls(shop, plan, goal):
    product = shop.products[shop.by_asin[goal.asin.lower()]]
    options = wanted_options(product, goal).values() if plan == "right" else ()
    clicks = [] if plan == "idle" else [product.asin, *options, "Buy Now"]
    clicks = [("click", {"value": value}) for value in clicks]
    return [("search", {"keywords": product.title}), *clicks]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    task = ShopTask(**OPTIONS)
    args = config(
        tmp_path_factory.mktemp("shop"),
        per_device_train_batch_size=4,
        num_generations=4,
        max_completion_length=4000,
        max_tool_calling_iterations=task.max_turns,
        max_steps=2,
        guide=task.guide,
        rollout_steps=1,
    )
    shop = task.shop
    trainer = ScriptedTrainer(
        partial(write, shop),
        text_model(context=16384, num_hidden_layers=1, num_attention_heads=1),
        None,
        args,
        task.rows("train"),
        processing_class=text_tokenizer(),
        environment_factory=task.environment,
    )
    trainer.shop = shop
    trainer.train()
    return trainer


@pytest.mark.slow
def test_rewards_come_from_the_purchases(run):
    for group in run.records.values():
        goal = next(g for g in run.shop.goals if g.instruction in json.dumps(group[0]["prompt"]))
        parts = len(goal.attributes) + len(goal.options) + 1
        bare = (parts - len(goal.options)) / parts
        assert [r["reward"] for r in group] == pytest.approx([1.0, 1.0, bare, 0.0])


@pytest.mark.slow
def test_groups_are_routed_and_weighted(run):
    log = [row for row in run.state.log_history if "credit/route_partial" in row]
    assert [row["credit/route_partial"] for row in log] == [1.0, 1.0]
    assert all(0 < row["credit/weight_mean"] < 1 for row in log)
    assert all(row["tools/failure_frequency"] == 0 for row in log)
    assert all(row["grad_norm"] > 0 for row in log)


@pytest.mark.slow
def test_only_what_the_model_wrote_counts(run):
    batch = run._buffered_inputs[0]
    written = batch["tool_mask"].bool() & batch["completion_mask"].bool()
    for row, mask in enumerate(written):
        text = run._tokenizer.decode(batch["completion_ids"][row][mask])
        assert "[SEP]" not in text and "<tool_response>" not in text
        assert "<tool_call>" in text
    environment = batch["completion_mask"].bool() & ~batch["tool_mask"].bool()
    assert environment.sum() > written.sum(), "pages are longer than what is written"


def test_one_command(tmp_path):
    model = save_text_model(tmp_path / "model", context=8192)
    command = [
        *("train", "--task", "shop", "--task_options", json.dumps(OPTIONS)),
        *("--model", str(model), "--output_dir", str(tmp_path), "--name", "run"),
        *("--max_steps", "1", "--per_device_train_batch_size", "4", "--num_generations", "4"),
        *("--max_completion_length", "32"),
    ]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "run" / "model" / "config.json").exists()
    (row,) = map(json.loads, (tmp_path / "run" / "metrics.jsonl").read_text().splitlines())
    assert row["rewards/ShopTools/mean"] == 0, "noise buys nothing"
