"""One training run from its `RunConfig` to its run folder, resumed where it stopped."""

import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PrinterCallback,
    TrainerCallback,
)

from scgrpo.embedded.shipped import SHIPPED, local_name
from scgrpo.presets import load_preset
from scgrpo.runs.callbacks import EvaluationCallback, RunFolderCallback
from scgrpo.runs.data import Source, load_source
from scgrpo.runs.records import Decoder, rollout_records
from scgrpo.runs.run_config import RunConfig
from scgrpo.runs.run_folder import RunFolder
from scgrpo.trainer.checkpoint import is_complete, last_complete_checkpoint
from scgrpo.trainer.config import SCGRPOConfig
from scgrpo.trainer.dynamic_sampling import DataExhausted
from scgrpo.trainer.rewards import RewardError
from scgrpo.trainer.trainer import SCGRPOTrainer, WeighedBatch

INSPECTED_ROLLOUTS = 16
MAY_CHANGE = {"resume", "output_dir", "name", "save_steps", "save_total_limit", "logging_steps"}
"""Keys that a resumed run may have otherwise than when it was begun."""

RUN_DEFAULTS: dict[str, Any] = {
    "logging_steps": 1,
    "logging_nan_inf_filter": False,
    "report_to": "none",
    "save_strategy": "steps",
    "save_steps": 50,
    "save_total_limit": 2,
    "disable_tqdm": True,
    "max_steps": 200,
}


def run_folder(config: RunConfig) -> RunFolder:
    """Where the run of this config lives."""
    subject = config.task or (Path(config.dataset).stem if config.dataset else "synthetic")
    name = config.name or f"{config.preset}-{subject}-s{config.seed}"
    return RunFolder(Path(config.output_dir) / name)


def train(config: RunConfig, callbacks: Sequence[TrainerCallback] = ()) -> Path:
    """Train, or go on training.

    Args:
        config: what to run.
        callbacks: further callbacks of the trainer, such as a progress display.

    Returns:
        The run folder, whose `model` holds the trained model.

    Raises:
        ValueError: for a config, data or model that cannot work, before any compute is spent.
        CheckpointError: if a checkpoint cannot be written; earlier ones are whole.
    """
    folder = run_folder(config)
    source = load_source(config)
    args = trainer_arguments(config, source, folder)
    checkpoint = _checkpoint_to_resume(config, folder)
    _check_same_run(config, folder, resuming=checkpoint is not None)
    done = _step_of(checkpoint) if checkpoint else 0
    is_done = 0 < args.max_steps <= done
    if is_done and (folder.model / "config.json").exists():
        return folder.path
    trainer = _build_trainer(config, source, args, folder, callbacks)
    if trainer.accelerator.is_main_process:
        folder.write_config(describe(config, args))
        if checkpoint is not None:
            folder.rewind(done)
    if is_done:
        trainer._load_from_checkpoint(str(checkpoint))
    else:
        _train(trainer, checkpoint)
    if is_done or trainer.state.global_step >= trainer.state.max_steps:
        trainer.save_model(str(folder.model))
    return folder.path


def trainer_arguments(config: RunConfig, source: Source, folder: RunFolder) -> SCGRPOConfig:
    """The trainer's arguments: run defaults < task < preset < what the user wrote."""
    fields = (
        RUN_DEFAULTS
        | {"bf16": torch.cuda.is_available(), "use_cpu": not torch.cuda.is_available()}
        | {"guide": source.guide}
        | source.trainer_defaults
        | load_preset(config.preset)
        | {"rollout_steps": config.rollout_steps, "seed": config.seed}
        | config.trainer
    )
    return SCGRPOConfig(output_dir=str(folder.checkpoints), **fields)


def load_policy(name: str, dtype: str = "float32") -> tuple[PreTrainedModel, Any]:
    """Model and tokenizer, by hub id, folder, or name of a shipped model."""
    path = local_name(name)
    try:
        model = AutoModelForCausalLM.from_pretrained(path, dtype=getattr(torch, dtype))
        return model, AutoTokenizer.from_pretrained(path, padding_side="left")
    except OSError as error:
        raise ValueError(
            f"model {name!r} is neither a model folder nor a hub id that can be reached "
            f"({str(error).splitlines()[0]}); {' and '.join(SHIPPED)} ship with scgrpo."
        ) from error


def describe(config: RunConfig, args: SCGRPOConfig) -> dict[str, Any]:
    """Everything that the run is made of, as it stands in `config.yaml`."""
    packages = ("scgrpo", "torch", "trl", "transformers", "accelerate", "datasets")
    return {
        "name": run_folder(config).path.name,
        "method": {"preset": config.preset, **asdict(args.method)},
        "run": asdict(config),
        "task": config.task or config.dataset or "synthetic",
        "model": config.model,
        "seed": config.seed,
        "trainer": _plain(args.to_dict()),
        "versions": {"python": platform.python_version(), **{p: version(p) for p in packages}},
        "git_commit": _git_commit(),
        "machine": {
            "platform": platform.platform(),
            "processor": platform.processor() or platform.machine(),
            "threads": torch.get_num_threads(),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        },
    }


def _build_trainer(
    config: RunConfig,
    source: Source,
    args: SCGRPOConfig,
    folder: RunFolder,
    callbacks: Sequence[TrainerCallback],
) -> SCGRPOTrainer:
    model, tokenizer = load_policy(config.model, config.dtype)
    trainer = SCGRPOTrainer(
        model,
        None if source.environment_scores else source.verify,
        args,
        source.train,
        processing_class=tokenizer,
        environment_factory=source.environment,
        peft_config=_adapter(config.lora),
    )
    trainer.inspected_rollouts = INSPECTED_ROLLOUTS
    trainer.rollout_sink = lambda batch: _keep_rollouts(trainer, batch, folder)
    if config.eval_steps and source.evaluation:
        _refuse_sharded_evaluation(trainer)
        trainer.add_callback(
            EvaluationCallback(trainer, folder, source.evaluation, source.verify, config)
        )
    trainer.remove_callback(PrinterCallback)
    for callback in (RunFolderCallback(folder), *callbacks):
        trainer.add_callback(callback)
    return trainer


def _keep_rollouts(trainer: SCGRPOTrainer, batch: WeighedBatch, folder: RunFolder) -> None:
    decode = Decoder(
        trainer._tokenizer,
        trainer.chat_template,
        trainer.chat_template_kwargs,
        trainer.args.reference_thinking,
    )
    records = rollout_records(batch, decode)
    if trainer.accelerator.is_main_process:
        folder.write_rollouts(batch.attached.step.step, records)


def _adapter(options: dict[str, Any]) -> Any:
    if not options:
        return None
    try:
        from peft import LoraConfig
    except ImportError as error:
        raise ImportError("lora needs peft; pip install 'scgrpo[lora]'.") from error
    try:
        return LoraConfig(**{"task_type": "CAUSAL_LM", **options})
    except TypeError as error:
        raise ValueError(f"lora is {options}, which peft.LoraConfig refuses: {error}.") from error


def _refuse_sharded_evaluation(trainer: SCGRPOTrainer) -> None:
    if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
        raise ValueError(
            "the model is sharded over processes, and evaluation during training runs on one; set "
            "eval_steps=0 and use `scgrpo evaluate` on the checkpoints."
        )


def _train(trainer: SCGRPOTrainer, checkpoint: Path | None) -> None:
    try:
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    except (RewardError, DataExhausted):
        # The steps so far are good work: keep them, so that a mended run can go on.
        alone = trainer.accelerator.num_processes == 1
        if alone and trainer.state.global_step > 0:
            trainer._save_checkpoint(trainer.model, None)
        raise


def _checkpoint_to_resume(config: RunConfig, folder: RunFolder) -> Path | None:
    if config.resume == "never":
        return None
    if config.resume == "auto":
        return last_complete_checkpoint(folder.checkpoints)
    path = Path(config.resume)
    if not is_complete(path) or not path.name.rpartition("-")[2].isdigit():
        raise ValueError(
            f"resume is {config.resume!r}, which is no whole checkpoint; use auto, never, or a "
            "folder checkpoint-N."
        )
    return path


def _step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def _check_same_run(config: RunConfig, folder: RunFolder, *, resuming: bool) -> None:
    before = folder.read_config()
    if before is None:
        return
    if not resuming:
        if config.resume == "never":
            raise ValueError(
                f"{folder.path} holds a run already; choose another name, remove the folder, or "
                "set resume=auto."
            )
        return
    now, then = _flat(asdict(config)), _flat(before["run"])
    changed = [k for k in now | then if k not in MAY_CHANGE and now.get(k) != then.get(k)]
    if changed:
        difference = "; ".join(f"{k}: {then.get(k)!r} -> {now.get(k)!r}" for k in changed)
        raise ValueError(
            f"{folder.path} was begun with another config ({difference}); choose another name, or "
            "restore these keys to resume it."
        )


def _flat(run: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in run.items() if k != "trainer"} | run["trainer"]


def _plain(value: Any) -> Any:
    """The same value in types that YAML knows."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _git_commit() -> str | None:
    try:
        return subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
