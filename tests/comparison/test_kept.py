"""What an earlier call left: finished work is recognised, completed, or refused."""

import json

import pytest
import yaml

from scgrpo.comparison import plan, results
from tests.comparison.test_comparison import SCORES, load, validate, write_records

SETTINGS = {"seed": 1234, "temperature": 1.0, "top_p": 1.0, "engine": "transformers"}
MADE = SETTINGS | {"task": "synthetic", "task_options": {"steps": 2}, "max_new_tokens": 88}


def task(**changes):
    row = {"splits": {"heldout": 2}, "validation": {"validation": 2}, "options": {"steps": 2}}
    return {"tasks": {"sums": row | changes}}


def first_run(comparison):
    return next(run for run in plan.main_runs(comparison) if run.method.name == "opd")


def begin(run):
    """The YAML and the first step of a run."""
    run.write_config()
    run.folder.mkdir(parents=True)
    (run.folder / "metrics.jsonl").write_text('{"step": 1}\n')


def make_records(run, rewards, **settings):
    path = run.records("heldout")
    write_records(path, rewards, "heldout")
    lines = [json.loads(line) | MADE | settings for line in path.read_text().splitlines()]
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


def evaluation_of(comparison):
    (step,) = first_run(comparison).evaluations(comparison.tasks["sums"].splits.items())
    return step


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"settings": {"max_steps": 5}}, r"made with max_steps 3, and the comparison asks for 5"),
        ({"settings": {}}, "made with max_steps 3, and the comparison asks for none"),
        (
            {"settings": {"max_steps": 3, "num_generations": 4}},
            "made with num_generations none, and the comparison asks for 4",
        ),
        (
            task(options={"steps": 3}),
            r"made with task_options \{'steps': 2\}, .* asks for \{'steps': 3\}",
        ),
    ],
)
def test_a_begun_run_of_another_config_is_refused(tmp_path, changes, message):
    run = first_run(load(tmp_path))
    begin(run)
    kept = run.config_file.read_text()
    changed = load(tmp_path, **changes)
    with pytest.raises(ValueError, match=f"run sums/opd/lr0.0003-s0 was {message}"):
        plan.refuse_others(changed)
    first_run(changed).write_config()
    assert run.config_file.read_text() == kept


def test_the_same_run_is_recognised_however_its_yaml_is_written(tmp_path):
    run = first_run(load(tmp_path))
    begin(run)
    content = yaml.safe_load(run.config_file.read_text())
    content |= {"output_dir": "elsewhere", "learning_rate": "3e-4"}
    run.config_file.write_text(yaml.safe_dump(dict(sorted(content.items()))))
    plan.refuse_others(load(tmp_path))


def test_a_run_that_failed_before_its_first_step_is_begun_anew(tmp_path):
    run = first_run(load(tmp_path))
    run.write_config()
    (run.folder / "checkpoints").mkdir(parents=True)
    (run.folder / "metrics.jsonl").touch()
    changed = load(tmp_path, settings={"max_steps": 5})
    plan.refuse_others(changed)
    first_run(changed).write_config()
    assert yaml.safe_load(run.config_file.read_text())["max_steps"] == 5


def test_every_rate_of_a_sweep_is_looked_at(tmp_path):
    """Also runs that the sweep has not chosen yet, which a later call would table."""
    comparison = load(tmp_path)
    validate(comparison, SCORES)
    begin(next(run for run in plan.main_runs(comparison) if run.name == "sums/grpo/lr0.0002-s1"))
    for run in plan.sweep_runs(comparison):
        run.records("validation").unlink()
    with pytest.raises(ValueError, match=r"run sums/grpo/lr0.0002-s1 was made with max_steps"):
        plan.refuse_others(load(tmp_path, settings={"max_steps": 5}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 5}, "seed 1234, and the comparison asks for 5"),
        ({"evaluation": {"temperature": 0.6}}, "temperature 1.0, and the comparison asks for 0.6"),
        ({"evaluation": {"engine": "vllm"}}, "engine 'transformers', .* asks for 'vllm'"),
        ({"evaluation": {"max_new_tokens": 9}}, "max_new_tokens 88, .* asks for 9"),
        (
            {"evaluation": {"template_options": {"enable_thinking": False}}},
            "template_options none, .* asks for {'enable_thinking': False}",
        ),
        (task(options={"steps": 3}), "task_options {'steps': 2}, .* asks for {'steps': 3}"),
        (task(splits={"heldout": 1}), "problems 2, and the comparison asks for 1"),
        ({"k": 1}, "k 2, and the comparison asks for 1"),
    ],
)
def test_records_of_another_evaluation_are_refused(tmp_path, changes, message):
    path = make_records(first_run(load(tmp_path)), [[1, 0], [0, 0]])
    plan.refuse_others(load(tmp_path))
    with pytest.raises(ValueError, match=f"made with {message}.*, or delete {path}"):
        plan.refuse_others(load(tmp_path, **changes))


def test_what_does_not_shape_the_samples_may_change(tmp_path):
    make_records(first_run(load(tmp_path)), [[1, 0], [0, 0]])
    options = {"batch_tokens": 99, "concurrency": 4, "temperature": 1, "max_new_tokens": 88}
    plan.refuse_others(load(tmp_path, evaluation=options))


def test_an_option_that_was_dropped_is_refused_where_a_note_tells(tmp_path):
    comparison = load(tmp_path, evaluation={"max_new_tokens": 9})
    make_records(first_run(comparison), [[1, 0], [0, 0]], max_new_tokens=9)
    evaluation_of(comparison).asked.write_note()
    plan.refuse_others(comparison)
    with pytest.raises(ValueError, match=r"made with max_new_tokens 9, .* asks for none"):
        plan.refuse_others(load(tmp_path))


@pytest.mark.parametrize("changes", [task(splits={"heldout": 3}), {"k": 3}])
def test_more_problems_or_samples_are_evaluated(tmp_path, changes):
    comparison = load(tmp_path)
    make_records(first_run(comparison), [[1, 0], [0, 0]])
    assert evaluation_of(comparison).is_done()
    more = load(tmp_path, **changes)
    plan.refuse_others(more)
    assert not evaluation_of(more).is_done()
    # Not in the table before it is, and named.
    assert results.unfinished(more) == ["evaluate sums/opd/lr0.0003-s0/heldout"]
    assert results.collect(more) == []


def test_a_split_with_fewer_problems_than_asked_is_done_once(tmp_path):
    for wanted in (None, 300):
        comparison = load(tmp_path, **task(splits={"heldout": wanted}))
        make_records(first_run(comparison), [[1, 0], [0, 0]])
        assert not evaluation_of(comparison).is_done()
        evaluation_of(comparison).asked.write_note()
        assert evaluation_of(comparison).is_done()
        evaluation_of(comparison).asked.note.unlink()


def test_the_untrained_model_is_known_by_its_records(tmp_path):
    comparison = load(tmp_path)
    path = plan.base_records(comparison, comparison.tasks["sums"], "heldout")
    write_records(path, [[1, 0], [0, 0]], "heldout")
    drawn = MADE | {"model": "tiny"}
    lines = [json.loads(line) | drawn for line in path.read_text().splitlines()]
    path.write_text("\n".join(map(json.dumps, lines)))
    plan.refuse_others(comparison)
    with pytest.raises(ValueError, match=r"made with model 'tiny', .* asks for 'tiny-agent'"):
        plan.refuse_others(load(tmp_path, **task(model="tiny-agent")))


RECIPE = {
    "task": {"steps": 4, "routine": 0.5},
    "corpus": {"error_rate": 0.25},
    "training": {"width": 8, "layers": 3, "steps": 1, "seed": 0},
}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 16, "steps": 1}, "width 8, and the comparison asks for 16"),
        ({"steps": 1}, "width 8, and the comparison asks for 96"),
        (
            {"width": 8, "steps": 1, "task_options": {"routine": 0.0}},
            "task_options.routine 0.5, and the comparison asks for 0.0",
        ),
    ],
)
def test_a_model_that_was_built_otherwise_is_refused(tmp_path, options, message):
    folder = tmp_path / "out" / "models" / "teacher"
    folder.mkdir(parents=True)
    (folder / "recipe.json").write_text(json.dumps(RECIPE))
    plan.refuse_others(load(tmp_path))
    with pytest.raises(ValueError, match=f"model teacher was built with {message}"):
        plan.refuse_others(load(tmp_path, models={"teacher": options}))


def test_only_the_same_problems_are_compared(tmp_path):
    methods = {
        "grpo": {"seeds": 1, "learning_rate": 1e-4},
        "dapo": {"seeds": 1, "learning_rate": 1e-4},
    }
    comparison = load(tmp_path, methods=methods)
    grpo, dapo = plan.main_runs(comparison)
    for run in (grpo, dapo):
        make_records(run, [[1, 0], [0, 0]])
        (run.folder / "metrics.jsonl").write_text('{"step": 3, "step_time": 1.0}\n')
    text = dapo.records("heldout").read_text()
    # The same problems in another order are put into the first one's.
    dapo.records("heldout").write_text("\n".join(reversed(text.splitlines())))
    found = results.collect(comparison)
    assert [run["rewards"]["heldout"] for run in found] == [[[1, 0], [0, 0]]] * 2
    dapo.records("heldout").write_text(text.replace('"p1"', '"p7"'))
    with pytest.raises(ValueError, match=r"hold other problems .'p1' is in one of them only."):
        results.collect(comparison)


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
        results.rows(found)
