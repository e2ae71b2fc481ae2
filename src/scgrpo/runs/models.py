"""The model of a run."""

from pathlib import Path

from scgrpo.mistakes import ConfigError
from scgrpo.runs.run_folder import RunFolder
from scgrpo.trainer.checkpoint import last_complete_checkpoint


def find_model(name: str) -> str:
    """The model that a name means: that of a run folder, else the name itself.

    Raises:
        ConfigError: for a folder without a model.
    """
    folder = Path(name)
    if not folder.is_dir():
        return name
    if any((folder / f).is_file() for f in ("config.json", "adapter_config.json")):
        return name
    run = RunFolder(folder)
    if run.model.is_dir():
        return str(run.model)
    checkpoint = last_complete_checkpoint(run.checkpoints)
    if checkpoint is None:
        raise ConfigError(
            f"{name} holds no model: no config.json, and no model or checkpoints of a run; give a "
            "model folder or a run folder."
        )
    return str(checkpoint)
