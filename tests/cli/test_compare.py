"""`scgrpo compare --config`: a matrix of real, very short runs."""

import json
from io import StringIO
from typing import Any

import pytest
import yaml
from rich.console import Console
from typer.testing import CliRunner

from scgrpo.cli.compare import _Told, _write
from scgrpo.cli.main import app
from scgrpo.comparison.load import load_comparison
from scgrpo.comparison.plan import base_evaluations, main_runs, next_steps
from scgrpo.jobs import run_jobs
from scgrpo.locks import Lock
from scgrpo.run_folder import RunFolder
from tests.comparison.matrix import write_records
from tests.reports.fake_run import write_run
from tests.test_jobs import script as script

SETTINGS = {
    "max_steps": 2,
    "eval_steps": 0,
    "rollout_steps": 0,
    "per_device_train_batch_size": 16,
    "max_completion_length": 24,
}


def write(folder, methods, **changes):
    path = folder / "compare.yaml"
    matrix = {
        "name": "short",
        "output": str(folder / "out"),
        "tasks": {
            "sums": {
                "splits": {"heldout": 4},
                "validation": {"validation": 3},
                "options": {"steps": 2, "train_size": 16},
            }
        },
        "settings": SETTINGS,
        "methods": methods,
        "sweep": {"learning_rates": [1e-4, 2e-4], "seeds": [9]},
        "k": 2,
    }
    path.write_text(yaml.safe_dump(matrix | changes))
    return path


def compare(*arguments: Any) -> Any:
    return CliRunner().invoke(app, ["compare", *map(str, arguments)])


def test_dry_run_resolves_everything_and_writes_nothing(tmp_path):
    path = write(tmp_path, {"grpo": {"seeds": 5}, "sc-grpo": {"seeds": 2}})
    result = compare("--config", path, "--dry-run")
    assert result.exit_code == 0, result.output
    assert (
        "2 combinations of method and task resolve; 4 runs choose learning rates, 7 runs are"
        in (" ".join(result.output.split()))
    )
    assert not (tmp_path / "out").exists()


def test_a_second_comparison_in_the_same_folder_is_refused(tmp_path):
    path = write(tmp_path, {"grpo": {}})
    with Lock(tmp_path / "out" / "compare.lock", "comparing"):
        result = compare("--config", path)
    assert result.exit_code == 1
    assert "error: another process is comparing into" in result.stderr
    assert not (tmp_path / "out").exists()


def test_what_runs_is_seen_on_a_terminal_and_what_is_over_is_a_line(script):
    words = "import time; time.sleep(0.1); print('step 1/3  reward 0.5', flush=True); "
    job = script("train sums/grpo/s0", words + "time.sleep(0.4)")
    seen, console = [], Console(file=StringIO(), force_terminal=True, width=60)
    with _Told(console) as told:

        def tick(jobs):
            told(jobs)
            seen.append(str(told.status.status).strip())

        assert not run_jobs([job], tick, poll=0.02)
    assert seen[0] == "train sums/grpo/s0" and seen[-1] == "writing ..."
    assert "train sums/grpo/s0  step 1/3  reward 0.5" in seen
    assert "[1/1 so far, " in console.file.getvalue()
    quiet = Console(file=StringIO(), force_terminal=False)
    with _Told(quiet) as told:
        told([job])
        told([job])
    assert quiet.file.getvalue().count("\n") == 1


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ({"grpo": {"settings": {"lerning_rate": 1}}}, "unknown key 'lerning_rate'"),
        ({"grpo": {}, "opd": {}}, "teacher='model' needs teacher_model"),
        ({"grpo": {"settings": {"num_generations": 1}}}, "num_generations is 1"),
    ],
)
def test_dry_run_refuses_what_a_run_would(tmp_path, methods, message):
    result = compare("--config", write(tmp_path, methods), "--dry-run")
    assert result.exit_code == 2 and message in " ".join(result.output.split())


@pytest.mark.parametrize("options", [["--dry-run"], []])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"evaluation": {"engin": "vllm"}}, "unknown key 'engin' (evaluation); did you mean 'eng"),
        (
            {"evaluation": {"engine": "vlm"}},
            "evaluate sums/base/heldout cannot be: --engine is 'vlm'; choose one",
        ),
        ({"evaluation": {"url": "http://x"}}, "heldout cannot be: --url http://x belongs to"),
        (
            {"evaluation": {"temperature": "hot"}},
            "temperature is 'hot' (evaluation); it must be null or a number",
        ),
        ({"evaluation": {"pass_at": "1,9"}}, "--pass-at is '1,9'; write numbers from 1 to k = 2"),
        ({"evaluation": {"k": 4}}, "k stands in evaluation; take it out there"),
        ({"evaluation": {"limit": 4}}, "limit stands in evaluation; take it out there"),
        ({"models": {"x": {"widht": 3}}}, "unknown key 'widht' (models 'x'); did you mean 'width"),
        (
            {"models": {"x": {"width": 12}}},
            "build x cannot be: --width is 12; it must be a multiple of 8",
        ),
        (
            {"models": {"x": {"steps": "many"}}},
            "steps is 'many' (models 'x'); it must be null or a whole number",
        ),
        (
            {"models": {"x": {"task": "gsm8k"}}},
            "build x cannot be: --task is 'gsm8k'; a base can be",
        ),
        (
            {"models": {"x": {"task_options": {"rutine": 0}}}},
            "build x cannot be: --task-options is {'rutine': 0}; it may set seed, train_size",
        ),
    ],
)
def test_what_builds_and_evaluates_is_checked_before_anything_runs(
    tmp_path, changes, message, options
):
    result = compare("--config", write(tmp_path, {"grpo": {}}, **changes), *options)
    assert result.exit_code == 2 and message in " ".join(result.output.split())
    assert not (tmp_path / "out").exists()


def test_dry_run_knows_the_splits(tmp_path):
    tasks = {"sums": {"splits": {"aime24/test": None, "synthetic/late": 3}}}
    result = compare("--config", write(tmp_path, {"grpo": {}}, tasks=tasks), "--dry-run")
    assert result.exit_code == 2
    assert (
        "base/synthetic/late cannot be: split is 'late'; the synthetic task has train, heldout"
        in (" ".join(result.output.split()))
    )


def test_unknown_names_and_files(tmp_path):
    path = write(tmp_path, {"grpo": {}})
    assert (
        "unknown method 'ppo'; the methods are grpo"
        in compare("--config", path, "--only", "ppo").output
    )
    assert "unknown task 'x'; the tasks are sums" in compare("--config", path, "--task", "x").output
    assert "0 record files or run folders are given; give two" in " ".join(compare().output.split())


@pytest.mark.parametrize("level", ["comparison", "task", "method"])
def test_only_a_method_keeps_the_models_that_it_needs(tmp_path, level):
    methods = {"grpo": {}, "opd": {"learning_rate": 1e-4}, "dapo": {"learning_rate": 1e-4}}
    tasks = {"sums": {}, "other": {"model": "unused"}}
    matrix = {"settings": {}, "models": {"teacher": {}, "start": {}, "unused": {}}}
    named = {"teacher_model": "teacher", "model": "start"}
    {"comparison": matrix, "task": tasks["sums"], "method": methods["opd"]}[level].update(
        settings=named
    )
    comparison = load_comparison(write(tmp_path, methods, tasks=tasks, **matrix))
    steps = next_steps(comparison.narrowed(["opd"], ["sums"]), set())
    builds = {step.name for step in steps if step.name.startswith("build ")}
    assert builds == {"build teacher", "build start"}


@pytest.mark.slow
def test_a_matrix_is_run_resumed_and_survives_a_failure(tmp_path):
    methods = {
        "grpo": {"seeds": 1},
        "sc-grpo": {"seeds": 2, "learning_rate": 1e-4},
        "opd": {"seeds": 1, "learning_rate": 1e-4, "settings": {"teacher_model": "nowhere"}},
    }
    path = write(tmp_path, methods)
    first = compare("--config", path)
    assert first.exit_code == 1
    assert "train sums/opd/lr0.0001-s0" in first.output
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [(r["method"], r["seed"]) for r in results["runs"]] == [
        ("base", None), ("grpo", 0), ("sc-grpo", 0), ("sc-grpo", 1)
    ]  # fmt: skip
    assert results["sweeps"][0]["chosen"] in (1e-4, 2e-4)
    assert all(len(r["rewards"]["heldout"]) == 4 for r in results["runs"])
    trained = tmp_path / "out" / "sums" / "sc-grpo" / "lr0.0001-s0" / "model" / "config.json"
    made = trained.stat().st_mtime_ns
    again = compare("--config", path, "--only", "sc-grpo")
    assert again.exit_code == 0, again.output
    assert trained.stat().st_mtime_ns == made
    # What was not asked for this time keeps its row.
    kept = json.loads((tmp_path / "out" / "results.json").read_text())
    assert kept["runs"] == results["runs"] and "opd" in kept["groups"]
    assert "sc-grpo" in (tmp_path / "out" / "comparison.html").read_text()
    report = trained.parents[1] / "report.html"
    assert report.is_file() and kept["runs"][2]["folder"] == "sums/sc-grpo/lr0.0001-s0"
    assert (
        'href="sums/sc-grpo/lr0.0001-s0/report.html"'
        in (tmp_path / "out" / "comparison.html").read_text()
    )
    # More problems: what is there stays, the rest is sampled; nothing is trained again.
    del methods["opd"]
    task = {"splits": {"heldout": 6}, "validation": {"validation": 3}}
    tasks = {"sums": task | {"options": {"steps": 2, "train_size": 16}}}
    more = compare("--config", write(tmp_path, methods, tasks=tasks))
    assert more.exit_code == 0, more.output
    grown = json.loads((tmp_path / "out" / "results.json").read_text())["runs"]
    assert trained.stat().st_mtime_ns == made
    assert [len(run["rewards"]["heldout"]) for run in grown] == [6, 6, 6, 6]
    for before, after in zip(results["runs"], grown, strict=True):
        assert after["rewards"]["heldout"][:4] == before["rewards"]["heldout"]


def test_a_run_of_another_config_is_refused_before_anything_runs(tmp_path):
    folder = tmp_path / "out" / "sums" / "grpo" / "lr0.0001-s0"
    folder.mkdir(parents=True)
    (folder / "metrics.jsonl").write_text('{"step": 1}\n')
    run = {
        "preset": "grpo", "task": "synthetic", "model": "tiny", "seed": 0, "eval_steps": 0,
        "task_options": {"steps": 2, "train_size": 16}, "rollout_steps": 0,
    }  # fmt: skip
    trainer = {key: value for key, value in SETTINGS.items() if key not in run}
    trainer |= {"learning_rate": 1e-4, "max_steps": 3}
    RunFolder(folder).write_config({"run": run | {"trainer": trainer}})
    yaml_file = folder.with_name("lr0.0001-s0.yaml")
    yaml_file.write_text("kept")
    for more in ([], ["--dry-run"], ["--only", "sc-grpo"]):
        path = write(tmp_path, {"grpo": {"seeds": 1}, "sc-grpo": {"seeds": 1}}, baseline="sc-grpo")
        result = compare("--config", path, *more)
        assert result.exit_code == 2
        assert (
            f"{folder} was begun with another config (max_steps: 3 -> 2); restore these keys to go "
            "on with it, or choose another output, or delete it."
        ) in " ".join(result.output.split())
    assert yaml_file.read_text() == "kept"
    assert not (tmp_path / "out" / "logs").exists()


def test_runs_get_a_report_and_the_page_links_it(tmp_path):
    comparison = load_comparison(write(tmp_path, {"grpo": {"seeds": 2, "learning_rate": 1e-4}}))
    first, second = main_runs(comparison)
    for run in (first, second):
        write_run(run.folder.path, preset="grpo", steps=2, eval_steps=0, rollout_steps=2)
        for step in run.evaluations:
            write_records(step.records, [[1, 0], [0, 1]] * 2, step.split)
    for step in base_evaluations(comparison):
        write_records(step.records, [[0, 0], [0, 1]] * 2, step.split)
    _write(comparison, Console(quiet=True))
    reports = [run.folder.path / "report.html" for run in (first, second)]
    page = (comparison.folder / "comparison.html").read_text()
    for report in reports:
        link = report.relative_to(comparison.folder).as_posix()
        assert f'href="{link}"' in page and f'href="{link}#tokens-title"' in page
    made = [report.stat().st_mtime_ns for report in reports]
    _write(comparison, Console(quiet=True))
    assert [report.stat().st_mtime_ns for report in reports] == made
