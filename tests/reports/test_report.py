"""What the page says is what the files say."""

import json
import re
from functools import cache
from importlib.resources import files
from itertools import combinations, product

import numpy as np
import pyarrow.parquet as pq
import pytest

from scgrpo.evaluation.metrics import avg_at_k, bootstrap_interval, pass_at_k
from scgrpo.evaluation.seeds import seeded_interval
from scgrpo.reports import rollouts as carried
from scgrpo.reports import write_report
from scgrpo.reports.charts import all_charts, evaluation_points
from scgrpo.reports.rollouts import chosen_rollouts
from scgrpo.reports.runs import by_method, load_runs
from scgrpo.run_folder import RunFolder
from tests.reports.fake_run import PROMPT, K, write_run


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


@cache
def charts_of(*runs):
    return all_charts(by_method(load_runs(runs)))


def chart(runs, title):
    charts = charts_of(*runs)
    (found,) = [c for c in charts if c["title"] == title or c["title"].startswith(f"{title}:")]
    return {series["label"].partition(":")[0]: series for series in found["series"]}


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
    low, high = seeded_interval([same], avg_at_k)
    assert low < 0.75 < high
    narrow = seeded_interval([np.ones((40, 2))] * 3, avg_at_k)
    assert narrow == pytest.approx((40 / (40 + 1.959964**2), 1.0))
    low, high = seeded_interval([np.zeros((40, 2)), np.ones((40, 2))], avg_at_k)
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
    chosen = chosen_rollouts(load_runs(runs[:1]))
    texts, tables = chosen["texts"], sorted((runs[0] / "rollouts").glob("*.parquet"))
    assert chosen["logged"] == sum(pq.read_metadata(t).num_rows for t in tables)
    assert {r["step"] for r in chosen["rollouts"]} == {0, 25, 50, 75, 100}
    assert {r["route"] for r in chosen["rollouts"]} == {"partial", "none", "plain"}
    assert sum(r["teacher"] is not None for r in chosen["rollouts"]) > 0
    rows = {
        (r["step"], r["group"], r["index"]): r for t in tables for r in pq.read_table(t).to_pylist()
    }
    assert all(rollout["tokens"] for rollout in chosen["rollouts"])
    for rollout in chosen["rollouts"]:
        row = rows[rollout["step"], rollout["group"], rollout["index"]]
        assert [texts[t] for t in rollout["tokens"]] == row["tokens"]
        assert texts[rollout["prompt"]] == row["prompt"]
        reference = rollout["referenceText"]
        assert (None if reference is None else texts[reference]) == row["reference_text"]
        assert [c == "1" for c in rollout["written"]] == row["written"]
        assert rollout["reward"] == row["reward"] and rollout["reference"] == row["reference"]
        if row["kl"] is None:
            assert rollout["kl"] is None and rollout["weight"] is None
        else:
            assert rollout["kl"] == pytest.approx(row["kl"], rel=1e-3)
            assert rollout["weight"] == pytest.approx(row["weight"], rel=1e-3)
        if rollout["teacher"] is not None:
            said = [[texts[top[0]], top[1]] for top in rollout["teacher"]]
            logged = [top[0] for top in row["teacher_top"]]
            assert [token for token, _ in said] == [top["token"] for top in logged]
            assert [p for _, p in said] == pytest.approx([t["prob"] for t in logged], abs=1e-3)
            assert rollout["logp"] == pytest.approx(row["logp"], rel=1e-3)
            assert rollout["teacherLogp"] == pytest.approx(row["teacher_logp"], rel=1e-3)
        assert texts[rollout["problem"]] == row["problem"]
        messages = [(texts[role], texts[text]) for role, text in rollout["messages"]]
        assert messages == [(m["role"], m["content"]) for m in row["messages"]]


def test_long_rollouts_stay_within_the_budget(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(carried, "TOKENS", 1500)
    monkeypatch.setattr(carried, "TOKENS_WITH_TOPS", 250)
    rollouts = chosen_rollouts(load_runs(runs[:1]))["rollouts"]
    whole = [r for r in rollouts if r["tokens"] is not None]
    assert 0 < sum(len(r["tokens"]) for r in whole) <= 1500
    assert {(r["step"], r["route"]) for r in whole} >= {
        (step, route) for step in (0, 50, 100) for route in ("partial", "none", "plain")
    }
    assert 0 < sum(len(r["tokens"]) for r in whole if r["teacher"]) <= 250
    groups = {(r["step"], r["group"]) for r in rollouts}
    assert len(rollouts) == 4 * len(groups) > len(whole)
    monkeypatch.setattr(carried, "TOKENS", 1)
    rollouts = chosen_rollouts(load_runs(runs[:1]))["rollouts"]
    whole = [r for r in rollouts if r["tokens"] is not None]
    assert len(whole) == len({r["step"] for r in whole}) == 5


def test_an_outline_has_the_means_of_what_the_model_wrote(tmp_path, monkeypatch):
    run = write_run(tmp_path / "run", steps=2, eval_steps=0, rollout_steps=2)
    monkeypatch.setattr(carried, "TOKENS", 1)
    monkeypatch.setattr(carried, "BINS", 12)
    rows = {
        (r["step"], r["group"], r["index"]): r
        for file in (run / "rollouts").glob("*.parquet")
        for r in pq.read_table(file).to_pylist()
    }
    found = [r for r in chosen_rollouts(load_runs([run]))["rollouts"] if r["tokens"] is None]
    for rollout in found:
        row = rows[rollout["step"], rollout["group"], rollout["index"]]
        assert rollout["size"] == len(row["tokens"])
        if row["kl"] is None:
            assert rollout["outline"] == {"kl": None, "weight": None}
            continue
        for part, said in zip(
            np.array_split(np.arange(len(row["tokens"])), 12),
            rollout["outline"]["weight"],
            strict=True,
        ):
            own = [row["weight"][i] for i in part if row["written"][i]]
            assert said == (pytest.approx(np.mean(own), rel=0.01) if own else None)
    assert any(None in r["outline"]["weight"] for r in found if r["isTaught"])


def test_the_same_problem_is_followed_over_the_steps(runs):
    chosen = chosen_rollouts(load_runs(runs[:1]))
    visits = {}
    for rollout in chosen["rollouts"]:
        visits.setdefault(rollout["problem"], set()).add(rollout["step"])
    # Problem (group + step) % 7 of six groups at steps 0, 25, 50, 75 and 100.
    assert max(map(len, visits.values())) >= 4
    extra = [r for r in chosen["rollouts"] if r["step"] in (25, 75)]
    assert extra and {r["problem"] for r in extra} <= {
        r["problem"] for r in chosen["rollouts"] if r["step"] in (0, 50, 100)
    }


def test_tables_of_the_first_version_are_read(tmp_path):
    run = write_run(tmp_path / "old", steps=10, eval_steps=0, rollout_steps=5, old=True)
    found = page_data(write_report([run], tmp_path / "x.html"))
    assert len(found["rollouts"]) == 3 * 4 * 4
    assert all(r["messages"] is None and r["teacherLogp"] is None for r in found["rollouts"])
    assert {found["texts"][r["problem"]] for r in found["rollouts"]} == {PROMPT}


def test_unscored_rollouts_and_unbounded_divergences(tmp_path):
    run = write_run(tmp_path / "run", steps=2, eval_steps=0, rollout_steps=2)
    file = run / "rollouts" / "step_000002.parquet"
    rows = pq.read_table(file).to_pylist()
    rows[0]["reward"] = float("nan")
    rows[0]["kl"][3] = float("inf")
    RunFolder(run).write_rollouts(2, rows)
    (found,) = [
        r
        for r in page_data(write_report([run], tmp_path / "x.html"))["rollouts"]
        if (r["step"], r["group"], r["index"]) == (2, 0, 0)
    ]
    assert found["reward"] is None and found["kl"][3] is None


def test_one_file_that_needs_nothing_else(runs, tmp_path):
    page = write_report(runs, tmp_path / "report.html")
    text = page.read_text()
    assert not re.search(r'(?:src|href)="(?!data:)', text)
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    shown = len(page_data(page)["rollouts"])
    assert shown >= 3 * 3 * 16 and f"{shown} of 360 logged rollouts" in text
    assert page.stat().st_size < 1_500_000


def test_summary_tiles(runs, tmp_path):
    text = write_report(runs[2:], tmp_path / "one.html").read_text()
    before, after = (avg_at_k(rewards_of(runs[2], step, "heldout")) for step in (0, 100))
    assert f"{before:.3f}</span>" in text and f"{after:.3f}</p>" in text
    for step, said in ((0, "before"), (100, "step 100")):
        interval = bootstrap_interval(rewards_of(runs[2], step, "heldout"), avg_at_k)
        assert "{}: {:.3f} to {:.3f}".format(said, *interval) in text
    assert ">3 min 10 s<" in text


def test_splits_of_other_names_are_shown_as_well(tmp_path):
    run = write_run(tmp_path / "run", steps=25, rollout_steps=0)
    for file in (run / "eval").iterdir():
        text = file.read_text().replace('"heldout"', '"test"').replace('"ood"', '"all"')
        file.write_text(text)
    page = write_report([run], tmp_path / "page.html")
    titles = [c["title"] for c in page_data(page)["charts"]]
    assert titles[:4] == ["Avg@8, test", "Pass@8, test", "Avg@8, all", "Pass@8, all"]
    after = avg_at_k(rewards_of(run, 25, "test"))
    assert f"{after:.3f}</p>" in page.read_text() and "Test Avg@8" in page.read_text()


def test_solved_is_what_the_run_counts_as_solved(tmp_path):
    run = write_run(tmp_path / "half", steps=25, rollout_steps=0, method={"solve_threshold": 0.5})
    for file in (run / "eval").iterdir():
        file.write_text(file.read_text().replace('"reward": 1.0', '"reward": 0.8'))
    rewards = rewards_of(run, 25, "heldout")
    expected = np.mean(rewards.max(1) >= 0.5)
    assert rewards.max() == 0.8 and expected > 0.5
    (line,) = chart([run], "Pass@8, held-out").values()
    assert line["points"][-1][1] == pytest.approx(expected, rel=1e-4)
    page = write_report([run], tmp_path / "half.html")
    assert page_data(page)["solved"] == [0.5]
    assert f"{expected:.3f}</p>" in page.read_text()


def test_missing_parts_are_said(tmp_path):
    bare = write_run(tmp_path / "bare", steps=5, eval_steps=0, rollout_steps=0)
    with (bare / "metrics.jsonl").open("a") as file:
        file.write('{"step": 101, "rew')
    text = write_report([bare], tmp_path / "bare.html").read_text()
    for note in ("bare has no evaluations.", "no logged rollouts", "metrics.jsonl: line 6 is no"):
        assert note in text
    assert "<summary>" not in text
    others = [
        write_run(tmp_path / f"bare-{i}", steps=1, eval_steps=0, rollout_steps=0) for i in (1, 2)
    ]
    text = write_report([bare, *others], tmp_path / "more.html").read_text()
    assert "<summary>7 notes on missing or unreadable parts</summary>" in text


def test_broken_parts_are_left_out_and_said(tmp_path):
    run = write_run(tmp_path / "run", steps=4, eval_steps=2, rollout_steps=2)
    (run / "rollouts" / "step_000002.parquet").write_bytes(b"PAR1 cut")
    short = run / "eval" / "step_000002.jsonl"
    short.write_text(short.read_text()[:-30])
    metrics = (run / "metrics.jsonl").read_text().split("\n")
    (run / "metrics.jsonl").write_text("\n".join([metrics[0], "}", *metrics[1:]]))
    page = write_report([run], tmp_path / "x.html")
    text = page.read_text()
    for note in (
        "step_000002.parquet is unreadable",
        "is not whole for ood",
        "jsonl: line 2 is no",
    ):
        assert note in text
    assert {r["step"] for r in page_data(page)["rollouts"]} == {0, 4}
    charts = {c["title"]: c for c in page_data(page)["charts"]}
    ood, heldout = (charts[f"Avg@8, {n}"] for n in ("out of distribution", "held-out"))
    assert [p[0] for p in ood["series"][0]["points"]] == [0, 4]
    assert [p[0] for p in heldout["series"][0]["points"]] == [0, 2, 4]
    assert len(charts["Entropy"]["series"][0]["points"]) == 4


def test_a_changed_byte_in_rollouts_is_noticed(tmp_path):
    run = write_run(tmp_path / "run", steps=4, eval_steps=0, rollout_steps=2)
    file = run / "rollouts" / "step_000002.parquet"
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 1
    file.write_bytes(content)
    page = write_report([run], tmp_path / "x.html")
    assert "step_000002.parquet is unreadable" in page.read_text()
    assert {r["step"] for r in page_data(page)["rollouts"]} == {0, 4}


def test_run_before_its_first_step(tmp_path):
    run = write_run(tmp_path / "new", steps=0, eval_steps=0, rollout_steps=0)
    (run / "metrics.jsonl").touch()
    assert "new has logged no step yet." in write_report([run], tmp_path / "x.html").read_text()


def test_settings_tell_runs_of_one_preset_apart(tmp_path):
    bare = {"steps": 2, "eval_steps": 0, "rollout_steps": 0}
    runs = [
        write_run(tmp_path / f"run-{i}", seed=i, method={"threshold_percentile": p}, **bare)
        for i, p in enumerate((75.0, 90.0, 75.0))
    ]
    methods = by_method(load_runs(runs))
    assert {name: [run.name for run in own] for name, own in methods.items()} == {
        "sc-grpo (threshold percentile 75.0)": ["run-0", "run-2"],
        "sc-grpo (threshold percentile 90.0)": ["run-1"],
    }


def test_seeds_are_matched_by_problem(tmp_path):
    bare = {"steps": 0, "eval_steps": 1, "rollout_steps": 0}
    runs = [write_run(tmp_path / f"run-{i}", seed=i, **bare) for i in range(2)]
    for run in runs:
        (run / "metrics.jsonl").touch()
    before = evaluation_points(load_runs(runs), "heldout", avg_at_k)
    file = runs[1] / "eval" / "step_000000.jsonl"
    lines = file.read_text().split("\n")[:-1]
    file.write_text("\n".join(reversed(lines)))
    assert evaluation_points(load_runs(runs), "heldout", avg_at_k) == before
    file.write_text("\n".join(lines[K:]))
    assert evaluation_points(load_runs(runs), "heldout", avg_at_k) == []


def test_folder_that_is_no_run(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere is no run folder \(no config.yaml, metrics"):
        write_report([tmp_path / "nowhere"], tmp_path / "x.html")
    with pytest.raises(ValueError, match="at least one run folder"):
        write_report([], tmp_path / "x.html")
    run = write_run(tmp_path / "run", steps=1, eval_steps=0, rollout_steps=0)
    (run / "config.yaml").write_text("[1, 2")
    with pytest.raises(ValueError, match=r"config.yaml is no YAML mapping; restore it"):
        write_report([run], tmp_path / "x.html")


def test_no_mean_below_twenty_steps_and_the_steps_themselves_behind_it(tmp_path):
    bare = {"eval_steps": 0, "rollout_steps": 0}
    for steps, long in ((19, False), (20, True)):
        run = write_run(tmp_path / str(steps), steps=steps, **bare)
        (line,) = chart([run], "Training reward").values()
        logged = [json.loads(row)["reward"] for row in (run / "metrics.jsonl").open()]
        assert [p[1] for p in line["points"]] == pytest.approx(logged, rel=1e-4)
        assert len(line["mean"]) == (steps if long else 0)
    assert line["mean"][0][1] == pytest.approx(np.mean(logged[:5]), rel=1e-4)
    assert line["mean"][9][1] == pytest.approx(np.mean(logged[5:14]), rel=1e-4)
    shares = chart([tmp_path / "19"], "Routes, sc-grpo")
    rows = [json.loads(row) for row in (tmp_path / "19" / "metrics.jsonl").open()]
    assert [p[1] for p in shares["plain"]["points"]] == pytest.approx(
        [row["credit/route_plain"] for row in rows], rel=1e-4
    )


def test_the_first_step_counts_in_the_time(tmp_path):
    run = write_run(tmp_path / "run", steps=3, eval_steps=0, rollout_steps=0)
    rows = [{"step": s, "time": 1000 + 10 * s, "step_time": 40.0, "reward": 0.5} for s in (1, 2, 3)]
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert ">1 min 00 s<" in write_report([run], tmp_path / "x.html").read_text()


def test_legends_name_the_runs(runs, tmp_path):
    charts = charts_of(*runs)
    (reward,) = [c for c in charts if c["title"] == "Training reward"]
    assert [s["label"] for s in reward["series"]] == ["sc-grpo: sc-0, sc-1", "grpo: grpo-0"]
    bare = {"steps": 1, "eval_steps": 0, "rollout_steps": 0}
    many = [write_run(tmp_path / f"run-{i}", seed=i, **bare) for i in range(5)]
    charts = all_charts(by_method(load_runs(many)))
    assert charts[0]["series"][0]["label"] == "sc-grpo: run-0, run-1, 3 more"


def test_palettes_of_runs_routes_percentiles_and_phases_are_apart(runs):
    """No colour stands for two things: at least 12 apart in CIELAB (about 2 can be seen)."""
    css = (files("scgrpo.reports") / "assets" / "report.css").read_text()
    used = {s["colour"] for c in charts_of(*runs) for s in c["series"]}
    palettes = (
        [f"c{i}" for i in range(8)],
        ["plain", "partial", "none"],
        ["p50", "p75", "p95", "scale"],
        ["generate", "student-pass", "teacher-pass", "update"],
    )
    assert used <= {name for palette in palettes for name in palette}
    themes = [block for block in css.split(":root")[1:] if "--c0" in block]
    assert len(themes) == 3
    for theme in themes:
        colours = {n: lab(v) for n, v in re.findall(r"--([\w-]+): (#[0-9a-f]{6});", theme)}
        for one, other in combinations(palettes, 2):
            for a, b in product(one, other):
                distance = np.linalg.norm(colours[a] - colours[b])
                assert distance >= 12, (a, b, distance)


def lab(colour):
    """CIELAB of an sRGB colour, D65."""
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    mix = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.array(mix) @ linear / [0.9505, 1, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])
