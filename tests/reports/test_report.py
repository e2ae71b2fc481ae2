"""What the page says is what the files say."""

import json
import re

import numpy as np
import pyarrow.parquet as pq
import pytest

from scgrpo.evaluation.metrics import avg_at_k, pass_at_k
from scgrpo.reports import write_report
from scgrpo.reports.charts import all_charts, hierarchical_interval
from scgrpo.reports.rollouts import chosen_rollouts
from scgrpo.reports.runs import by_method, load_runs, read_rollouts
from tests.reports.fake_run import write_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return [
        write_run(folder / "sc-0", seed=0),
        write_run(folder / "sc-1", seed=1),
        write_run(folder / "grpo-0", preset="grpo"),
    ]


def page_data(path):
    (text,) = re.findall(r'id="data">(.*?)</script>', path.read_text(), flags=re.S)
    return json.loads(text)


def chart(runs, title):
    (found,) = [c for c in all_charts(by_method(load_runs(runs))) if c["title"] == title]
    return {series["label"]: series for series in found["series"]}


def rewards_of(run, step, split):
    rows = [json.loads(r) for r in (run / "eval" / f"step_{step:06d}.jsonl").open()]
    return np.array([r["reward"] for r in rows if r["split"] == split]).reshape(-1, 8)


def test_evaluation_curves_are_means_over_seeds(runs):
    for title, statistic in (("Avg@8, held-out", avg_at_k), ("Pass@8, held-out", pass_at_k)):
        for step, value, low, high in chart(runs, title)["sc-grpo"]["points"]:
            expected = np.mean([statistic(rewards_of(r, step, "heldout")) for r in runs[:2]])
            assert value == pytest.approx(expected, rel=1e-4)
            assert low <= value <= high


def test_interval_covers_seeds_and_problems():
    same = np.tile([[0.0, 1.0], [1.0, 1.0]], (20, 1))
    low, high = hierarchical_interval([same], avg_at_k)
    assert low < 0.75 < high
    narrow = hierarchical_interval([np.ones((40, 2))] * 3, avg_at_k)
    assert narrow == (1.0, 1.0)
    low, high = hierarchical_interval([np.zeros((40, 2)), np.ones((40, 2))], avg_at_k)
    assert (low, high) == (0.0, 1.0)


def test_metric_curves_are_the_logged_numbers(runs):
    logged = [
        {row["step"]: row for row in map(json.loads, (run / "metrics.jsonl").open())}
        for run in runs[:2]
    ]
    for step, value, low, high in chart(runs, "Entropy")["sc-grpo"]["points"]:
        values = [rows[step]["entropy"] for rows in logged]
        assert [value, low, high] == pytest.approx(
            [np.mean(values), min(values), max(values)], rel=1e-4
        )
    kl = chart(runs, "Divergence D, sc-grpo")
    assert set(kl) == {"P50", "P75", "P95", "c"}
    shares = chart(runs, "Routes, grpo")
    totals = np.sum([[p[1] for p in s["points"]] for s in shares.values()], axis=0)
    assert totals == pytest.approx(np.ones(100), rel=1e-4)


def test_rollouts_on_the_page_are_those_of_the_tables(runs):
    chosen, logged = chosen_rollouts(load_runs(runs[:1]))
    tables = sorted((runs[0] / "rollouts").glob("*.parquet"))
    assert logged == sum(pq.read_metadata(t).num_rows for t in tables)
    assert {r["step"] for r in chosen} == {0, 50, 100}
    assert {r["route"] for r in chosen} == {"partial", "none", "plain"}
    rows = {(r["step"], r["group"], r["index"]): r for t in tables for r in read_rollouts(t)}
    for rollout in chosen:
        row = rows[rollout["step"], rollout["group"], rollout["index"]]
        assert rollout["tokens"] == row["tokens"]
        assert [c == "1" for c in rollout["written"]] == row["written"]
        assert rollout["reward"] == row["reward"] and rollout["reference"] == row["reference"]
        if row["kl"] is None:
            assert rollout["kl"] is None and rollout["weight"] is None
        else:
            assert rollout["kl"] == pytest.approx(row["kl"], rel=1e-3)
            assert rollout["weight"] == pytest.approx(row["weight"], rel=2e-3)
    assert sum(r["teacher"] is not None for r in chosen) > 0


def test_one_file_that_needs_nothing_else(runs, tmp_path):
    page = write_report(runs, tmp_path / "report.html")
    text = page.read_text()
    assert not re.search(r'(?:src|href)="(?!data:)', text)
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert len(page_data(page)["rollouts"]) == 3 * 3 * 16
    assert "144 of 360" in text
    assert page.stat().st_size < 1_500_000


def test_summary_tiles(runs, tmp_path):
    text = write_report(runs[2:], tmp_path / "one.html").read_text()
    before, after = (avg_at_k(rewards_of(runs[2], step, "heldout")) for step in (0, 100))
    assert f"{before:.3f}</span>" in text and f"{after:.3f}</p>" in text
    assert ">3 min 08 s<" in text


def test_missing_parts_are_said(tmp_path):
    bare = write_run(tmp_path / "bare", eval_steps=0, rollout_steps=0)
    with (bare / "metrics.jsonl").open("a") as file:
        file.write('{"step": 101, "rew')
    text = write_report([bare], tmp_path / "bare.html").read_text()
    for note in ("bare has no evaluations.", "no logged rollouts", "ends in a half-written line"):
        assert note in text


def test_folder_that_is_no_run(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere is no run folder \(config.yaml and metrics"):
        write_report([tmp_path / "nowhere"], tmp_path / "x.html")
    with pytest.raises(ValueError, match="at least one run folder"):
        write_report([], tmp_path / "x.html")
