"""The examples are configs that the command line accepts."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from scgrpo.cli.config import load_run_config
from scgrpo.cli.main import app

FOLDER = Path(__file__).parents[2] / "examples"
EXAMPLES = sorted(FOLDER.rglob("run.yaml"))
COMPARISONS = sorted((FOLDER / "comparison").glob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.parent.name)
def test_example_is_a_config(path):
    config = load_run_config(path)
    assert config.trainer["max_steps"] == 200 and config.preset == "sc-grpo"


@pytest.mark.parametrize("path", COMPARISONS, ids=lambda p: p.stem)
def test_comparison_resolves_all_but_the_downloads(path):
    result = CliRunner().invoke(app, ["compare", "--config", str(path), "--dry-run"])
    assert result.exit_code == 0, result.output
    assert "combinations of method and task resolve" in " ".join(result.output.split())
