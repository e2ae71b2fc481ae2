"""The models that are asked: the policy, its initial weights, or another model."""

import copy
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from torch import nn
from transformers import AutoTokenizer, PreTrainedModel
from transformers.integrations.deepspeed import is_deepspeed_zero3_enabled
from trl.models import prepare_deepspeed
from trl.models.utils import prepare_fsdp
from trl.trainer.utils import create_model_from_path, disable_dropout_in_model, use_adapter

from scgrpo.config import Method
from scgrpo.credit.scoring import Policy, find_backbone, head_options
from scgrpo.embedded.shipped import local_name


def student_policy(trainer: Any) -> Policy:
    """The policy that is trained."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    return Policy(trainer.model, find_backbone(model), head_options(model))


def teacher_policy(trainer: Any, student: Policy) -> Policy:
    """The teacher that the method means, which may be the student itself.

    Raises:
        ValueError: for a teacher that cannot be, naming the cure.
    """
    method: Method = trainer.args.method
    if method.teacher == "model":
        return _other_model(trainer, str(method.teacher_model))
    if method.teacher_weights == "initial":
        return _initial_weights(trainer, student)
    return student


def _initial_weights(trainer: Any, student: Policy) -> Policy:
    model = trainer.accelerator.unwrap_model(trainer.model)
    if hasattr(model, "peft_config"):

        def without_adapter() -> AbstractContextManager[Any]:
            # An adapter that is trained on has its first state kept by TRL under the name "ref".
            return use_adapter(model, "ref" if "ref" in model.peft_config else None)

        return Policy(student.model, student.backbone, student.forward_options, without_adapter)
    if is_deepspeed_zero3_enabled():
        raise ValueError(
            "teacher_weights='initial' copies the model, which ZeRO-3 has cut into parts; set "
            "teacher='model' and teacher_model to the model's own path, or train an adapter."
        )
    frozen = copy.deepcopy(model)
    # TRL's fused head is bound to the model that was copied.
    vars(frozen).pop("forward", None)
    return _prepared(trainer, frozen)


def _other_model(trainer: Any, name: str) -> Policy:
    given = trainer.args.teacher_model_init_kwargs or {}
    arguments = {"dtype": trainer.model.dtype, "device_map": None} | given
    try:
        teacher = create_model_from_path(local_name(name), **arguments)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"teacher_model {name!r} is neither a model folder nor a hub id that can be reached "
            f"({str(error).splitlines()[0]})."
        ) from error
    _check_vocabulary(trainer, teacher, name)
    return _prepared(trainer, teacher)


def _check_vocabulary(trainer: Any, teacher: PreTrainedModel, name: str) -> None:
    own = trainer.accelerator.unwrap_model(trainer.model).config.get_text_config().vocab_size
    other = teacher.config.get_text_config().vocab_size
    if own != other:
        raise ValueError(
            f"the teacher {name!r} has a vocabulary of {other} tokens and the policy one of {own}; "
            "their distributions can only be compared over the same tokens: choose a teacher of "
            "the same model family."
        )
    if Path(name).is_dir() and not (Path(name) / "tokenizer_config.json").is_file():
        return  # a folder without a tokenizer: the size is all that can be compared
    tokenizer = AutoTokenizer.from_pretrained(name)
    mine, theirs = trainer._tokenizer.get_vocab(), tokenizer.get_vocab()
    if mine != theirs:
        token = next(t for t in {**mine, **theirs} if mine.get(t) != theirs.get(t))
        raise ValueError(
            f"the teacher {name!r} has another tokenizer: {token!r} is token {theirs.get(token)} "
            f"there and {mine.get(token)} in the policy's; choose a teacher with the policy's "
            "tokenizer."
        )


def _prepared(trainer: Any, model: Any) -> Policy:
    """A frozen model on the trainer's devices, sharded as the policy is."""
    model.requires_grad_(False).eval()
    disable_dropout_in_model(model)
    backbone, options = find_backbone(model), head_options(model)
    wrapped: nn.Module
    if trainer.is_deepspeed_enabled:
        wrapped = prepare_deepspeed(model, trainer.accelerator)
    elif trainer.is_fsdp_enabled:
        wrapped = prepare_fsdp(model, trainer.accelerator)
    else:
        wrapped = trainer.accelerator.prepare_model(model, evaluation_mode=True)
    return Policy(wrapped, backbone, options)
