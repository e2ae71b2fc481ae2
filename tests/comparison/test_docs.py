"""docs/compare.md: its example is a comparison, and its tables have the keys that there are."""

import re
from dataclasses import fields
from pathlib import Path

from scgrpo.comparison.config import Comparison, MethodRow, TaskRow
from scgrpo.comparison.load import load_comparison

PAGE = (Path(__file__).parents[2] / "docs" / "compare.md").read_text(encoding="utf-8")


def test_the_example_is_a_comparison(tmp_path):
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
    (tmp_path / "compare.yaml").write_text(text)
    comparison = load_comparison(tmp_path / "compare.yaml")
    assert list(comparison.methods) == ["grpo", "sc-grpo", "sc-grpo-p50"]


def test_every_key_is_documented():
    tables = re.findall(r"\| key \| default \| \|\n\|---\|---\|---\|\n((?:\|.*\n)+)", PAGE)
    documented = [re.findall(r"^\| `(\w+)`", table, flags=re.MULTILINE) for table in tables]
    kinds = (Comparison, MethodRow, TaskRow)
    known = [{spec.name for spec in fields(kind)} for kind in kinds]
    # The names of rows are the keys that they stand under.
    assert [set(keys) for keys in documented] == [
        known[0],
        known[1] - {"name"},
        known[2] - {"name"},
    ]
