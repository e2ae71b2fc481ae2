"""The model card says what the run's records say, and nothing unknown."""

import json
import re

import pytest
import yaml

from scgrpo.config import Method
from scgrpo.files import read_jsonl
from scgrpo.run_folder import RunFolder
from scgrpo.trainer.card import model_card
from tests.trainer.runs import config, trainer
from tests.trainer.tiny import tiny_dataset, tiny_model


def fraction(completions, **_):
    """Above 0, and of many values."""
    return [0.1 + (sum(map(ord, c[-1]["content"])) % 7) / 10 for c in completions]


@pytest.mark.parametrize("adapter", [False, True], ids=["whole", "lora"])
def test_the_card_of_a_saved_model(tmp_path, adapter):
    options = {}
    if adapter:
        peft = pytest.importorskip("peft", reason="peft is not installed")
        options["peft_config"] = peft.LoraConfig(target_modules=["q_proj"], r=2)
    args = config(
        tmp_path / "run", max_steps=2, threshold_percentile=60.0, eval_strategy="steps",
        eval_steps=2, num_generations_eval=2, per_device_eval_batch_size=8,
    )  # fmt: skip
    model = tiny_model()
    model.config._name_or_path = "someone/base"
    options["model"] = model
    run = trainer(args, fraction, eval_dataset={"seen": tiny_dataset(4)}, **options)
    run.train()
    run.save_model(str(tmp_path / "model"))
    card = (tmp_path / "model" / "README.md").read_text()
    head = yaml.safe_load(card.split("---")[1])
    assert head["library_name"] == ("peft" if adapter else "transformers")
    assert head["base_model"] == "someone/base" and "| Base | someone/base |" in card
    assert ("lora" in head["tags"]) == adapter
    assert not re.search(r"None|More Information Needed|\bnull\b", card)
    (evaluated,) = (tmp_path / "run" / "eval").iterdir()
    rewards = [row["reward"] for row in read_jsonl(evaluated)]
    (line,) = (line for line in card.splitlines() if line.startswith("| seen |"))
    assert line.startswith(f"| seen | 2 | {sum(rewards) / len(rewards):.3f} [")
    assert line.endswith("] | 4 | 2 |")
    assert "| Reward | fraction |" in card and "| Optimizer steps | 2 |" in card
    assert "| threshold_percentile | 60.0 |" in card
    metrics = read_jsonl(tmp_path / "run" / "metrics.jsonl")
    first, last = (metrics[i]["reward"] for i in (0, -1))
    assert f"Training reward: {first:.3f} at step 1, {last:.3f} at step 2" in card
    assert "arXiv:2606.18810" in card and "author = {Yingyu Shan and " in card
    (tmp_path / "run" / "README.md").unlink(missing_ok=True)
    run.create_model_card(model_name="x")
    assert (tmp_path / "run" / "README.md").read_text() == card


def test_the_table_of_evaluations_has_intervals_that_are_not_certain(tmp_path):
    """Of 1.96^2 = 3.8415: all of 3 solved is [0.4385, 1], none of 4 [0, 3.8415 / 7.8415]."""
    folder = RunFolder(tmp_path)
    scores = {"solved": [[1.0, 1.0]] * 3, "failed": [[0.0, None]] * 4, "one": [[1.0, 0.5]]}
    rows = [
        {"split": split, "problem_id": f"p{i}", "sample": k, "reward": reward, "step": 7}
        for split, problems in scores.items()
        for i, problem in enumerate(problems)
        for k, reward in enumerate(problem)
    ]
    rows.append({"split": "cut", "problem_id": "a", "sample": 0, "reward": 1.0, "step": 7})
    rows += [rows[-1] | {"problem_id": "b", "sample": k} for k in (0, 1)]
    folder.evaluation(7).parent.mkdir()
    folder.evaluation(7).write_text("".join(json.dumps(row) + "\n" for row in rows))
    described = {"name": "x", "method": {"preset": "grpo"}, "trainer": {"solve_threshold": 0.5}}
    method = Method(advantage="group", teacher="none", use="none")
    card = model_card(described, folder, method, steps=7, adapter=False)
    table = card.partition("## Evaluation\n\n")[2].partition("\n\n")[0].splitlines()
    assert table == [
        "| split | step | Avg@k [95 %] | Pass@k [95 %] | problems | k |",
        "| --- | --- | --- | --- | --- | --- |",
        "| solved | 7 | 1.000 [0.439, 1.000] | 1.000 [0.439, 1.000] | 3 | 2 |",
        "| failed | 7 | 0.000 [0.000, 0.490] | 0.000 [0.000, 0.490] | 4 | 2 |",
        "| one | 7 | 0.750 | 1.000 | 1 | 2 |",
    ]


def test_a_value_stays_in_its_row_and_column(tmp_path):
    facts = {"task": "a|b.jsonl", "rewards": ["two\nlines"], "trainer": {}}
    described = {"name": "x", "method": {"preset": "sc-grpo"}} | facts
    method = Method(teacher="self", use="weight", weight="a|b.py:w")
    card = model_card(described, RunFolder(tmp_path), method, steps=1, adapter=False)
    assert "\n| Data | a\\|b.jsonl |\n" in card and "\n| Reward | two lines |\n" in card
    # Three are said whether or not they are defaults; no other that is one.
    rows = card.partition("not the default:\n\n")[2].partition("\n\n")[0].splitlines()[2:]
    assert [row.split(" | ")[0] for row in rows[:3]] == ["| advantage", "| teacher", "| use"]
    assert rows[3:] == ["| weight | a\\|b.py:w |"]


def test_several_rewards_their_weights_and_the_adapter(tmp_path):
    facts = {"rewards": ["short", "digit"], "run": {"lora": {"r": 4, "target_modules": ["q", "v"]}}}
    described = {"name": "x", "method": {"preset": "grpo"}, "trainer": {}} | facts
    method, folder = Method(teacher="none", use="none"), RunFolder(tmp_path)
    folder.metrics.write_text('{"step": 1, "reward": 0.625}\n')
    card = model_card(described, folder, method, steps=1, adapter=True)
    assert "| Reward | short, digit |" in card
    assert "| LoRA | r 4, target_modules ['q', 'v'] |" in card
    assert "Training reward: 0.625 at step 1 (each of one batch)." in card
    described["trainer"] = {"reward_weights": [1.0, 0.25]}
    card = model_card(described, folder, method, steps=1, adapter=True)
    assert "| Reward | short (weight 1), digit (weight 0.25) |" in card
