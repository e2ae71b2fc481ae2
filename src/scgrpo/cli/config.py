"""From a YAML file and command-line overrides to a `RunConfig`, every key and type checked."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

import yaml

from scgrpo.cli.errors import ConfigError
from scgrpo.cli.values import Misfit, coerce
from scgrpo.runs.run_config import RunConfig


@dataclass(frozen=True)
class Key:
    """A key of a run's config."""

    name: str
    hint: Any
    default: Any
    help: str
    of_run: bool
    """Whether `RunConfig` has it; else it goes to `SCGRPOConfig`."""


@dataclass(frozen=True)
class Setting:
    """A value as it was written, and where."""

    value: Any
    place: str


def run_keys() -> dict[str, Key]:
    """Keys of `RunConfig` itself, without `trainer`; imports nothing heavy."""
    keys = _keys_of(RunConfig, of_run=True)
    del keys["trainer"]
    return keys


def all_keys() -> dict[str, Key]:
    """Keys of a run and of `SCGRPOConfig`; where both have a key, the run's is meant."""
    from scgrpo.trainer.config import SCGRPOConfig

    return _keys_of(SCGRPOConfig, of_run=False) | run_keys()


def load_run_config(path: Path | None, overrides: Sequence[str] = ()) -> RunConfig:
    """The run that a file and the command line describe; the command line wins.

    Args:
        path: YAML file with a mapping of keys, or None.
        overrides: `--key value`, `--key=value`, `--flag`, `--dict_key.entry value`.

    Raises:
        ConfigError: for a file, key or value that cannot be, with the nearest known key.
    """
    keys = all_keys()
    settings = read_yaml(path) if path is not None else {}
    for name, setting in parse_overrides(overrides).items():
        _override(settings, name, setting, keys)
    values = {name: _checked(name, setting, keys) for name, setting in settings.items()}
    run = {name: value for name, value in values.items() if keys[name].of_run}
    trainer = {name: value for name, value in values.items() if not keys[name].of_run}
    config = RunConfig(**run, trainer=trainer)
    _check_run(config)
    return config


def read_yaml(path: Path) -> dict[str, Setting]:
    """Keys of a YAML file; those under `trainer:` count as if they stood at the top.

    Raises:
        ConfigError: for a missing file, broken YAML, or YAML that is no mapping.
    """
    if not path.is_file():
        raise ConfigError(f"config file {path} does not exist; check the path.")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not readable as text"
        raise ConfigError(f"{path}{line} is no valid YAML: {problem}.") from error
    if content is None:
        content = {}
    nested = content.get("trainer", {}) if isinstance(content, dict) else {}
    if not isinstance(content, dict) or not isinstance(nested, dict):
        raise ConfigError(
            f"{path} holds no mapping of keys to values; write lines such as 'preset: sc-grpo'."
        )
    flat = {name: value for name, value in content.items() if name != "trainer"} | nested
    return {str(name): Setting(value, str(path)) for name, value in flat.items()}


def parse_overrides(arguments: Sequence[str]) -> dict[str, Setting]:
    """`--key value ...` pairs; a key without a value means true, one with several a list.

    Raises:
        ConfigError: for a value without a key.
    """
    collected: dict[str, list[str]] = {}
    current: list[str] | None = None
    for argument in arguments:
        if argument.startswith("--") and len(argument) > 2:
            name, equals, value = argument[2:].partition("=")
            current = collected[name.replace("-", "_")] = [value] if equals else []
        elif current is None:
            raise ConfigError(f"{argument!r} on the command line belongs to no key; write --key.")
        else:
            current.append(argument)
    return {name: Setting(_joined(values), "command line") for name, values in collected.items()}


def _joined(values: list[str]) -> Any:
    if not values:
        return True
    return values[0] if len(values) == 1 else values


def _override(
    settings: dict[str, Setting], name: str, setting: Setting, keys: Mapping[str, Key]
) -> None:
    name, dot, entry = name.partition(".")
    if not dot:
        settings[name] = setting
        return
    before = settings[name].value if name in settings else {}
    value = setting.value
    if isinstance(value, str):
        value = yaml.safe_load(value)
    if isinstance(before, dict):
        value = before | {entry: value}
    settings[name] = Setting(value, setting.place)


def _checked(name: str, setting: Setting, keys: Mapping[str, Key]) -> Any:
    if name not in keys:
        raise ConfigError(_unknown(name, setting.place, keys))
    try:
        return coerce(setting.value, keys[name].hint)
    except Misfit as misfit:
        raise ConfigError(
            f"{name} is {setting.value!r} ({setting.place}); it must be {misfit}."
        ) from None


def _unknown(name: str, place: str, keys: Mapping[str, Key]) -> str:
    near = difflib.get_close_matches(name, keys, n=1, cutoff=0.6)
    cure = f"did you mean {near[0]!r}?" if near else "`scgrpo train --list-keys` shows all keys."
    return f"unknown key {name!r} ({place}); {cure}"


def _check_run(config: RunConfig) -> None:
    from scgrpo.presets import PRESETS
    from scgrpo.tasks import available_tasks

    require_known("preset", config.preset, PRESETS)
    if config.task is not None:
        require_known("task", config.task, available_tasks())
    if config.reward is not None and config.dataset is None:
        raise ConfigError(
            f"reward is {config.reward!r} but no dataset is given; set dataset, or leave reward "
            "out, since a task has its own."
        )
    require_known("dtype", config.dtype, ("float32", "bfloat16"))
    for name, least in _LEAST.items():
        if getattr(config, name) < least:
            raise ConfigError(f"{name} is {getattr(config, name)}; it must be at least {least}.")


def read_mapping(option: str, text: str) -> dict[str, Any]:
    """A mapping written as YAML on the command line.

    Raises:
        ConfigError: for anything else.
    """
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError:
        values = None
    if not isinstance(values, dict):
        raise ConfigError(
            f"--{option} is {text!r}; write a YAML mapping such as '{{steps: 4, seed: 1}}'."
        )
    return {str(name): value for name, value in values.items()}


def require_known(kind: str, name: str, known: Iterable[str]) -> None:
    """Refuse a name that is none of the known ones.

    Raises:
        ConfigError: with the nearest known name and all of them.
    """
    known = list(known)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        meant = f"did you mean {near[0]!r}? The" if near else "the"
        raise ConfigError(f"unknown {kind} {name!r}; {meant} {kind}s are {', '.join(known)}.")


_LEAST = {"eval_k": 1, "eval_problems": 1, "eval_steps": 0, "rollout_steps": 0}


def _keys_of(config: type, *, of_run: bool) -> dict[str, Key]:
    hints = get_type_hints(config)
    return {
        field.name: Key(
            field.name,
            hints[field.name],
            _default(field),
            str(field.metadata.get("help") or ""),
            of_run,
        )
        for field in fields(config)
        if field.init
    }


def _default(field: Any) -> Any:
    if field.default is not MISSING:
        return field.default
    return field.default_factory() if field.default_factory is not MISSING else None
