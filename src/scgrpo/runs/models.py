"""The model of a run."""

from pathlib import Path
from typing import Any

from scgrpo.evaluation.trained import sampling_options
from scgrpo.mistakes import ConfigError
from scgrpo.runs.run_folder import RunFolder
from scgrpo.trainer.wholeness import last_whole, report


def find_model(name: str) -> str:
    """The model that a name means: that of a run folder, else the name itself.

    Raises:
        ConfigError: for a folder without a model.
        CheckpointError: for a run whose checkpoints are all damaged.
    """
    folder = Path(name)
    if not folder.is_dir():
        return name
    if any((folder / f).is_file() for f in ("config.json", "adapter_config.json")):
        return name
    run = RunFolder(folder)
    if run.model.is_dir():
        return str(run.model)
    search = last_whole(run.checkpoints, to_resume=False, own=True)
    checkpoint = report(search, "give another model, or train again")
    if checkpoint is None:
        raise ConfigError(
            f"{name} holds no model: no config.json, and no model or checkpoints of a run; give a "
            "model folder or a run folder."
        )
    return str(checkpoint)


def sampled_in_training(model: str) -> dict[str, Any]:
    """How the model of a run was sampled in training, as options of an evaluation.

    Args:
        model: a run folder, its model or one of its checkpoints; there are none for another name.
    """
    folder = Path(model)
    if not folder.is_dir():
        return {}
    for place in (folder, *folder.resolve().parents[:2]):
        trainer = (RunFolder(place).read_config() or {}).get("trainer")
        if isinstance(trainer, dict):
            return sampling_options(trainer)
    return {}
