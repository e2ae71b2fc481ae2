"""What a user may get wrong, found before any compute is spent."""

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl.data_utils import is_conversational

from scgrpo.config import Method
from scgrpo.mistakes import shown
from scgrpo.trainer.config import SCGRPOConfig
from scgrpo.trainer.rows import check_rows

LONGEST = 32
"""Prompts that are tokenized before the run begins."""


def check_dataset(dataset: Any, args: SCGRPOConfig, *, environment: bool) -> None:
    """Refuse a training set without good prompts, or enough rows for one generation batch.

    Args:
        dataset: training set.
        args: says how much of it a generation batch takes, and how it is drawn.
        environment: whether prompts come from an environment.

    Raises:
        ValueError: naming what is missing, or the row and the column that cannot be.
    """
    if args.dynamic_sampling:
        _check_dynamic_sampling(dataset, environment=environment)
    if not isinstance(dataset, Dataset):
        return  # a stream, or nothing, or what TRL refuses by itself
    problems = args.generation_batch_size // args.num_generations
    if len(dataset) == 0:
        raise ValueError(
            "train_dataset is empty (0 rows); check the path, the split and any filter that was "
            "applied to it."
        )
    columns = dataset.column_names
    if "prompt" not in columns and not environment:
        raise ValueError(
            f"train_dataset has no column 'prompt' (it has: {', '.join(columns)}); rename the "
            "column with the question, for instance dataset.rename_column("
            f"{columns[0]!r}, 'prompt')."
        )
    if len(dataset) < problems:
        raise ValueError(
            f"train_dataset has {len(dataset)} rows, but one generation batch takes {problems} "
            "(generation_batch_size / num_generations), so that no step could be made; give it "
            "more rows or a smaller per_device_train_batch_size."
        )
    if isinstance(dataset, Dataset):
        check_rows(dataset, "train_dataset")


def check_reward_functions(reward_funcs: Any) -> None:
    """Refuse what no trainer could call, such as a module or a number.

    Args:
        reward_funcs: as a user gives them, one or several or none.

    Raises:
        ValueError: for anything but a function, a reward model, or the id of one.
    """
    for function in reward_funcs if isinstance(reward_funcs, list) else [reward_funcs]:
        if not (function is None or callable(function) or isinstance(function, str)):
            raise ValueError(
                f"reward_funcs has {shown(function)}, a {type(function).__name__}; give functions, "
                "reward models, or their ids."
            )


def check_teacher(method: Method, dataset: Any) -> None:
    """Refuse a teacher that has nothing to show, or that cannot see what the student sees.

    Raises:
        ValueError: naming what is missing.
    """
    columns = dataset.column_names or [] if hasattr(dataset, "column_names") else []
    check_images(method, any(column in columns for column in ("image", "images")))
    if method.teacher == "demonstration":
        _check_demonstrations(dataset, method.demonstration)


def check_images(method: Method, has_images: bool) -> None:
    """Refuse images where a teacher, or a pass of our own, would have to see them too.

    Raises:
        ValueError: naming the cure.
    """
    own_pass = method.use != "none" or method.advantage == "gtpo"
    if has_images and method.teacher == "none" and own_pass:
        raise ValueError(
            f"the prompts hold images, which the student's pass for advantage={method.advantage!r} "
            f"and use={method.use!r} is not shown; take the images out of the data, or use a "
            "preset without such a pass, such as grpo or dapo."
        )
    if has_images and method.teacher != "none":
        raise ValueError(
            "the prompts hold images, and a teacher prompt with images is not supported; take the "
            "images out of the data (a vision model learns from text alone as well), or use a "
            "preset without a teacher, such as grpo or dapo."
        )


def _check_demonstrations(dataset: Any, column: str) -> None:
    """Refuse a training set that has no solutions to show.

    Raises:
        ValueError: naming the column, or the first row without a text.
    """
    if not isinstance(dataset, Dataset):
        return
    if column not in dataset.column_names:
        raise ValueError(
            f"train_dataset has no column {column!r} (it has: {', '.join(dataset.column_names)}), "
            "which teacher='demonstration' shows; name the column with solutions in "
            "SCGRPOConfig(demonstration=...)."
        )
    for row, text in enumerate(dataset[column]):
        if not isinstance(text, str) or not text:
            raise ValueError(
                f"row {row} of train_dataset has {text!r} as {column!r}; a demonstration is a "
                "text: filter such rows out."
            )


def _check_dynamic_sampling(dataset: Any, *, environment: bool) -> None:
    """Refuse data from which no fresh problems can be drawn.

    Raises:
        ValueError: for a stream, or an environment that owns the data.
    """
    if not isinstance(dataset, Dataset) or environment:
        raise ValueError(
            "dynamic_sampling draws fresh problems by their number, which needs a train_dataset "
            "with rows and prompts; give a datasets.Dataset (not a stream or an environment's "
            "own), or set dynamic_sampling=false."
        )


def check_prompts(
    dataset: Any, tokenizer: PreTrainedTokenizerBase, context: int | None, template: dict[str, Any]
) -> None:
    """Refuse conversations without a chat template, and prompts that the model cannot hold.

    Only the longest prompts are tokenized, by their characters; the others are measured when they
    come up, since TRL tokenizes them then.

    Args:
        dataset: map-style training set with a column `prompt`.
        tokenizer: tokenizer of the policy.
        context: tokens that the model can hold, None where it has no limit.
        template: keyword arguments of the chat template.

    Raises:
        ValueError: naming the row and its length.
    """
    if not isinstance(dataset, Dataset) or "prompt" not in dataset.column_names:
        return
    conversational = is_conversational(dataset[0])
    replaces_template = template.get("chat_template") is not None
    if conversational and tokenizer.chat_template is None and not replaces_template:
        raise ValueError(
            "the prompts are conversations, but the tokenizer "
            f"({tokenizer.name_or_path or type(tokenizer).__name__}) has no chat template; set "
            "tokenizer.chat_template, or give the prompts as plain text."
        )
    if context is None:
        return
    table = dataset.select_columns("prompt").with_format("arrow")[:]
    sizes = _characters(table["prompt"].combine_chunks())
    for row in np.argsort(-sizes, kind="stable")[:LONGEST].tolist():
        prompt = dataset[row]["prompt"]
        if conversational:
            rendered = tokenizer.apply_chat_template(
                prompt, add_generation_prompt=True, tokenize=True, return_dict=True, **template
            )
        else:
            rendered = tokenizer(prompt)
        check_length(len(rendered["input_ids"]), context, f"row {row}")


def _characters(texts: pa.Array) -> NDArray[np.int64]:
    """Characters of each entry, in all texts that it holds."""
    sizes = np.zeros(len(texts), dtype=np.int64)
    if pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type):
        return pc.fill_null(pc.utf8_length(texts), 0).to_numpy(zero_copy_only=False).astype(int)
    if pa.types.is_struct(texts.type):
        return sum((_characters(field) for field in texts.flatten()), sizes)
    if pa.types.is_list(texts.type) or pa.types.is_large_list(texts.type):
        own = pc.list_parent_indices(texts).to_numpy(zero_copy_only=False)
        np.add.at(sizes, own, _characters(pc.list_flatten(texts)))
    return sizes


def check_length(length: int, context: int, place: str) -> None:
    """Refuse a prompt that the model cannot hold.

    Args:
        length: of the prompt, in tokens.
        context: tokens that the model can hold.
        place: where the prompt stands.

    Raises:
        ValueError: naming the place and the length.
    """
    if length >= context:
        raise ValueError(
            f"the prompt of {place} has {length} tokens, but the model's context is {context}, "
            "which leaves no room for a completion; filter such rows out or use a model with a "
            "longer context."
        )


def place_of(prompt: Any, dataset: Any) -> str:
    """Where a prompt stands in the training set, as a message names it."""
    known = isinstance(dataset, Dataset) and "prompt" in dataset.column_names
    rows = enumerate(dataset["prompt"]) if known else ()
    found = next((row for row, other in rows if other == prompt), None)
    return f"{str(prompt)[:60]!r}" if found is None else f"row {found}"


def context_length(model: PreTrainedModel) -> int | None:
    """Tokens that the model can hold, None where its config states no limit."""
    config = model.config.get_text_config()
    return getattr(config, "max_position_embeddings", None)


def teacher_length(wanted: int | None, context: int | None) -> int:
    """Longest teacher sequence in tokens.

    Args:
        wanted: as it was asked for, None for as long as can be.
        context: tokens that the model can hold, None where it has no limit.

    Raises:
        ValueError: for more than the model can hold.
    """
    if wanted is not None and context is not None and wanted > context:
        raise ValueError(
            f"teacher_max_length is {wanted}, but the model's context is {context} tokens; set it "
            f"to {context} or less, or leave it unset."
        )
    return wanted or context or 2**31


def check_gradient(norm: Any, step: int) -> None:
    """Refuse a gradient by which the weights would become NaN.

    Args:
        norm: of the gradient of an optimizer step; None where nobody knows it.
        step: optimizer steps done.

    Raises:
        ValueError: before the step is made.
    """
    if norm is None or math.isfinite(norm):
        return
    raise ValueError(
        f"the gradient of step {step + 1} has the norm {float(norm)}, which would make all weights "
        "NaN; the weights of the steps before are whole. Go on from the last checkpoint with a "
        "lower learning_rate, or with bf16=False if the numbers of half precision are the cause."
    )
