"""One training run from its `RunConfig` to its run folder, resumed where it stopped."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from transformers import PrinterCallback, TrainerCallback

from scgrpo.embedded.loading import load_policy
from scgrpo.evaluation.trained import sampling_options
from scgrpo.files import put_folder, scratch_of
from scgrpo.locks import Lock
from scgrpo.mistakes import ConfigError
from scgrpo.run_folder import RunFolder
from scgrpo.runs.adapter import adapter_of
from scgrpo.runs.arguments import trainer_arguments
from scgrpo.runs.callbacks import EvaluationCallback, HeldOut, Host, Told
from scgrpo.runs.data import Source, load_source
from scgrpo.runs.resuming import checkpoint_to_resume, free_name, set_model_aside, steps_planned
from scgrpo.runs.run_config import RunConfig
from scgrpo.trainer.checkpoint import checkpoint_of, step_of
from scgrpo.trainer.config import SCGRPOConfig
from scgrpo.trainer.dynamic_sampling import DataExhausted
from scgrpo.trainer.keeping import set_later_aside
from scgrpo.trainer.rewards import RewardError
from scgrpo.trainer.text_prompts import TextPromptsWarning
from scgrpo.trainer.trainer import SCGRPOTrainer
from scgrpo.trainer.wholeness import decided

logger = logging.getLogger(__name__)


def run_folder(config: RunConfig) -> RunFolder:
    """Where the run of this config lives."""
    return RunFolder(Path(config.output_dir) / config.folder_name)


def train(
    config: RunConfig,
    callbacks: Sequence[TrainerCallback] = (),
    told: Told = lambda evaluating: None,
) -> Path:
    """Train, or go on training.

    Args:
        config: what to run.
        callbacks: further callbacks of the trainer, such as a progress display.
        told: who is told how far an evaluation on held-out problems is.

    Returns:
        The run folder, whose `model` holds the trained model.

    Raises:
        ValueError: for a config, data or model that cannot work, before any compute is spent.
        CheckpointError: if a checkpoint cannot be written, while earlier ones are whole; if there
            are checkpoints, but none that can be used.
        OSError: where another process trains into the same folder.
    """
    folder = run_folder(config)
    source = load_source(config)
    args = trainer_arguments(config, source, folder)
    _refuse_too_few(config, source, args)
    with alone(folder):
        return _train_here(config, source, args, folder, callbacks, told)


def _refuse_too_few(config: RunConfig, source: Source, args: SCGRPOConfig) -> None:
    """Refuse a data set that is smaller than one batch, by its name."""
    rows, needed = len(source.train), args.generation_batch_size // args.num_generations
    if rows < needed:
        own = config.dataset and not config.eval_dataset
        held_out = " beside those held out (eval_share)" if own and source.evaluation else ""
        raise ConfigError(
            f"{config.dataset or config.task_name} has {rows} rows to train on{held_out}, but one "
            f"batch takes {needed} (generation_batch_size / num_generations); give it more rows or "
            "a smaller per_device_train_batch_size."
        )


@contextmanager
def alone(folder: RunFolder) -> Iterator[None]:
    """Keep other runs out of a folder; the processes of one run share it.

    Raises:
        OSError: in every process, where another run is going on there.
    """
    lock: list[Lock] = []
    decided(lambda: lock.append(Lock(folder.lock, f"training into {folder.path}")))
    try:
        yield
    finally:
        for held in lock:
            held.release()


def _train_here(
    config: RunConfig,
    source: Source,
    args: SCGRPOConfig,
    folder: RunFolder,
    callbacks: Sequence[TrainerCallback],
    told: Told,
) -> Path:
    main = args.process_index == 0
    checkpoint = checkpoint_to_resume(config, folder, reads=args.should_save, speaks=main)
    done = 0 if checkpoint is None else step_of(checkpoint)
    is_done = 0 < args.max_steps <= done
    grows = args.max_steps > steps_planned(folder) > 0
    if folder.is_finished and checkpoint is None and grows:
        raise ConfigError(
            f"{folder.path} is done and has no checkpoint to go on from for more steps; restore "
            f"max_steps: {steps_planned(folder)}, or train beside it with --name "
            f"{free_name(config)}."
        )
    if folder.is_finished and (is_done or checkpoint is None):
        return folder.path
    trainer = _build_trainer(config, source, args, folder, callbacks, told)
    if args.should_save:
        if grows and (model := set_model_aside(folder)):
            logger.warning(f"the model of the run so far is kept as {model}.")
        for left in set_later_aside(folder.checkpoints, done):
            logger.warning(f"{left} is of a later step, which is run again; it is kept, unused.")
    if is_done:
        trainer._load_from_checkpoint(str(checkpoint))
    else:
        _train(trainer, checkpoint)
    if is_done or trainer.state.global_step >= trainer.state.max_steps:
        _save_model(trainer, folder)
    return folder.path


def _save_model(trainer: SCGRPOTrainer, folder: RunFolder) -> None:
    trainer.save_model(str(scratch_of(folder.model)), _internal_call=True)
    trainer.accelerator.wait_for_everyone()
    if trainer.args.should_save:
        put_folder(folder.model)
    if trainer.args.push_to_hub and trainer.is_world_process_zero():
        trainer.push_saved(folder.model)
    trainer.accelerator.wait_for_everyone()


def _build_trainer(
    config: RunConfig,
    source: Source,
    args: SCGRPOConfig,
    folder: RunFolder,
    callbacks: Sequence[TrainerCallback],
    told: Told,
) -> SCGRPOTrainer:
    model, tokenizer = load_policy(config.model, config.dtype)
    trainer = SCGRPOTrainer(
        model,
        source.rewards,
        args,
        source.train,
        processing_class=tokenizer,
        environment_factory=source.environment,
        peft_config=adapter_of(config.lora),
    )
    trainer.recorder.folder = folder
    trainer.recorder.facts |= {
        "name": config.folder_name,
        "preset": config.preset,
        "run": asdict(config),
        "task": config.task_name or config.dataset,
        "model": config.model,
    }
    if config.eval_steps and source.evaluation:
        _refuse_sharded_evaluation(trainer)
        trainer.add_callback(_evaluation(trainer, config, source, folder, told))
    trainer.remove_callback(PrinterCallback)
    if config.chat_prompts is False:
        trainer.remove_callback(TextPromptsWarning)
    for callback in callbacks:
        trainer.add_callback(callback)
    return trainer


def _evaluation(
    trainer: SCGRPOTrainer, config: RunConfig, source: Source, folder: RunFolder, told: Told
) -> EvaluationCallback:
    held_out = HeldOut(
        source.evaluation,
        source.verify,
        every=config.eval_steps,
        k=config.eval_k,
        seed=config.seed,
        sampling=sampling_options(vars(trainer.args)),
        max_new_tokens=trainer.max_completion_length,
        solve_threshold=trainer.args.solve_threshold,
    )
    host = Host(
        lambda: trainer.accelerator.unwrap_model(trainer.model),
        trainer._tokenizer,
        trainer._log_train,
        trainer.accelerator.wait_for_everyone,
        told,
    )
    return EvaluationCallback(held_out, host, folder)


def _refuse_sharded_evaluation(trainer: SCGRPOTrainer) -> None:
    if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
        raise ValueError(
            "the model is sharded over processes, and evaluation during training runs on one; set "
            "eval_steps=0 and use `scgrpo evaluate` on the checkpoints."
        )


def _train(trainer: SCGRPOTrainer, checkpoint: Path | None) -> None:
    try:
        trainer.resume(checkpoint)
    except (RewardError, DataExhausted):
        # The steps so far are good work: keep them, so that a mended run can go on.
        one_process = trainer.accelerator.num_processes == 1
        saved = checkpoint_of(Path(trainer.args.output_dir), trainer.state.global_step)
        if one_process and trainer.state.global_step > 0 and not saved.exists():
            trainer._save_checkpoint(trainer.model, None)
        raise
