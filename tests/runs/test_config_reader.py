"""From a YAML file and overrides to a RunConfig."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from scgrpo.mistakes import ConfigError
from scgrpo.presets import PRESETS
from scgrpo.runs.config_reader import (
    all_keys,
    build,
    load_run_config,
    parse_overrides,
    read_mapping,
    run_config_of,
    run_keys,
)
from scgrpo.runs.run_config import RunConfig
from scgrpo.written.mappings import read_mapping_file


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    return path


def test_nothing_is_the_defaults() -> None:
    assert load_run_config(None) == RunConfig()


def test_file_and_command_line(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "preset: grpo\nseed: 3\nlearning_rate: 1e-6\ntask_options: {hops: 2, seed: 1}\n"
        "trainer:\n  max_steps: 20\n",
    )
    overrides = ["--seed", "4", "--task_options.hops=5", "--num-generations", "4", "--bf16"]
    overrides += ["--report_to", "wandb", "tensorboard"]
    config = load_run_config(path, overrides)
    assert (config.preset, config.seed) == ("grpo", 4)
    assert config.task_options == {"hops": 5, "seed": 1}
    assert config.trainer == {
        "learning_rate": 1e-6,
        "max_steps": 20,
        "num_generations": 4,
        "bf16": True,
        "report_to": ["wandb", "tensorboard"],
    }


def test_run_keys_win_over_trainer_keys_of_the_same_name() -> None:
    config = load_run_config(None, ["--output_dir", "x", "--eval_steps", "7"])
    assert (config.output_dir, config.eval_steps, config.trainer) == ("x", 7, {})


def test_negative_numbers_are_values() -> None:
    assert parse_overrides(["--temperature", "-1"])["temperature"].value == "-1"


def test_empty_file_is_no_mistake(tmp_path: Path) -> None:
    assert load_run_config(write(tmp_path, "# nothing yet\n")) == RunConfig()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- a\n- b\n", "holds no mapping of keys to values"),
        ("just words\n", "holds no mapping"),
        ("trainer: 3\n", "holds no mapping"),
        ("a: [1\n", r"run.yaml, line 2 is no valid YAML"),
        (
            "learning_rat: 1\n",
            r"unknown key 'learning_rat' \(.*run.yaml\); did you mean 'learning_ra",
        ),
        ("zzz: 1\n", "unknown key 'zzz'.*--list-keys"),
        ("trainer: {beat: 1}\n", "unknown key 'beat'.*did you mean 'beta'"),
        ("learning_rate: fast\n", r"learning_rate is 'fast' \(.*run.yaml\); it must be a number"),
        ("eval_k: 2.5\n", "eval_k is 2.5 .* it must be a whole number"),
        ("eval_k: 0\n", "eval_k is 0; it must be at least 1"),
        ("preset: sc-gpro\n", "unknown preset 'sc-gpro'; did you mean 'sc-grpo'"),
        ("task: synthetik\n", "unknown task 'synthetik'; did you mean 'synthetic'"),
        ("reward: a.py:f\n", "reward is 'a.py:f' but no dataset is given"),
        ("preset: 3\n", "preset is 3 .* it must be a text"),
        ("task_options: 3\n", "task_options is 3 .* it must be a mapping"),
        ("task_options: {1: 2}\n", r"task_options has the key 1 \(.*run.yaml\); write a name"),
        ("trainer: null\n", "trainer in .*run.yaml holds no mapping"),
        ("seed: 1\nseed: 2\n", "line 2 is no valid YAML: the key 'seed' stands twice"),
        ("seed: -1\n", "seed is -1; it must be at least 0"),
        ("learning_rate: 0\n", "learning_rate is 0.0; it must be a number above 0, such as 1e-6"),
        ("learning_rate: .inf\n", "learning_rate is inf; it must be a number above 0"),
        ("seed: 4294967296\n", "seed is 4294967296; it must be at most 4294967295"),
        ("seed: 2001-99-99\n", "seed is '2001-99-99' .*; it must be a whole number"),
        ("seed: .inf\n", r"seed is inf .*; it must be a whole number"),
        ("learning_rate: .nan\n", "learning_rate is nan .*; it must be a number"),
        ("lr_scheduler_type: [1]\n", r"lr_scheduler_type is \[1\] .* it must be one of linear"),
        ("name: a/../../b\n", "name is 'a/../../b', which leads out of output_dir"),
        ("name: ..\n", r"name is '\.\.', which leads out of output_dir"),
        ("name: .\n", r"name is '\.', which leads out of output_dir"),
        ("name: /b\n", "name is '/b', which leads out of output_dir"),
        ('name: "a\\nb"\n', r"name is 'a\\nb'; write it without control characters"),
        ('output_dir: "a\\x7f"\n', r"output_dir is 'a\\x7f'; write it without control"),
        (f"name: {'é' * 128}\n", "name is 'é{119} ...; that is too long for a folder"),
        (f"output_dir: {'ab/' * 1200}\n", "output_dir is .* that is too long for a folder"),
        (f"dataset: {'a' * 250}.csv\n", "dataset, after which the run is named, is .*too long"),
        (f"{'a' * 200}: 1\n", r"unknown key 'a{119} \.\.\. \("),
    ],
)
def test_mistakes_in_a_file(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        load_run_config(write(tmp_path, text))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["7"], "'7' on the command line belongs to no key"),
        (["--learning_rat", "1"], r"\(command line\); did you mean 'learning_rate'"),
        (["--seed"], r"seed is True \(command line\); it must be a whole number"),
        (["--seed", "1", "2"], "seed is .*; it must be a whole number"),
        (["--taks.hops", "2"], "unknown key 'taks'.*'task'"),
        (["--seed.x", "2"], "seed is .* it must be a whole number"),
        (["--task_options.a", "{b: ["], "^--task_options.a, line 1 is no valid YAML"),
        (["--task_options.a", "&a [*a]"], r"^--task_options.a, line 1 .* \*a is part of itself"),
        (["--name", "a\udcff"], r"'a\\udcff' on the command line is no text in UTF-8"),
        (["--seed", "9" * 30], "seed is '9{30}' .* a whole number of at most 64 bits"),
        (["--seed", "9" * 5000], r"seed is '9{119} \.\.\. .* a whole number of at most 64 bits"),
        (["--lora", "{a: " * 3000], "lora is '.*; it must be a mapping"),
    ],
)
def test_mistakes_on_the_command_line(overrides: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_run_config(None, overrides)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        load_run_config(tmp_path / "none.yaml")


def test_what_is_no_file_of_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config file .* is no file that can be read as YAML"):
        load_run_config(tmp_path)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ConfigError, match="fifo is no file that can be read"):
        load_run_config(tmp_path / "fifo")
    with pytest.raises(ConfigError, match=r"config file a{300} cannot be read \(.*too long"):
        load_run_config(Path("a" * 300))
    path = tmp_path / "run.yaml"
    for content in (b"seed: \xff", "seed: 1".encode("utf-16")):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match=r"run\.yaml is no text in UTF-8; save it as such"):
            load_run_config(path)
    path.write_bytes(b"# \n" * 2_000_000)
    with pytest.raises(ConfigError, match=r"run\.yaml has \d+ characters; at most"):
        load_run_config(path)


@pytest.mark.parametrize("name", ["a/b", "a..b", "2001-01-01", "é ü", "~"])
def test_names_of_folders_below_output_dir(tmp_path: Path, name: str) -> None:
    config = load_run_config(write(tmp_path, f"name: '{name}'\n"))
    assert config.folder_name == name


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{a: 1, a: 2}", "--task-options, line 1 is no valid YAML: the key 'a' stands twice"),
        ("{a: &b [*b]}", r"--task-options, line 1 is no valid YAML: \*b is part of itself"),
        ("{a: [", "--task-options, line 1 is no valid YAML"),
        ("[a]", r"--task-options is '\[a\]'; write a YAML mapping such as"),
    ],
)
def test_mistakes_in_a_mapping_on_the_command_line(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=f"^{words}"):
        read_mapping("task-options", text)
    assert read_mapping("task-options", "{a: 1, 2: x}") == {"a": 1, "2": "x"}


def test_every_key_has_help() -> None:
    assert all(key.help for key in run_keys().values())
    missing = [key.name for key in all_keys().values() if not key.help]
    assert not missing


def test_every_preset_fits_the_trainer() -> None:
    keys = all_keys()
    assert all(name in keys for preset in PRESETS.values() for name in preset())


def test_a_run_from_a_mapping_is_that_of_its_file(tmp_path: Path) -> None:
    values = {"preset": "grpo", "learning_rate": "1e-6", "trainer": {"max_steps": 20}}
    path = write(tmp_path, yaml.safe_dump(values))
    assert run_config_of(values, "run a") == load_run_config(path)
    with pytest.raises(ConfigError, match=r"unknown key 'sede' \(run a\); did you mean 'seed'"):
        run_config_of({"sede": 1}, "run a")
    with pytest.raises(ConfigError, match="run a holds no mapping"):
        run_config_of({"trainer": 3}, "run a")


@dataclass(frozen=True)
class Part:
    size: int = 1


@dataclass(frozen=True)
class Whole:
    name: str
    rate: float | None = None
    part: Part = field(default_factory=Part)
    made: int = field(default=0, init=False)


def test_a_dataclass_from_a_mapping() -> None:
    assert build(Whole, {"name": "a"}, "x") == Whole("a")
    assert build(Whole, {"name": "a", "rate": "1e-6", "part": Part(2)}, "x") == Whole(
        "a", 1e-6, Part(2)
    )


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"nam": "a"}, "unknown key 'nam' (row 1); did you mean 'name'?"),
        ({"zzz": 1}, "unknown key 'zzz' (row 1); known are name, rate, part."),
        ({"made": 1}, "unknown key 'made' (row 1); known are name, rate, part."),
        ({}, "row 1 lacks name; add it."),
        ({"name": 3}, "name is 3 (row 1); it must be a text."),
        ({"name": None}, "name is null (row 1); it must be a text."),
        ({"name": "a", "rate": "fast"}, "rate is 'fast' (row 1); it must be null or a number."),
        ({"name": "a", "part": {"zz": 1}}, "unknown key 'zz' (part of row 1); known are size."),
    ],
)
def test_mistakes_in_a_mapping(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build(Whole, values, "row 1")
    assert str(caught.value) == words


def test_a_mapping_of_a_file(tmp_path: Path) -> None:
    assert read_mapping_file(write(tmp_path, "{a: 1}"), "table") == {"a": 1}
    assert read_mapping_file(write(tmp_path, ""), "table") == {}
    with pytest.raises(ConfigError, match=r"table none\.yaml does not exist; check the path"):
        read_mapping_file(Path("none.yaml"), "table")


def test_a_key_that_is_written_with_both_a_dash_and_an_underscore_is_refused(tmp_path):
    """Which of the two holds would be a matter of their order."""
    path = write(tmp_path, "max_steps: 3\nmax-steps: 5")
    with pytest.raises(ConfigError, match="max_steps is written twice"):
        load_run_config(path)
