"""The methods of TRL's GRPOTrainer that we override or call, with the signatures that we know."""

import inspect

import trl
from trl import GRPOTrainer

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
}
LOGPS_HEAD = ["self", "model", "input_ids", "attention_mask", "logits_to_keep"]


def check_trl() -> list[str]:
    """What this TRL lacks of the hooks that the trainer needs; empty when all are known."""
    known = HOOKS | {"_get_per_token_logps_and_entropies": LOGPS_HEAD}
    problems = []
    for name, expected in known.items():
        method = getattr(GRPOTrainer, name, None)
        if method is None:
            problems.append(f"GRPOTrainer.{name} is gone")
            continue
        found = list(inspect.signature(method).parameters)
        if found[: len(expected)] != expected or (name in HOOKS and len(found) != len(expected)):
            problems.append(f"GRPOTrainer.{name} takes ({', '.join(found)})")
    return problems


def require_known_trl() -> None:
    """Refuse a TRL whose hooks have changed.

    Raises:
        ImportError: naming what changed and which version is known to work.
    """
    problems = check_trl()
    if problems:
        raise ImportError(
            f"trl {trl.__version__} differs from the 1.16 that scgrpo knows "
            f"({'; '.join(problems)}); install it with: pip install 'trl>=1.16,<1.17'"
        )
