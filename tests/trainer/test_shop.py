"""The shop through TRL's tool loop: real sessions, rewards, masks and credit; scripted writing.

A random tiny model never writes a tool call, so what is generated is scripted here; everything
else is what a user's run does.
"""

import json

import pytest
from typer.testing import CliRunner

from scgrpo import SCGRPOTrainer
from scgrpo.cli.main import app
from scgrpo.tasks.shop import ShopTask
from scgrpo.tasks.shop.oracle import wanted_options
from tests.tasks.tiny_text_model import save_text_model, text_model, text_tokenizer
from tests.trainer.runs import config

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


class ScriptedTrainer(SCGRPOTrainer):
    """Writes tool calls by a plan that each rollout announces in its first turn."""

    shop = None

    def _generate_single_turn(self, prompt_ids, *args, **kwargs):
        texts = [self._tokenizer.decode(ids) for ids in prompt_ids]
        completions = [self._write(text, place) for place, text in enumerate(texts)]
        return [self._tokenizer(text)["input_ids"] for text in completions], None

    def _write(self, text, place):
        plan = next((p for p in PLANS if f"my plan: {p}" in text), None)
        opening = "" if plan else f"my plan: {PLANS[place % len(PLANS)]}"
        goal = next(g for g in self.shop.goals if g.instruction in text)
        calls = self._calls(plan or PLANS[place % len(PLANS)], goal)
        turn = text.count('{"name": "search", "arguments": {"k') + text.count(
            '{"name": "click", "arguments": {"v'
        )
        if turn >= len(calls):
            return "done<|im_end|>"
        name, argument, value = calls[turn]
        call = json.dumps({"name": name, "arguments": {argument: value}})
        return f"{opening}<tool_call>\n{call}\n</tool_call><|im_end|>"

    def _calls(self, plan, goal):
        product = self.shop.products[self.shop.by_asin[goal.asin.lower()]]
        options = wanted_options(product, goal).values() if plan == "right" else ()
        calls = [("search", "keywords", product.title)]
        if plan != "idle":
            clicks = [product.asin, *options, "Buy Now"]
            calls += [("click", "value", value) for value in clicks]
        return calls


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
    trainer = ScriptedTrainer(
        text_model(context=16384, num_hidden_layers=1, num_attention_heads=1),
        None,
        args,
        task.rows("train"),
        processing_class=text_tokenizer(),
        environment_factory=task.environment,
    )
    trainer.shop = task.shop
    trainer.records = {}
    trainer.rollout_sink = trainer.records.__setitem__
    trainer.train()
    return trainer


def test_rewards_come_from_the_purchases(run):
    for group in run.records.values():
        goal = next(g for g in run.shop.goals if g.instruction in json.dumps(group[0]["prompt"]))
        parts = len(goal.attributes) + len(goal.options) + 1
        bare = (parts - len(goal.options)) / parts
        assert [r["reward"] for r in group] == pytest.approx([1.0, 1.0, bare, 0.0])


def test_groups_are_routed_and_weighted(run):
    log = [row for row in run.state.log_history if "credit/route_partial" in row]
    assert [row["credit/route_partial"] for row in log] == [1.0, 1.0]
    assert all(0 < row["credit/weight_mean"] < 1 for row in log)
    assert all(row["tools/failure_frequency"] == 0 for row in log)
    assert all(row["grad_norm"] > 0 for row in log)


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
