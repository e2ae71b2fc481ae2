"""What cannot be compared is refused in one sentence, by value, place and cure."""

from pathlib import Path

import pytest
import yaml

from scgrpo.cli.tasks import write_template
from scgrpo.comparison import plan
from scgrpo.comparison.load import load_comparison
from tests.comparison.matrix import MATRIX, load


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"settings": {"seed": 7}}, "seed stands in settings; take it out there .docs/compare"),
        (
            {"tasks": {"sums": {"settings": {"task_options": {"steps": 3}}}}},
            "task_options stands in settings of task 'sums'; take it out",
        ),
        (
            {"methods": {"grpo": {"settings": {"output_dir": "x"}}}},
            "output_dir stands in settings of method 'grpo'; take it out",
        ),
        ({"settings": {"preset": "dapo"}}, "preset stands in settings; take it out"),
        ({"settings": {"name": "x"}}, "name stands in settings; take it out"),
        ({"settings": {"task": "lookup"}}, "task stands in settings; take it out"),
        ({"settings": {"trainer": {"seed": 7}}}, "trainer stands in settings"),
        (
            {"settings": {"learning_rate": "fast"}},
            r"learning_rate is 'fast' \(settings\); it must be a number",
        ),
        (
            {"sweep": {"learning_rates": [1e-4, 0]}},
            "train sums/grpo/lr0-s.* cannot be: learning_rate is 0.*; it must be a number above 0",
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
            {"tasks": {"sums": {"splits": {"a": 1}, "validation": {"a": 1}}}},
            "chooses learning rates on a, which it reports",
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


def test_the_short_form_is_enough(tmp_path):
    path = tmp_path / "compare.yaml"
    path.write_text("methods: [grpo, sc-grpo]\n")
    comparison = load_comparison(path)
    assert list(comparison.methods) == ["grpo", "sc-grpo"]
    assert list(comparison.tasks) == ["synthetic"]
    run = plan.main_runs(comparison)[0]
    assert run.label == "synthetic/grpo/s0" and "learning_rate" not in run.values


def test_own_data_is_evaluated_as_long_as_it_is_trained_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("d.jsonl").write_text("".join(f'{{"prompt": "{i}"}}\n' for i in range(30)))
    Path("r.py").write_text("def f(completions, **_): return [0.0] * len(completions)\n")

    def limits(text):
        own = "model: tiny\ndataset: d.jsonl\nreward: r.py:f\nmethods: [grpo]\n"
        Path("compare.yaml").write_text(own + text)
        comparison = load_comparison(Path("compare.yaml"))
        run, base = plan.main_runs(comparison)[0], plan.base_evaluations(comparison)
        return [step.values.get("max_new_tokens") for step in (*base, *run.evaluations)]

    assert limits("max_completion_length: 32\n") == [32, 32]
    assert limits("") == [512, 512]  # trl.GRPOConfig's
    assert limits("evaluation: {max_new_tokens: 9}\n") == [9, 9]
    # Another task has a limit of its own.
    two = "tasks: {mine: {splits: {heldout: null, synthetic/heldout: 4}}}\n"
    assert limits(f"max_completion_length: 32\n{two}") == [32, None, 32, None]


def test_dashes_are_underscores_in_every_key(tmp_path):
    path = tmp_path / "compare.yaml"
    path.write_text(
        "max-steps: 7\nbaseline: sc-grpo\nmethods: {sc-grpo: {learning-rate: 1.0e-5}}\n"
        "settings: {eval-steps: 0}\nevaluation: {max-new-tokens: 9}\n"
        "tasks: {the-sums: {validation: {}, settings: {num-generations: 4}}}\n"
    )
    comparison = load_comparison(path)
    plan.check(comparison)
    (run, *_) = plan.main_runs(comparison)
    config = run.config()
    assert config.trainer == {"max_steps": 7, "num_generations": 4, "learning_rate": 1e-5}
    assert config.eval_steps == 0 and run.evaluations[0].values["max_new_tokens"] == 9
    assert list(comparison.tasks) == ["the-sums"]  # a name is no key


def test_seeds_at_the_top_are_those_of_every_method_that_names_none(tmp_path):
    path = tmp_path / "compare.yaml"
    path.write_text("seeds: 2\nmethods: [grpo, sc-grpo]\n")
    seeds = [row.seed_list for row in load_comparison(path).methods.values()]
    assert seeds == [[0, 1], [0, 1]]  # three by default
    path.write_text("seeds: [5]\nmethods: {grpo: {seeds: [0, 3]}, sc-grpo: }\n")
    assert [row.seed_list for row in load_comparison(path).methods.values()] == [[0, 3], [5]]
    for text, message in {
        "seeds: many\nmethods: [grpo]\n": "seeds is 'many' .methods 'grpo'",
        "seeds: 2\nmethods: {grpo: 3}\n": "methods 'grpo' of .* is 3; write a mapping",
        "seeds: 2\n": "names no methods",
    }.items():
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            load_comparison(path)


@pytest.mark.parametrize(
    ("written", "meant"), [("rewrd: a.py:b", "reward"), ("basline: grpo", "baseline")]
)
def test_a_misspelt_key_at_the_top_may_be_one_of_a_run(tmp_path, written, meant):
    path = tmp_path / "compare.yaml"
    path.write_text(f"methods: [grpo]\n{written}\n")
    with pytest.raises(ValueError, match=f"unknown key .*did you mean '{meant}'"):
        load_comparison(path)


def test_own_data_at_the_top_reaches_every_run_and_evaluation(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.py").write_text("def right(completions, **_): return [1.0] * len(completions)")
    top = {"model": "org/m", "dataset": "words.jsonl", "reward": "r.py:right", "max_steps": 7}
    top |= {"chat_prompts": True, "learning_rate": 1e-5, "methods": ["grpo", "sc-grpo"]}
    path = tmp_path / "compare.yaml"
    path.write_text(yaml.safe_dump(top | {"settings": {"max_steps": 9}}))
    comparison = load_comparison(path)
    plan.check(comparison)  # neither data nor weights are there
    (base,) = plan.base_evaluations(comparison)
    run = plan.main_runs(comparison)[-1]
    (after,) = run.evaluations
    assert run.config().dataset == "words.jsonl" and run.config().task_name is None
    assert run.config().trainer["max_steps"] == 9  # settings come after what stands at the top
    assert run.label == "words/sc-grpo/lr1e-05-s2"
    own = {"dataset": "words.jsonl", "reward": "r.py:right"}
    for step in (base, after):
        assert (step.values["task"], step.values["task_options"]) == ("own-data", own)
        assert (step.split, step.problems, step.values["chat_prompts"]) == ("heldout", None, True)
    assert base.values["model"] == "org/m"


def test_a_task_from_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_template(tmp_path / "mine.py")
    row = {"task": "mine.py:Words", "splits": {"test": None}, "validation": {}}
    comparison = load(tmp_path, tasks={"words": row}, sweep={}, methods={"grpo": {"seeds": 1}})
    plan.check(comparison)
    assert [run.label for run in plan.main_runs(comparison)] == ["words/grpo/s0"]
