"""What was found: numbers worked by hand, and the table and page that are made of them."""

import json
import re
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

from scgrpo.comparison import collect, plan
from scgrpo.evaluation.metrics import avg_at_k
from scgrpo.evaluation.seeds import seeded_difference, seeded_interval
from scgrpo.reports import rows
from scgrpo.reports.comparison import write_comparison
from scgrpo.reports.table import markdown
from tests.comparison.matrix import SCORES, load, validate, write_records
from tests.comparison.test_steps import make_records
from tests.reports.test_report import page_data


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
                    # Not logged before the first pair of a verified and a failed rollout.
                    **({"credit/teacher_auc": 0.5 + 0.1 * s} if s > 1 else {}),
                }
                for s in (1, 2, 3)
            ]
            lines = "\n".join(map(json.dumps, logged))
            run.folder.metrics.write_text(lines + "\n")
    return comparison


def written(comparison):
    path = comparison.folder / "results.json"
    rows.write_results(collect.results_of(comparison), path)
    return path


def test_rows_by_hand(finished):
    table = rows.rows(rows.read_results(written(finished)))
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
    path = written(finished)
    found = rows.read_results(path)
    assert found["runs"][1]["curves"] == {
        "reward": [0.1, 0.2, 0.3],
        "credit/teacher_auc": [0.7, 0.8],
    }
    text = markdown(found, rows.rows(found), "a machine")
    assert "| sc-grpo | 1 | 0.0001 | 0.750 [0.500, 1.000] | 1.000 [0.342, 1.000] " in text
    assert "**+0.500 [+0.500, +0.500]**" in text
    assert "| sums | grpo | 0.500 | 1.000 | 0.0002 |" in text
    page = write_comparison(path, tmp_path / "page.html", "a machine")
    (chart,) = page_data(page)["charts"]
    assert chart["title"] == "Training reward: methods"
    assert chart["series"][0]["points"] == [[1, 0.1], [2, 0.2], [3, 0.3]]
    assert "report.html" not in page.read_text()
    (run,) = (run for run in found["runs"] if run["method"] == "sc-grpo")
    report = path.parent / run["folder"] / "report.html"
    report.write_text("")
    page = write_comparison(path, path.parent / "page.html", "a machine")
    (link,) = re.findall(r'href="([^"]*report.html)"', page.read_text())
    assert (page.parent / unquote(link)).samefile(report)
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


def test_only_the_same_problems_are_compared(tmp_path):
    methods = {
        "grpo": {"seeds": 1, "learning_rate": 1e-4},
        "dapo": {"seeds": 1, "learning_rate": 1e-4},
    }
    comparison = load(tmp_path, methods=methods)
    grpo, dapo = plan.main_runs(comparison)
    for run in (grpo, dapo):
        make_records(run, [[1, 0], [0, 0]])
        run.folder.metrics.write_text('{"step": 3, "step_time": 1.0}\n')
    records = dapo.evaluations[0].records
    text = records.read_text()
    # The same problems in another order are put into the first one's.
    records.write_text("\n".join(reversed(text.splitlines())))
    found = collect.collect(comparison)
    assert [run["rewards"]["heldout"] for run in found] == [[[1, 0], [0, 0]]] * 2
    records.write_text(text.replace('"p1"', '"p7"'))
    with pytest.raises(ValueError, match=r"hold other problems .'p1' is in one of them only."):
        collect.collect(comparison)
