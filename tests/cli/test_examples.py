"""The examples are configs that the command line accepts."""

from pathlib import Path

import pytest

from scgrpo.cli.config import load_run_config

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").rglob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.parent.name)
def test_example_is_a_config(path):
    config = load_run_config(path)
    assert config.trainer["max_steps"] == 200 and config.preset == "sc-grpo"
