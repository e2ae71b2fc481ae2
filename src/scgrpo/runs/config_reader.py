"""The one reader of configuration: YAML files, command-line overrides, mappings in memory."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from scgrpo.mistakes import ConfigError, nearest, require_known, shown
from scgrpo.runs.run_config import RunConfig
from scgrpo.tasks import DEFAULT_TASK, require_task
from scgrpo.written.mappings import mapping, read_mapping_file
from scgrpo.written.plain import can_be_written, plain_keys
from scgrpo.written.values import Misfit, coerce
from scgrpo.written.yaml_text import read_yaml

Kind = TypeVar("Kind")


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
    content = {} if path is None else read_mapping_file(path, "config file")
    settings = _settings_of(content, str(path))
    for name, setting in parse_overrides(overrides).items():
        _override(settings, name, setting)
    config = _run_config(settings)
    if "model" not in settings and config.task_name != DEFAULT_TASK:
        own = "dataset" if config.task is None else "task"
        raise ConfigError(
            f"{own} is {getattr(config, own)!r}, but no model is given; set model (by default it "
            f"is the shipped toy, which can only do the {DEFAULT_TASK} task)."
        )
    return config


def run_config_of(values: Mapping[str, Any], place: str) -> RunConfig:
    """The run that a mapping describes, as if it stood in a file.

    Args:
        values: keys of a run and of `SCGRPOConfig`, those of the latter also under `trainer`.
        place: where they stand, for messages.

    Raises:
        ConfigError: for a key or value that cannot be, with the nearest known key.
    """
    return _run_config(_settings_of(values, place))


def build(kind: type[Kind], values: Mapping[str, Any], place: str) -> Kind:
    """A dataclass from a mapping, each value of its field's type.

    A field may be a dataclass, or a mapping of them by name, which they know as their `name`; a
    list of names stands for such a mapping to nothing.

    Args:
        kind: the dataclass.
        values: by field, as YAML has them; `-` in a name is `_`, in mappings of settings too.
        place: where they stand, for messages.

    Raises:
        ConfigError: for a key that is unknown, with the nearest one, a field that is missing, or a
            value that does not fit.
    """
    known = {field.name: field for field in fields(kind) if field.init}  # type: ignore[arg-type]
    hints = get_type_hints(kind)
    values = plain_keys(values)
    for name in values:
        if name not in known:
            raise unknown_key(name, place, known, f"known are {', '.join(known)}.")
    for name, field in known.items():
        if name not in values and field.default is field.default_factory is MISSING:
            raise ConfigError(f"{place} lacks {name}; add it.")
    return kind(**{name: _built(name, v, hints[name], place) for name, v in values.items()})


def read_mapping(option: str, text: str) -> dict[str, Any]:
    """A mapping written as YAML on the command line.

    Raises:
        ConfigError: for anything else.
    """
    values = read_yaml(text, f"--{option}")
    if not isinstance(values, dict):
        raise ConfigError(
            f"--{option} is {shown(text)}; write a YAML mapping such as '{{steps: 4, seed: 1}}'."
        )
    return {str(name): value for name, value in values.items()}


def parse_overrides(arguments: Sequence[str]) -> dict[str, Setting]:
    """`--key value ...` pairs; a key without a value means true, one with several a list.

    Raises:
        ConfigError: for a value without a key, or one that is no text.
    """
    collected: dict[str, list[str]] = {}
    current: list[str] | None = None
    for argument in arguments:
        if not can_be_written(argument):
            raise ConfigError(f"{shown(argument)} on the command line is no text in UTF-8.")
        if argument.startswith("--") and len(argument) > 2:
            name, equals, value = argument[2:].partition("=")
            current = collected[name.replace("-", "_")] = [value] if equals else []
        elif current is None:
            raise ConfigError(
                f"{shown(argument)} on the command line belongs to no key; write --key."
            )
        else:
            current.append(argument)
    return {name: Setting(_joined(values), "command line") for name, values in collected.items()}


def unknown_key(name: str, place: str, known: Iterable[str], otherwise: str) -> ConfigError:
    """The error for a key that is none of the known ones.

    Args:
        name: the key.
        place: where it stands.
        known: keys that there are.
        otherwise: what is said where none of them is near.
    """
    near = nearest(name, known)
    cure = f"did you mean {near!r}?" if near else otherwise
    return ConfigError(f"unknown key {shown(name)} ({place}); {cure}")


def _settings_of(content: Mapping[str, Any], place: str) -> dict[str, Setting]:
    """Keys by name; those under `trainer` count as if they stood at the top."""
    nested = mapping(content.get("trainer", {}), f"trainer in {place}")
    flat = {name: value for name, value in content.items() if name != "trainer"} | nested
    return {name: Setting(value, place) for name, value in plain_keys(flat).items()}


def _joined(values: list[str]) -> Any:
    if not values:
        return True
    return values[0] if len(values) == 1 else values


def _override(settings: dict[str, Setting], name: str, setting: Setting) -> None:
    name, dot, entry = name.partition(".")
    if not dot:
        settings[name] = setting
        return
    before = settings[name].value if name in settings else {}
    value = setting.value
    if isinstance(value, str):
        value = read_yaml(value, f"--{name}.{entry}")
    if isinstance(before, dict):
        value = before | {entry: value}
    settings[name] = Setting(value, setting.place)


def _built(name: str, value: Any, hint: Any, place: str) -> Any:
    if is_dataclass(hint) and isinstance(value, dict):
        return build(hint, value, f"{name} of {place}")  # type: ignore[arg-type]
    if not (get_origin(hint) is dict and is_dataclass(get_args(hint)[1])):
        fitted = _fitted(name, Setting(value, place), hint, as_written=True)
        return plain_keys(fitted) if hint == dict[str, Any] else fitted
    value = dict.fromkeys(map(str, value)) if isinstance(value, list) else value
    if not isinstance(value, dict) or not value:
        raise ConfigError(f"{place} names no {name}; write {name}: with a mapping of names.")
    rows = {}
    for row, keys in value.items():
        said = f"{name} {row!r} of {place}"
        if not isinstance(keys, dict | None):
            raise ConfigError(f"{said} is {shown(keys)}; write a mapping of keys, or nothing.")
        rows[str(row)] = build(get_args(hint)[1], {"name": str(row), **(keys or {})}, said)
    return rows


def _run_config(settings: Mapping[str, Setting]) -> RunConfig:
    keys = all_keys()
    run: dict[str, Any] = {}
    trainer: dict[str, Any] = {}
    for name, setting in settings.items():
        if name not in keys:
            every = "`scgrpo train --list-keys` shows all keys."
            raise unknown_key(name, setting.place, keys, every)
        values = run if keys[name].of_run else trainer
        values[name] = _fitted(name, setting, keys[name].hint)
    config = RunConfig(**run, trainer=trainer)
    _check_run(config)
    return config


def _fitted(name: str, setting: Setting, hint: Any, *, as_written: bool = False) -> Any:
    value = setting.value
    try:
        fitted = coerce(value, hint, as_written=as_written)
    except Misfit as misfit:
        said = "null" if value is None else shown(value)
        raise ConfigError(f"{name} is {said} ({setting.place}); it must be {misfit}.") from None
    for key in fitted if isinstance(fitted, dict) else ():
        if not isinstance(key, str):
            raise ConfigError(f"{name} has the key {shown(key)} ({setting.place}); write a name.")
    return fitted


def _check_run(config: RunConfig) -> None:
    from scgrpo.presets import PRESETS

    require_known("preset", config.preset, PRESETS)
    if config.task is not None:
        require_task(config.task)
    for key in ("reward", "eval_dataset", "eval_share"):
        if getattr(config, key) is not None and config.dataset is None:
            raise ConfigError(
                f"{key} is {getattr(config, key)!r} but no dataset is given; set dataset, or leave "
                f"{key} out, since a task has its own."
            )
    require_known("dtype", config.dtype, ("float32", "bfloat16"))
    for name, least in _LEAST.items():
        if getattr(config, name) < least:
            raise ConfigError(f"{name} is {getattr(config, name)}; it must be at least {least}.")
    rate = config.trainer.get("learning_rate")
    if rate is not None and not 0 < rate < float("inf"):
        raise ConfigError(f"learning_rate is {rate}; it must be a number above 0, such as 1e-6.")
    if config.seed > _LARGEST_SEED:
        raise ConfigError(f"seed is {config.seed}; it must be at most {_LARGEST_SEED}.")
    _check_folder(config)


def _check_folder(config: RunConfig) -> None:
    """Refuse a run folder that is none of its own below `output_dir`, or that no disk can hold."""
    name = Path(config.folder_name)
    after = "task" if config.task_name else "dataset"
    said = "name" if config.name is not None else f"{after}, after which the run is named,"
    if name.is_absolute() or ".." in name.parts or not name.parts:
        raise ConfigError(
            f"{said} is {shown(config.folder_name)}, which leads out of output_dir; give a name, "
            "and set output_dir for another place."
        )
    for key, path in {said: name, "output_dir": Path(config.output_dir)}.items():
        if any(character < " " or character == "\x7f" for character in str(path)):
            raise ConfigError(f"{key} is {shown(str(path))}; write it without control characters.")
        lengths = [len(os.fsencode(part)) for part in path.parts]
        if sum(lengths) > _LONGEST_PATH or max(lengths, default=0) > _LONGEST_NAME:
            raise ConfigError(f"{key} is {shown(str(path))}; that is too long for a folder.")


_LONGEST_NAME, _LONGEST_PATH = 255, 2048
_LEAST = {"seed": 0, "eval_k": 1, "eval_problems": 1, "eval_steps": 0, "rollout_steps": 0}
_LARGEST_SEED = 2**32 - 1
"""Of numpy's generator, which transformers seeds too."""


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
