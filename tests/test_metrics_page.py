"""docs/metrics.md: every number that is logged stands there, and none that never is."""

import inspect
import re
from pathlib import Path

import pytest
from trl import GRPOTrainer

from scgrpo.cli.progress_text import facts
from scgrpo.files import read_jsonl
from scgrpo.presets import PRESETS
from scgrpo.run_folder import RunFolder
from tests.trainer.runs import config, trainer

PAGE = (Path(__file__).parents[1] / "docs" / "metrics.md").read_text()
ROWS = [
    [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
    for line in PAGE.splitlines()
    if line.startswith("| `")
]
DOCUMENTED = [row[0].strip("`") for row in ROWS]
OURS = ("credit/", "distill/", "memory/", "time/")
TOGETHER = ("sc-grpo-memory", "dapo", "grpo+fkl-warmed", "gtpo")
"""Presets that log together all that the others do."""


def pattern(name):
    """Capitals stand for a name of the user's."""
    return re.sub(r"[A-Z]+", "[^/]+", re.escape(name))


def is_documented(name):
    return any(re.fullmatch(pattern(known), name) for known in DOCUMENTED)


def logged_by(preset, folder):
    trainer(config(folder, preset, max_steps=1)).train()
    return {name for row in read_jsonl(RunFolder(folder).metrics) for name in row}


@pytest.mark.slow
def test_every_logged_number_is_explained_and_no_other(tmp_path):
    logged = {p: logged_by(p, tmp_path / p) for p in TOGETHER}
    names = set().union(*logged.values())
    assert [name for name in sorted(names) if not is_documented(name)] == []
    ours = {name for name in DOCUMENTED if name.startswith(OURS)}
    assert ours == {name for name in names if name.startswith(OURS)}


@pytest.mark.slow
@pytest.mark.parametrize("preset", sorted(set(PRESETS) - set(TOGETHER)))
def test_what_every_preset_logs_is_explained(preset, tmp_path):
    try:
        names = logged_by(preset, tmp_path)
    except (ValueError, OSError) as error:
        pytest.skip(f"needs what the tiny run has not: {error}")
    assert [name for name in sorted(names) if not is_documented(name)] == []


def test_numbers_of_trl_are_explained():
    source = inspect.getsource(inspect.getmodule(GRPOTrainer))
    names = set(re.findall(r'_metrics\[mode\]\["([^"]+)"\]', source))
    assert len(names) > 20
    assert [name for name in sorted(names) if not is_documented(name)] == []


def test_a_number_stands_once_with_what_it_is_and_its_unit():
    assert len(set(DOCUMENTED)) == len(DOCUMENTED)
    assert all(len(row) == 4 and row[1] for row in ROWS)


def test_labels_of_the_progress_line_are_explained_in_the_help():
    from typer.testing import CliRunner

    from scgrpo.cli.main import app

    logs = {
        "reward": 0.5, "completions/mean_length": 41.26, "completions/clipped_ratio": 0.125,
        "credit/route_partial": 0.5, "credit/route_none": 0.25, "credit/route_plain": 0.25,
        "credit/threshold_c": 0.0312,
    }  # fmt: skip
    shown = facts(logs, 3, 200, ("8", 0.4), 1234.0, 61.0)
    assert shown == {
        "step": "3/200", "reward": "0.500", "length": "41", "clipped": "12%", "Avg@8": "0.400",
        "routes": "partial 50% none 25% plain 25%", "c": "0.031", "tokens/s": "1,234",
        "left": "1:01",
    }  # fmt: skip
    said = CliRunner().invoke(app, ["train", "--help"], env={"COLUMNS": "120"}).output
    lines = said.partition("While it trains")[2]
    page = PAGE.partition("## In the progress line")[2].partition("## ")[0]
    for label in shown:
        label = label.replace("@8", "@k")
        assert re.search(rf"^\W*{re.escape(label)} ", lines, re.MULTILINE), label
        assert f"`{label}`" in page
