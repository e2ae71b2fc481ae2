"""What an earlier call left: finished work is recognised, completed, or refused."""

import json
from dataclasses import asdict

import pytest
import yaml

from scgrpo.comparison import collect, plan
from tests.comparison.matrix import MATRIX, SCORES, load, validate, write_records

SETTINGS = {"seed": 1234, "temperature": 1.0, "top_p": 1.0, "engine": "transformers"}
MADE = SETTINGS | {
    "step": 0, "model": "elsewhere", "fingerprint": "0", "task": "synthetic",
    "task_options": {"steps": 2}, "max_new_tokens": 56,
}  # fmt: skip


def task(**changes):
    row = {"splits": {"heldout": 2}, "validation": {"validation": 2}, "options": {"steps": 2}}
    return {"tasks": {"sums": row | changes}}


def first_run(comparison):
    return next(run for run in plan.main_runs(comparison) if run.method.name == "opd")


def begin(run):
    """The YAML, the config and the first step of a run."""
    run.job()
    run.folder.write_config({"run": asdict(run.config())})
    run.folder.metrics.write_text('{"step": 1}\n')


def make_records(run, rewards, **settings):
    path = run.evaluations[0].records
    write_records(path, rewards, "heldout")
    lines = [json.loads(line) | MADE | settings for line in path.read_text().splitlines()]
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


def evaluation_of(comparison):
    (step,) = first_run(comparison).evaluations
    return step


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"settings": {"max_steps": 5}}, "max_steps: 3 -> 5"),
        ({"settings": {}}, "max_steps: 3 -> None"),
        ({"settings": {"max_steps": 3, "num_generations": 4}}, "num_generations: None -> 4"),
        (task(options={"steps": 3}), r"task_options: \{'steps': 2\} -> \{'steps': 3\}"),
    ],
)
def test_a_begun_run_of_another_config_is_refused(tmp_path, changes, message):
    run = first_run(load(tmp_path))
    begin(run)
    kept = run.file.read_text()
    told = rf"sums/opd/lr0.0003-s0 was begun with another config \({message}\); .* or delete it"
    with pytest.raises(ValueError, match=told):
        plan.check(load(tmp_path, **changes))
    assert run.file.read_text() == kept


def test_the_same_run_is_recognised_however_its_yaml_is_written(tmp_path):
    run = first_run(load(tmp_path))
    begin(run)
    kept = asdict(run.config()) | {"output_dir": "elsewhere"}
    run.folder.write_config({"run": dict(sorted(kept.items()))})
    opd = MATRIX["methods"]["opd"] | {"learning_rate": "3e-4"}
    plan.check(load(tmp_path, methods=MATRIX["methods"] | {"opd": opd}))


def test_a_key_that_came_later_had_its_default(tmp_path):
    run = first_run(load(tmp_path))
    begin(run)
    kept = asdict(run.config())
    del kept["lora"]
    run.folder.write_config({"run": kept})
    plan.check(load(tmp_path))
    with pytest.raises(ValueError, match=r"lora: \{\} -> \{'r': 4\}"):
        plan.check(load(tmp_path, settings={"max_steps": 3, "lora": {"r": 4}}))


def test_a_run_that_failed_before_its_first_step_is_begun_anew(tmp_path):
    run = first_run(load(tmp_path))
    begin(run)
    run.folder.checkpoints.mkdir()
    run.folder.metrics.write_text("")
    changed = load(tmp_path, settings={"max_steps": 5})
    plan.check(changed)
    first_run(changed).job()
    assert yaml.safe_load(run.file.read_text())["max_steps"] == 5


def test_every_rate_of_a_sweep_is_looked_at(tmp_path):
    """Also runs that the sweep has not chosen yet, which a later call would table."""
    comparison = load(tmp_path)
    validate(comparison, SCORES)
    begin(next(run for run in plan.main_runs(comparison) if run.label == "sums/grpo/lr0.0002-s1"))
    for run in plan.sweep_runs(comparison):
        run.evaluations[0].records.unlink()
    with pytest.raises(ValueError, match=r"sums/grpo/lr0.0002-s1 was begun .*max_steps"):
        plan.check(load(tmp_path, settings={"max_steps": 5}))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 5}, "seed 1234, not 5"),
        ({"evaluation": {"temperature": 0.6}}, "temperature 1.0, not 0.6"),
        ({"evaluation": {"engine": "vllm"}}, "engine 'transformers', not 'vllm'"),
        ({"evaluation": {"max_new_tokens": 9}}, "max_new_tokens 56, not 9"),
        (
            {"evaluation": {"template_options": {"enable_thinking": False}}},
            "template_options none, not {'enable_thinking': False}",
        ),
        (
            task(options={"steps": 3}),
            "max_new_tokens .*, and task_options {'steps': 2}, not {'steps': 3}",
        ),
        (task(splits={"heldout": 1}), "problems 2, not 1"),
        ({"k": 1}, "k 2, not 1"),
    ],
)
def test_records_of_another_evaluation_are_refused(tmp_path, changes, message):
    path = make_records(first_run(load(tmp_path)), [[1, 0], [0, 0]])
    plan.check(load(tmp_path))
    with pytest.raises(ValueError, match=f"{path} holds samples with {message}.*, or delete it"):
        plan.check(load(tmp_path, **changes))


def test_what_does_not_shape_the_samples_may_change(tmp_path):
    make_records(first_run(load(tmp_path)), [[1, 0], [0, 0]])
    options = {"batch_tokens": 99, "concurrency": 4, "temperature": 1, "max_new_tokens": 56}
    plan.check(load(tmp_path, evaluation=options))


def test_an_option_that_was_dropped_is_refused(tmp_path):
    comparison = load(tmp_path, evaluation={"max_new_tokens": 9})
    make_records(first_run(comparison), [[1, 0], [0, 0]], max_new_tokens=9)
    plan.check(comparison)
    with pytest.raises(ValueError, match="samples with max_new_tokens 9, not 56"):
        plan.check(load(tmp_path))


@pytest.mark.parametrize("changes", [task(splits={"heldout": 3}), {"k": 3}])
def test_more_problems_or_samples_are_evaluated(tmp_path, changes):
    comparison = load(tmp_path)
    make_records(first_run(comparison), [[1, 0], [0, 0]])
    assert evaluation_of(comparison).is_done()
    more = load(tmp_path, **changes)
    plan.check(more)
    assert not evaluation_of(more).is_done()
    # Not in the table before it is, and named.
    assert collect.unfinished(more) == ["evaluate sums/opd/lr0.0003-s0/heldout"]
    assert collect.collect(more) == []


def test_a_split_with_fewer_problems_than_asked_is_done_once(tmp_path):
    for wanted in (None, 300):
        comparison = load(tmp_path, **task(splits={"heldout": wanted}))
        make_records(first_run(comparison), [[1, 0], [0, 0]])
        assert not evaluation_of(comparison).is_done()
        evaluation_of(comparison).write_note()
        assert evaluation_of(comparison).is_done()
        evaluation_of(comparison).note.unlink()


def test_the_untrained_model_is_known_by_its_records(tmp_path):
    comparison = load(tmp_path)
    (base,) = plan.base_evaluations(comparison)
    path = base.records
    write_records(path, [[1, 0], [0, 0]], "heldout")
    drawn = MADE | {"model": "tiny"}
    lines = [json.loads(line) | drawn for line in path.read_text().splitlines()]
    path.write_text("\n".join(map(json.dumps, lines)))
    plan.check(comparison)
    with pytest.raises(ValueError, match="samples with model 'tiny', not 'tiny-agent'"):
        plan.check(load(tmp_path, **task(model="tiny-agent")))


RECIPE = {
    "task": {"steps": 4, "routine": 0.5},
    "corpus": {"error_rate": 0.25},
    "training": {"width": 8, "layers": 3, "steps": 1, "seed": 0},
}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 16, "steps": 1}, "width 8, not 16"),
        ({"steps": 1}, "width 8, not 96"),
        (
            {"width": 8, "steps": 1, "task_options": {"routine": 0.0}},
            "task_options.routine 0.5, not 0.0",
        ),
        ({"width": 8, "steps": 1, "start": "tiny"}, "start None, not 'tiny'"),
    ],
)
def test_a_model_that_was_built_otherwise_is_refused(tmp_path, options, message):
    folder = tmp_path / "out" / "models" / "teacher"
    folder.mkdir(parents=True)
    (folder / "recipe.json").write_text(json.dumps(RECIPE))
    plan.check(load(tmp_path))
    with pytest.raises(ValueError, match=f"models/teacher was built with {message}"):
        plan.check(load(tmp_path, models={"teacher": options}))
