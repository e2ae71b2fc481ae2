"""A comparison: what is refused, which commands it takes, and numbers worked by hand."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from scgrpo.comparison import collect, plan, rows
from scgrpo.comparison.load import load_comparison
from scgrpo.evaluation.metrics import avg_at_k
from scgrpo.evaluation.seeds import seeded_difference, seeded_interval
from scgrpo.reports.comparison import write_comparison
from scgrpo.reports.table import markdown
from tests.reports.test_report import page_data

MATRIX = {
    "name": "two",
    "models": {"teacher": {"width": 8, "steps": 1}},
    "tasks": {
        "sums": {
            "splits": {"heldout": 2},
            "validation": {"validation": 2},
            "options": {"steps": 2},
            "axis": {"additions": 2},
        }
    },
    "settings": {"max_steps": 3},
    "sweep": {"learning_rates": [1e-4, 2e-4], "seeds": [100]},
    "methods": {
        "grpo": {"seeds": 2},
        "sc-grpo": {"seeds": [4]},
        "sc-grpo-p50": {"learning_rate_of": "sc-grpo", "seeds": 1, "group": "ablations"},
        "opd": {"learning_rate": 3e-4, "seeds": 1, "settings": {"teacher_model": "teacher"}},
    },
    "k": 2,
}


def load(folder, **changes):
    path = folder / "compare.yaml"
    matrix = MATRIX | {"output": str(folder / "out")} | changes
    path.write_text(yaml.safe_dump(matrix, sort_keys=False))
    return load_comparison(path)


def write_records(path, rewards, split):
    """Records of problems p0, p1, ... in this order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        json.dumps({"split": split, "problem_id": f"p{p}", "sample": k, "reward": reward})
        for p, row in enumerate(rewards)
        for k, reward in enumerate(row)
    ]
    path.write_text("\n".join(lines))


def validate(comparison, scores):
    """Pretend that the sweep gave these mean rewards: {(method, rate): score in halves}."""
    for run in plan.sweep_runs(comparison):
        score = scores[run.method.name, run.learning_rate]
        row = [1.0, 0.0] if score == 0.5 else [score, score]
        (step,) = run.evaluations
        write_records(step.records, [row, row], "validation")


SCORES = {
    ("grpo", 1e-4): 0.5, ("grpo", 2e-4): 1.0, ("sc-grpo", 1e-4): 0.5, ("sc-grpo", 2e-4): 0.5
}  # fmt: skip


def test_steps_and_what_they_wait_for(tmp_path):
    comparison = load(tmp_path)
    steps = plan.next_steps(comparison, set())
    names = [step.name for step in steps]
    assert names[:2] == ["build teacher", "evaluate sums/base/heldout"]
    assert names[2:4] == [
        "train sums/grpo/lr0.0001-s100", "evaluate sums/grpo/lr0.0001-s100/validation"
    ]  # fmt: skip
    # Two swept methods, two rates, train and validate; only the method with a fixed learning rate
    # is known before the sweep.
    assert len(names) == 2 + 2 * 4 + 2
    assert steps[3].job().after == ["train sums/grpo/lr0.0001-s100"]
    (train, evaluate) = (step.job() for step in steps[-2:])
    assert train.name == "train sums/opd/lr0.0003-s0" and train.after == ["build teacher"]
    assert "--limit=2" in evaluate.arguments


def test_each_method_gets_the_rate_that_validates_best(tmp_path):
    comparison = load(tmp_path)
    validate(comparison, SCORES)
    task = comparison.tasks["sums"]
    chosen = {
        name: plan.learning_rate(comparison, task, row) for name, row in comparison.methods.items()
    }
    # Of equal scores the smaller one; the ablation follows its parent.
    assert chosen == {"grpo": 2e-4, "sc-grpo": 1e-4, "sc-grpo-p50": 1e-4, "opd": 3e-4}
    names = [run.label for run in plan.main_runs(comparison)]
    assert names == [
        "sums/grpo/lr0.0002-s0", "sums/grpo/lr0.0002-s1", "sums/sc-grpo/lr0.0001-s4",
        "sums/sc-grpo-p50/lr0.0001-s0", "sums/opd/lr0.0003-s0",
    ]  # fmt: skip


def test_a_method_waits_for_all_of_its_sweep(tmp_path):
    comparison = load(tmp_path)
    validate(comparison, SCORES)
    late = next(r for r in plan.sweep_runs(comparison) if r.label == "sums/grpo/lr0.0002-s100")
    late.evaluations[0].records.unlink()
    reported = re.compile("train sums/grpo/.*-s[01]")
    names = {step.name for step in plan.next_steps(comparison, set())}
    assert not any(reported.fullmatch(name) for name in names)
    assert "train sums/sc-grpo/lr0.0001-s4" in names
    # One that failed is settled too: the other rate is taken.
    failed = {f"evaluate {late.label}/validation"}
    assert "train sums/grpo/lr0.0001-s0" in {s.name for s in plan.next_steps(comparison, failed)}


def test_configs_of_the_runs(tmp_path):
    comparison = load(tmp_path)
    validate(comparison, SCORES)
    run = next(r for r in plan.main_runs(comparison) if r.method.name == "opd")
    run.job()
    written = yaml.safe_load(run.file.read_text())
    assert run.file.name == "lr0.0003-s0.yaml"
    assert written["teacher_model"] == str(tmp_path / "out" / "models" / "teacher")
    assert (written["preset"], written["task_options"], written["max_steps"]) == (
        "opd",
        {"steps": 2},
        3,
    )
    files = {r.file for r in plan.main_runs(comparison)}
    assert len(files) == len(plan.main_runs(comparison))


def test_evaluation_on_another_task_and_a_launcher(tmp_path):
    tasks = {
        "math": {
            "task": "dapo-math",
            "splits": {"aime24/test": None},
            "evaluation_options": {"aime24": {"data": "x"}},
        }
    }
    comparison = load(
        tmp_path, tasks=tasks, launcher="accelerate launch", evaluation={"engine": "vllm"}
    )
    steps = plan.next_steps(comparison, set())
    (evaluation,) = (step for step in steps if step.name.startswith("evaluate math/opd"))
    train, evaluate = evaluation.run.job(), evaluation.job()
    assert train.launcher == "accelerate launch" and evaluate.launcher == ""
    flags = dict(flag.split("=", 1) for flag in evaluate.arguments[4:])
    assert (flags["--task"], flags["--split"], flags["--engine"]) == ("aime24", "test", "vllm")
    assert flags["--task-options"] == '{"data": "x"}' and "--limit" not in flags
    assert evaluation.records.name == "aime24_test.jsonl"


def test_name_config_and_sweep_agree_on_the_learning_rate(tmp_path):
    """Whichever settings give it: the name, the YAML and the table say the same."""
    methods = {
        "grpo": {"seeds": 1, "settings": {"learning_rate": "3e-5"}},
        "dapo": {"seeds": 1},
        "sc-grpo": {"seeds": 1, "learning_rate": 5e-5},
        "sc-grpo-p50": {"seeds": 1, "learning_rate_of": "sc-grpo"},
    }
    tasks = {"sums": {"settings": {"learning_rate": 4e-5}}}
    comparison = load(tmp_path, methods=methods, tasks=tasks, models={})
    assert plan.sweep_runs(comparison) == []
    runs = plan.main_runs(comparison)
    assert [run.values["learning_rate"] for run in runs] == [3e-5, 4e-5, 5e-5, 5e-5]
    assert [run.label for run in runs] == [
        "sums/grpo/lr3e-05-s0", "sums/dapo/lr4e-05-s0", "sums/sc-grpo/lr5e-05-s0",
        "sums/sc-grpo-p50/lr5e-05-s0",
    ]  # fmt: skip


def test_a_sweep_of_one_rate_gives_it_and_runs_nothing(tmp_path):
    methods = {"grpo": {"seeds": 1}}
    comparison = load(tmp_path, methods=methods, sweep={"learning_rates": [1e-6]}, models={})
    assert plan.sweep_runs(comparison) == []
    assert [run.label for run in plan.main_runs(comparison)] == ["sums/grpo/lr1e-06-s0"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"settings": {"seed": 7}}, "seed stands in settings; take it out .* method's row"),
        (
            {"tasks": {"sums": {"settings": {"task_options": {"steps": 3}}}}},
            "task_options stands in settings of task 'sums'; .* options in the task's row",
        ),
        (
            {"methods": {"grpo": {"settings": {"output_dir": "x"}}}},
            "output_dir stands in settings of method 'grpo'; .* give output at the top",
        ),
        ({"settings": {"preset": "dapo"}}, "preset stands in settings; .* in the method's row"),
        ({"settings": {"name": "x"}}, "name stands in settings; take it out there: a run is named"),
        ({"settings": {"task": "lookup"}}, "task stands in settings; .* in the task's row"),
        ({"settings": {"trainer": {"seed": 7}}}, "trainer stands in settings"),
        (
            {"settings": {"learning_rate": "fast"}},
            r"learning_rate is 'fast' \(settings\); it must be a number",
        ),
        (
            {"sweep": {"learning_rates": [1e-4, 0]}},
            "a learning rate of method 'grpo' .* is 0; it must be a number above 0",
        ),
        (
            {"methods": {"grpo": {"learning_rate": 1e-4, "settings": {"learning_rate": 2e-4}}}},
            "method 'grpo' has learning_rate and settings.learning_rate; keep one of them",
        ),
        ({"methods": {}}, "names no methods"),
        ({"tasks": None}, "names no tasks"),
        ({"metods": 1}, "unknown key 'metods' .*; did you mean 'methods'"),
        (
            {"methods": {"grop": {}}, "baseline": "grop"},
            "train sums/grop/.* cannot be: unknown preset 'grop'; did you mean 'grpo'",
        ),
        ({"methods": {"grpo": {"seeds": 0}}}, "has no seeds; give a number above 0"),
        ({"methods": {"grpo": {"sedes": 1}}}, r"unknown key 'sedes' \(methods 'grpo' of"),
        ({"methods": {"grpo": {"learning_rate_of": "x"}}}, "of 'x', which is none of the methods"),
        ({"methods": {"grpo": {"tasks": ["x"]}}}, "is run on task 'x', which is none of the tasks"),
        ({"baseline": "ppo"}, "baseline is 'ppo', which is none of the methods"),
        (
            {"sweep": {"learning_rates": []}},
            "'grpo' on task 'sums' has no learning rate; declare a sweep",
        ),
        (
            {"tasks": {"sums": {"splits": {"a": 1}, "validation": {"a": 1}}}},
            "chooses learning rates on a, which it also reports",
        ),
        (
            {
                "methods": {"grpo": {"tasks": []}},
            },
            "'grpo' is run on no task",
        ),
        (
            {"tasks": {"sums": {"validation": {}}}},
            "'grpo' on task 'sums' is swept without a validation split; name one",
        ),
        ({"tasks": {"sums": {"splits": {}}}}, "'sums' reports no splits"),
        (
            {"tasks": {"sums": {"splits": {"a": 0}}}},
            "evaluate sums/base/a cannot be: limit is 0; it must be at least 1",
        ),
        ({"tasks": {"models": {}}}, "a task cannot be called 'models'"),
        ({"tasks": {"a/b": {}}}, "a task cannot be called 'a/b'"),
        ({"methods": {"base": {"preset": "grpo"}}}, "a method cannot be called 'base', which is"),
        ({"methods": {"grpo": {"seeds": [0, 0]}}}, r"seeds of method 'grpo' are \[0, 0\]; name 0"),
        ({"methods": {"grpo": {"seeds": "3"}}}, "seeds is '3' .methods 'grpo' of .*; it must be a"),
        ({"methods": {"grpo": {"seeds": True}}}, "seeds is True .*; it must be a whole number"),
        (
            {"methods": {"grpo": {"settings": None}}},
            "settings is null .methods 'grpo' of .*; it must be a mapping",
        ),
        ({"methods": {"grpo": 3}}, "methods 'grpo' of .* is 3; write a mapping of keys"),
        ({"k": 0}, "k is 0; it must be at least 1"),
        ({"k": "8"}, "k is '8' .*; it must be a whole number"),
        ({"settings": None}, "settings is null .*; it must be a mapping"),
        ({"sweep": 5}, "sweep is 5 .*; it must be a mapping of keys"),
        ({"sweep": None}, "sweep is null .*; it must be a mapping of keys"),
        (
            {"sweep": {"learning_rates": 1e-4}},
            "learning_rates is 0.0001 .sweep of .*; it must be a list of numbers",
        ),
        ({"sweep": {"learning_rates": [1, 2], "seeds": []}}, "the sweep has no seeds"),
        ({"sweep": {"learning_rates": [1, 1]}}, r"learning_rates of the sweep are \[1, 1\]"),
        ({"models": {"teacher": 8}}, "models is .* must be a mapping, each value a mapping"),
    ],
)
def test_what_cannot_be_compared(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        plan.check(load(tmp_path, **changes))


def test_an_ablation_needs_its_parent_where_it_is_run(tmp_path):
    tasks = {"sums": MATRIX["tasks"]["sums"], "other": MATRIX["tasks"]["sums"]}
    methods = {
        "grpo": {"tasks": ["sums"]},
        "dapo": {"tasks": ["sums"], "learning_rate": 1e-4},
        "grpo+fkl": {"learning_rate_of": "dapo"},  # its rate is known where dapo is not run, too
    }
    names = [run.label for run in plan.main_runs(load(tmp_path, tasks=tasks, methods=methods))]
    assert "other/grpo+fkl/lr0.0001-s0" in names
    with pytest.raises(
        ValueError, match=r"on task 'other' takes .* of 'grpo', which is not run there.*add the"
    ):
        load(tmp_path, tasks=tasks, methods=methods | {"grpo+rkl": {"learning_rate_of": "grpo"}})


def test_text_that_reads_as_a_number_is_a_rate(tmp_path):
    comparison = load(tmp_path, sweep={"learning_rates": ["1e-6", "2e-6"]})
    assert comparison.sweep.learning_rates == [1e-6, 2e-6]


# --- numbers ---


def test_interval_over_seeds_and_problems():
    """Two seeds that differ by 1 on all problems: the mean of two drawn ones is 0, 1/2 or 1."""
    low, high = seeded_interval([np.zeros((40, 2)), np.ones((40, 2))], avg_at_k)
    assert (low, high) == (0.0, 1.0)


def test_difference_pairs_the_problems():
    """Hard and easy problems widen each interval but cancel in the difference."""
    easy = np.repeat([[0.0], [1.0]], 50, axis=0)
    first, second = [0.5 * easy] * 3, [0.5 * easy + 0.1] * 3
    value, low, high = seeded_difference(first, second, avg_at_k)
    assert value == pytest.approx(0.1) and low == pytest.approx(0.1) and high == pytest.approx(0.1)
    spread = seeded_interval(first, avg_at_k)
    assert spread[1] - spread[0] > 0.05


@pytest.fixture
def finished(tmp_path):
    """The reported runs of three methods, evaluated; the ablation is not done yet."""
    comparison = load(tmp_path)
    validate(comparison, SCORES)
    rewards = {"grpo": [[1, 0], [0, 0]], "sc-grpo": [[1, 1], [1, 0]], "opd": [[0, 0], [0, 0]]}
    (base,) = plan.base_evaluations(comparison)
    write_records(base.records, [[0, 0], [1, 0]], "heldout")
    for run in plan.main_runs(comparison):
        if run.method.name in rewards:
            write_records(run.evaluations[0].records, rewards[run.method.name], "heldout")
            logged = [
                {
                    "step": s,
                    "step_time": 2.0,
                    "num_tokens": 500.0 * s,
                    "reward": 0.1 * s,
                    "entropy": None,
                }
                for s in (1, 2, 3)
            ]
            lines = "\n".join(map(json.dumps, logged))
            run.folder.metrics.write_text(lines + "\n")
    return comparison


def test_rows_by_hand(finished):
    table = rows.rows(rows.read_results(collect.write_results(finished)))
    assert [(row.method, row.seeds, row.planned_seeds) for row in table] == [
        ("base", 1, 1), ("grpo", 2, 2), ("sc-grpo", 1, 1), ("opd", 1, 1)
    ]  # fmt: skip
    base, grpo, sc_grpo, _ = table
    assert base.cells["heldout", "Avg@2"].value == 0.25
    assert grpo.cells["heldout", "Avg@2"].value == 0.25
    assert grpo.cells["heldout", "Pass@2"].value == 0.5
    assert sc_grpo.cells["heldout", "Pass@2"].value == 1.0
    # 3/4 against 1/4; both problems gain one half, so the paired interval is a point.
    assert sc_grpo.cells["heldout", "Avg@2"].difference == pytest.approx((0.5, 0.5, 0.5))
    assert grpo.cells["heldout", "Avg@2"].difference is None
    assert (sc_grpo.seconds, sc_grpo.tokens, sc_grpo.learning_rate) == (6.0, 1500.0, 1e-4)


def test_results_alone_make_table_and_page(finished, tmp_path):
    path = collect.write_results(finished)
    found = rows.read_results(path)
    assert found["runs"][1]["curves"] == {"reward": [0.1, 0.2, 0.3]}
    text = markdown(found, rows.rows(found), "a machine")
    assert "| sc-grpo | 1 | 0.0001 | 0.750 [0.500, 1.000] | 1.000 [1.000, 1.000] " in text
    assert "**+0.500 [+0.500, +0.500]**" in text
    assert "| sums | grpo | 0.500 | 1.000 | 0.0002 |" in text
    page = write_comparison(path, tmp_path / "page.html", "a machine")
    (chart,) = page_data(page)["charts"]
    assert chart["title"] == "Training reward: methods"
    assert chart["series"][0]["points"] == [[1, 0.2], [2, 0.2], [3, 0.2]]
    assert "+0.500" in page.read_text()


def test_other_files_are_no_results(tmp_path):
    for text in ("{}", "nothing"):
        (tmp_path / "results.json").write_text(text)
        with pytest.raises(ValueError, match="holds no results of a comparison"):
            rows.read_results(tmp_path / "results.json")
    assert not Path(tmp_path / "page.html").exists()


def test_a_table_of_unequal_problems_is_refused():
    run = {"task": "sums", "seed": 0, "learning_rate": 1e-4}
    found = {
        "baseline": "grpo", "k": 1, "groups": {"grpo": "", "dapo": ""}, "planned": {},
        "tasks": {"sums": {"splits": {"heldout": 2}}},
        "runs": [
            run | {"method": "grpo", "rewards": {"heldout": [[1], [0]]}},
            run | {"method": "dapo", "rewards": {"heldout": [[1], [0], [1]]}},
        ],
    }  # fmt: skip
    with pytest.raises(ValueError, match=r"sums, heldout, dapo .* \(2 x 1 and 3 x 1\)"):
        rows.rows(found)
