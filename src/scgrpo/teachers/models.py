"""The models that teach: the policy itself, its initial weights, or another model."""

from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from torch import nn
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from scgrpo.config import Method
from scgrpo.embedded.shipped import local_name
from scgrpo.teachers.policy import Policy


class ModelHost(Protocol):
    """What whoever trains does for a model that is not trained."""

    def load(self, path: str) -> PreTrainedModel:
        """A model by hub id or folder.

        Raises:
            OSError, ValueError: where there is none.
        """
        ...

    def copy(self, model: PreTrainedModel) -> PreTrainedModel:
        """A model of its own with the weights that a model has now."""
        ...

    def prepare(self, model: PreTrainedModel) -> nn.Module:
        """The model frozen, on the devices of the policy and sharded as it is."""
        ...

    def initial_adapter(self, model: Any) -> AbstractContextManager[Any]:
        """The policy with its adapter as it was before training."""
        ...


def teacher_policy(
    method: Method, student: Policy, tokenizer: PreTrainedTokenizerBase, host: ModelHost
) -> Policy:
    """The teacher that the method means, which may be the student itself.

    Raises:
        ValueError: for a teacher that cannot be, naming the cure.
    """
    if method.teacher == "model":
        return _other_model(str(method.teacher_model), student, tokenizer, host)
    if method.teacher_weights == "initial":
        return _initial_weights(student, host)
    return student


def _initial_weights(student: Policy, host: ModelHost) -> Policy:
    model = student.module
    if hasattr(model, "peft_config"):
        return replace(student, around=lambda: host.initial_adapter(model))
    return _prepared(host.copy(model), host)


def _other_model(
    name: str, student: Policy, tokenizer: PreTrainedTokenizerBase, host: ModelHost
) -> Policy:
    try:
        teacher = host.load(local_name(name))
    except (OSError, ValueError) as error:
        raise ValueError(
            f"teacher_model {name!r} is neither a model folder nor a hub id that can be reached "
            f"({str(error).splitlines()[0]})."
        ) from error
    _check_vocabulary(name, teacher, student.module, tokenizer)
    return _prepared(teacher, host)


def _check_vocabulary(
    name: str,
    teacher: PreTrainedModel,
    student: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    own, other = (model.config.get_text_config().vocab_size for model in (student, teacher))
    if own != other:
        raise ValueError(
            f"the teacher {name!r} has a vocabulary of {other} tokens and the policy one of {own}; "
            "their distributions can only be compared over the same tokens: choose a teacher of "
            "the same model family."
        )
    if Path(name).is_dir() and not (Path(name) / "tokenizer_config.json").is_file():
        return  # a folder without a tokenizer: the size is all that can be compared
    mine = tokenizer.get_vocab()
    theirs = AutoTokenizer.from_pretrained(local_name(name)).get_vocab()
    if mine != theirs:
        token = next(t for t in {**mine, **theirs} if mine.get(t) != theirs.get(t))
        raise ValueError(
            f"the teacher {name!r} has another tokenizer: {token!r} is token {theirs.get(token)} "
            f"there and {mine.get(token)} in the policy's; choose a teacher with the policy's "
            "tokenizer."
        )


def _prepared(model: PreTrainedModel, host: ModelHost) -> Policy:
    wrapped = host.prepare(model)
    return Policy.of(model, lambda: wrapped)
