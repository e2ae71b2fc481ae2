"""The methods of TRL's GRPOTrainer, most of them transformers', that we override or call."""

import ast
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

HOOKS = {
    "__init__": [
        *("self", "model", "reward_funcs", "args", "train_dataset", "eval_dataset"),
        *("processing_class", "reward_processing_classes", "callbacks", "optimizers"),
        *("quantization_config", "peft_config", "tools", "rollout_func", "environment_factory"),
    ],
    "_tokenize_prompts": ["self", "prompts"],
    "_generate": ["self", "prompts"],
    "_generate_and_score_completions": ["self", "inputs"],
    "_calculate_rewards": ["self", "inputs", "prompts", "completions", "completion_ids_list"],
    "_prepare_inputs": ["self", "generation_batch"],
    "_load_optimizer_and_scheduler": ["self", "checkpoint"],
    "_save_checkpoint": ["self", "model", "trial"],
    "_compute_loss": ["self", "model", "inputs"],
    "training_step": ["self", "model", "inputs", "num_items_in_batch"],
    "_clip_grad_norm": ["self", "model"],
    "_get_train_sampler": ["self", "dataset"],
    "_save_rng_state": ["self", "output_dir"],
    "_load_best_model": ["self"],
    "evaluate": ["self", "eval_dataset", "ignore_keys", "metric_key_prefix"],
    "save_model": ["self", "output_dir", "_internal_call"],
    "_push_from_checkpoint": ["self", "checkpoint_folder"],
}
"""All parameters of those that we override, as we take and give them."""
HEADS = {
    "_get_per_token_logps_and_entropies": [
        *("self", "model", "input_ids", "attention_mask", "logits_to_keep"),
    ],
    "train": ["self", "resume_from_checkpoint"],
    "_maybe_log_save_evaluate": ["self", "tr_loss", "grad_norm"],
    "create_model_card": ["self"],
    "init_hf_repo": ["self", "token"],
    "push_to_hub": ["self", "commit_message", "blocking", "token", "revision"],
    "_get_learning_rate": ["self"],
    "_get_output_dir": ["self", "trial"],
    "_load_from_checkpoint": ["self", "resume_from_checkpoint"],
    "_finish_current_push": ["self"],
}
"""First parameters of those that we hand on as they come, or only call."""
KNOWN = ("1.16",)
"""Versions of TRL with which the tests pass: 1.15's own loss calls Triton, on a CPU as well."""


def problems_of(parameters_of: Callable[[str], list[str] | None]) -> list[str]:
    """What differs from the hooks that the trainer needs; empty where all are as it knows them.

    Args:
        parameters_of: names of the parameters of a method, None where there is none.
    """
    problems = []
    for name, expected in (HOOKS | HEADS).items():
        found = parameters_of(name)
        if found is None:
            problems.append(f"GRPOTrainer.{name} is gone")
        elif found[: len(expected)] != expected or (name in HOOKS and len(found) != len(expected)):
            problems.append(f"GRPOTrainer.{name} takes ({', '.join(found)})")
    return problems


def problems_in_source() -> list[str]:
    """The same without an import of TRL, which takes seconds: from its source.

    Raises:
        ImportError: where TRL or transformers are not installed.
    """
    found: dict[str, list[str]] = {}
    for file, kind in (
        ("transformers/trainer.py", "Trainer"),
        ("trl/trainer/base_trainer.py", "_BaseTrainer"),
        ("trl/trainer/grpo_trainer.py", "GRPOTrainer"),
    ):
        found |= _methods(file, kind)
    return problems_of(found.get)


def _methods(file: str, kind: str) -> dict[str, list[str]]:
    package, _, rest = file.partition("/")
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ImportError(f"{package} is not installed")
    path = Path(spec.origin).parent / rest
    tree = ast.parse(path.read_text(encoding="utf-8")) if path.exists() else ast.Module([], [])
    return {
        method.name: _parameters(method.args)
        for node in tree.body
        if isinstance(node, ast.ClassDef) and node.name == kind
        for method in node.body
        if isinstance(method, ast.FunctionDef)
    }


def _parameters(arguments: ast.arguments) -> list[str]:
    starred = [arguments.vararg] if arguments.vararg else []
    last = [arguments.kwarg] if arguments.kwarg else []
    every = (*arguments.posonlyargs, *arguments.args, *starred, *arguments.kwonlyargs, *last)
    return [argument.arg for argument in every]
