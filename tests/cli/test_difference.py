"""`scgrpo compare A B` of run folders: their last evaluations, on every split that both have."""

import json

import pytest
from rich.console import Console
from typer.testing import CliRunner

from scgrpo.cli.difference import show_difference
from scgrpo.cli.main import app
from scgrpo.mistakes import ConfigError


def evaluated(folder, step, rewards, split="heldout"):
    path = folder / "eval" / f"step_{step:06d}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        {"split": split, "problem_id": f"p{p}", "sample": k, "reward": reward}
        for p, row in enumerate(rewards)
        for k, reward in enumerate(row)
    ]
    with path.open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return folder


def shown(*given, split=None):
    console = Console(record=True, width=120)
    show_difference(given, split, console)
    return console.export_text()


def test_last_evaluations_of_two_runs(tmp_path):
    a = evaluated(tmp_path / "A", 9, [[1, 1], [1, 1]])
    evaluated(a, 100, [[1, 0], [0, 0]])  # Avg 0.25, later than step 9 though not by its letters
    b = evaluated(tmp_path / "B", 20, [[1, 1], [0, 1]])  # Avg 0.75
    evaluated(a, 100, [[1, 1]], "ood")
    evaluated(b, 20, [[0, 1]], "ood")
    text = shown(a, b)
    assert "A, step 100" in text and "B, step 20" in text
    assert "0.250" in text and "0.750" in text and "+0.500" in text
    assert text.index("heldout") < text.index("ood") and "-0.500" in text
    assert "heldout" not in shown(a, b, split="ood")
    assert "+0.000" in shown(a, a / "eval" / "step_000100.jsonl", split="ood")


def test_pass_has_as_many_tries_on_both_sides(tmp_path):
    """Of 4 samples 1 is solved: among 2 of them with 1 - (3 * 2) / (4 * 3) = 0.5."""
    a = evaluated(tmp_path / "A", 1, [[0, 0], [0, 0]])
    b = evaluated(tmp_path / "B", 1, [[1, 0, 0, 0.5], [0, 1, 0, 0.5]])
    text = shown(a, b)
    assert "Pass@2" in text and "0.500" in text and "+0.500" in text and "1.000" not in text
    assert "Avg@" not in text and "2 problems in both, 2 and 4 samples of each\n" in text
    for folder in (a, b):
        (folder / "config.yaml").write_text("trainer: {solve_threshold: 0.5}")
    # Now 2 of 4 are: 1 - (2 * 1) / (4 * 3) = 0.833.
    text = shown(a, b)
    assert "0.833" in text and "of each, solved from a reward of 0.5\n" in text
    same = shown(b, b)
    assert "Avg@4" in same and "Pass@4" in same and "both, 4 samples of each" in same
    (b / "config.yaml").unlink()
    differing = shown(a, b)
    assert "Pass@2" not in differing and "Avg" in differing
    assert "solved from a reward of 0.5 and 1, so that Pass@k is left out\n" in differing


def test_evaluations_by_themselves_lie_in_a_folder_of_the_same_name(tmp_path):
    """`scgrpo evaluate` writes runs/eval/NAME.jsonl, which is no run's own eval/step_N.jsonl."""
    (tmp_path / "config.yaml").write_text("trainer: {solve_threshold: 0.5}")
    evaluated(tmp_path, 1, [[1, 0.5]])
    for name in ("before", "after"):
        (tmp_path / "eval" / f"{name}.jsonl").write_text(
            (tmp_path / "eval" / "step_000001.jsonl").read_text()
        )
    text = shown(tmp_path / "eval" / "before.jsonl", tmp_path / "eval" / "after.jsonl")
    assert "before" in text and "after" in text and "solved from" not in text


def test_runs_that_cannot_be_compared(tmp_path):
    a, b = tmp_path / "A", evaluated(tmp_path / "B", 20, [[1]], "ood")
    a.mkdir()
    with pytest.raises(ConfigError, match=r"A holds no evaluation .*: scgrpo evaluate "):
        shown(a, b)
    evaluated(a, 1, [[1]])
    with pytest.raises(ConfigError, match=r"share no split \(heldout and ood\)"):
        shown(a, b)
    with pytest.raises(ConfigError, match="1 record files or run folders"):
        shown(a)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("a.jsonl b.jsonl --jobs 2", "--jobs is given, of which one of two evaluations takes noth"),
        ("-c x.yaml a.jsonl b.jsonl", "two evaluations is given, of which a comparison by a YAML"),
        ("x.yaml --split ood", "--split is given, of which a comparison by a YAML takes nothing"),
        ("x.yaml", "x.yaml does not exist"),
        ("x.yaml y.yaml --only grpo", "--only is given"),
    ],
)
def test_what_one_form_has_no_use_for_is_refused(arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["compare", *arguments.split()], env={"COLUMNS": "200"})
    assert result.exit_code == 2 and words in " ".join(result.output.split())
