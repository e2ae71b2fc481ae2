"""Trackers of `report_to` get the rollouts: with the real packages, where they are installed."""

import html
import json
import re
from importlib.util import find_spec

import numpy as np
import pyarrow.parquet as pq
import pytest

from scgrpo.mistakes import ConfigError
from scgrpo.trainer import tracking
from tests.test_metrics_page import PAGE, is_documented
from tests.trainer.runs import config, trainer

RECORD = {
    "step": 3, "group": 0, "index": 1, "prompt": "<b>Q</b>", "completion": "a<b c",
    "tokens": ["a<", "b ", "c"], "written": [True, False, True], "reward": 1.0, "route": "partial",
    "advantage": 2.0, "weight": [0.25, 9.0, 0.75], "kl": [0.1, 7.0, float("inf")],
}  # fmt: skip
PLAIN = RECORD | {"group": 1, "route": "plain", "kl": None, "weight": [1.0, 1.0, 1.0]}


def needs(name):
    there = find_spec(name) is not None
    return pytest.mark.skipif(not there, reason=f"{name} is not installed")


def test_rows_and_histograms_by_hand():
    one, plain = tracking.table([RECORD, PLAIN])
    # Of the two tokens that the model wrote: (0.25 + 0.75) / 2, and twice that.
    assert one["mean weight"] == 0.5 and one["effective advantage"] == 1.0
    assert plain["mean weight"] == 1.0 and plain["effective advantage"] == 2.0
    assert tuple(one) == tracking.COLUMNS
    own = tracking.table([RECORD | {"token_advantage": [4.0, 100.0, -4.0]}])
    assert own[0]["effective advantage"] == pytest.approx((0.25 * 4 - 0.75 * 4) / 2)
    found = tracking.histograms([RECORD, PLAIN])
    assert found == {"credit/kl": [0.1], "credit/weight": [0.25, 0.75]}
    assert tracking.histograms([PLAIN]) == {}


def test_the_heatmap_shades_by_weight_and_escapes_text():
    page = tracking.heatmap([RECORD | {"weight": [0.25, 0.0, 0.5]}])
    alphas = re.findall(r'title="f ([\d.]+), D (\w[\w.]*) nats" style="[^"]*, ([\d.]+)\)"', page)
    assert alphas == [("0.25", "0.1", "0.35"), ("0.5", "inf", "0.70")]
    assert '">b</span> <span' in page  # the space behind a word is not shaded
    spaces = tracking.heatmap(
        [RECORD | {"tokens": ["<|im_end|>", "  ", " c"], "special": [True, False, False]}]
    )
    assert (
        "im_end" not in spaces
        and '">\u25aa</span><span' in spaces
        and '">  </span> <span' in spaces
    )
    assert "a&lt;" in page and "<b>Q" not in page and html.escape("<b>Q</b>") in page
    both = tracking.heatmap([RECORD | {"group": g} for g in range(5)] + [PLAIN | {"group": 9}])
    assert re.findall(r"group (\d)", both) == ["0", "9", "1"]  # each route first, then in order


@pytest.mark.parametrize("name", tracking.TRACKERS)
def test_a_tracker_that_is_missing_is_one_sentence(name, tmp_path, monkeypatch):
    real = tracking.find_spec
    monkeypatch.setattr(tracking, "find_spec", lambda m: None if m == name else real(m))
    with pytest.raises(ConfigError, match=f"report_to names {name}, which is not installed; pip"):
        tracking.check_trackers(["none", name])
    tracking.check_trackers("none")
    tracking.check_trackers(None)


def run(folder, name):
    args = config(folder, report_to=[name], max_steps=2, rollout_steps=2)
    made = trainer(args)
    assert made.args.run_name == folder.name
    made.train()
    (file,) = (folder / "rollouts").iterdir()
    return tracking.table(pq.read_table(file).to_pylist()), pq.read_table(file).to_pylist()


def explained(name):
    """Whether docs/metrics.md has what a tracker calls by this name; `_runtime` is its own."""
    of_trackers = PAGE.partition("## In a tracker")[2]
    cells = re.findall(r"^\| ([^`|]+) \|", of_trackers, re.MULTILINE)
    names = {name for cell in cells for name in cell.split(", ")}
    if name.startswith("_") or name in names:
        return True
    if "profiling/Time taken: PART" in names and name.startswith("profiling/Time taken: "):
        return True
    return {"train/NAME", "eval/NAME"} <= names and is_documented(name.partition("/")[2])


@needs("tensorboard")
def test_tensorboard(tmp_path, monkeypatch):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "board"))
    rows, records = run(tmp_path / "run", "tensorboard")
    events = EventAccumulator(
        str(tmp_path / "board"), size_guidance={"tensors": 0, "histograms": 0}
    )
    events.Reload()
    (histogram,) = events.Histograms("credit/kl")
    values = tracking.histograms(records)["credit/kl"]
    assert histogram.step == 0 and histogram.histogram_value.num == len(values) > 0
    assert histogram.histogram_value.sum == pytest.approx(np.sum(values), rel=1e-3)
    (text,) = events.Tensors("rollouts/table/text_summary")
    lines = text.tensor_proto.string_val[0].decode().splitlines()
    assert len(lines) == 2 + tracking.SHOWN and "effective advantage" in lines[0]
    assert f"{rows[0]['mean weight']:.4g}" in lines[2]


@needs("wandb")
def test_wandb_offline(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    import wandb

    rows, _ = run(tmp_path / "run", "wandb")
    assert wandb.run.name == "run"
    summary = dict(wandb.run.summary)
    wandb.finish()
    assert len(summary) > 40
    assert [name for name in summary if not explained(name)] == []
    media = tmp_path / "wandb" / "latest-run" / "files" / "media"
    (page,) = media.rglob("*.html")
    assert "Shaded by f" in page.read_text()
    (file,) = media.rglob("*.table.json")
    found = json.loads(file.read_text())
    assert found["columns"] == list(tracking.COLUMNS)
    assert found["data"] == [list(row.values()) for row in rows]
    assert summary["credit/weight"]["_type"] == summary["credit/kl"]["_type"] == "histogram"


@needs("trackio")
def test_trackio_offline(tmp_path, monkeypatch):
    import trackio.sqlite_storage
    import trackio.utils

    for module in (trackio.sqlite_storage, trackio.utils):
        monkeypatch.setattr(module, "TRACKIO_DIR", tmp_path / "trackio")
    rows, _ = run(tmp_path / "run", "trackio")
    logs = trackio.sqlite_storage.SQLiteStorage.get_logs("huggingface", "run")
    (found,) = [row for row in logs if "rollouts/heatmap" in row]
    assert found["step"] == 0
    assert found["rollouts/table"]["_value"] == [dict(row) for row in rows]
    assert found["credit/weight"]["_type"] == "trackio.histogram"
