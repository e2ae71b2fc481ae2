"""The model of a run."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from scgrpo.evaluation.trained import sampling_options
from scgrpo.mistakes import ConfigError, nearest
from scgrpo.run_folder import RunFolder
from scgrpo.runs.run_config import RunConfig
from scgrpo.tasks import OWN
from scgrpo.tasks.own import own_options
from scgrpo.trainer.checkpoint import CheckpointError
from scgrpo.trainer.config import SCGRPOConfig
from scgrpo.trainer.manifest import MANIFEST
from scgrpo.trainer.wholeness import last_whole, read_checkpoint, report

PROMPTS = ("system_prompt", "chat_prompts")
"""Keys of a run that its evaluations have too."""
LONGEST = "max_completion_length"


def find_model(name: str) -> str:
    """The model that a name means: that of a run folder, else the name itself.

    Raises:
        ConfigError: for a folder without a model, or none beside runs, which is no hub id then.
        CheckpointError: for a damaged checkpoint, or a run in which all are.
    """
    folder = Path(name)
    if not folder.is_dir():
        _refuse_misspelt(folder)
        return name
    if any((folder / f).is_file() for f in ("config.json", "adapter_config.json")):
        _refuse_damaged(folder)
        return name
    run = RunFolder(folder)
    if run.model.is_dir():
        return str(run.model)
    search = last_whole(run.checkpoints, to_resume=False, own=run.config.exists())
    checkpoint = report(search, "give another model, or train again")
    if checkpoint is None:
        raise ConfigError(
            f"{name} holds no model: no config.json, and no model or checkpoint-N of a run; give a "
            "model folder, a run folder, or a script's output_dir."
        )
    return str(checkpoint)


def _refuse_misspelt(folder: Path) -> None:
    beside = folder.parent.iterdir() if folder.name and folder.parent.is_dir() else ()
    runs = sorted(p.name for p in beside if p.is_dir() and RunFolder(p).config.is_file())
    if runs and folder.parent != Path():
        near = nearest(folder.name, runs)
        meant = f"did you mean {folder.parent / near}?" if near else f"it has {', '.join(runs)}."
        raise ConfigError(f"there is no {folder.name!r} in {folder.parent}; {meant}")


def _refuse_damaged(folder: Path) -> None:
    if (folder / MANIFEST).exists():
        reading = read_checkpoint(folder, to_resume=False)
        if reading.trouble:
            raise CheckpointError(f"{folder} is not whole ({reading.trouble}); give another model.")


def as_in_training(model: str) -> dict[str, Any]:
    """What the model of a run was trained on, and how it was sampled, as options of an evaluation.

    Args:
        model: a run folder, its model or one of its checkpoints; there are none for another name.
    """
    folder = Path(model)
    if not folder.is_dir():
        return {}
    for place in (folder, *folder.resolve().parents[:2]):
        config = RunFolder(place).read_config() or {}
        if isinstance(config.get("trainer"), dict):
            subject = _subject(config.get("run"))
            if subject.get("task") == OWN:
                subject["max_new_tokens"] = config["trainer"].get(LONGEST)
            return sampling_options(config["trainer"]) | subject
    return {}


def as_would_train(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Likewise of a run that is still to come, from those of its keys that are set."""
    sampled = sampling_options(settings) | {
        key: settings[key] for key in PROMPTS if key in settings
    }
    own: dict[str, Any] = {}
    if "dataset" in settings:
        usual = SCGRPOConfig.__dataclass_fields__[LONGEST].default
        longest = settings.get(LONGEST, usual)
        own = {"task": OWN, "task_options": own_options(settings), "max_new_tokens": longest}
    return {name: value for name, value in sampled.items() if value != {}} | own


def _subject(run: Any) -> dict[str, Any]:
    """What a run is about, as options of an evaluation; nothing for that of a script."""
    if not isinstance(run, dict):
        return {}
    known = {spec.name for spec in fields(RunConfig)}
    config = RunConfig(**{key: value for key, value in run.items() if key in known})
    task, options = config.subject
    prompts = {key: getattr(config, key) for key in PROMPTS}
    return {"task": task, "task_options": options, **prompts}
