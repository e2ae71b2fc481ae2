"""The rows that a user trains on, looked at before any compute is spent; nothing is rendered."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from scgrpo.mistakes import shown

TAKEN = ("prompts", "completions", "self")
"""Columns that no reward function could be given: they are arguments of its own."""
BATCH = 10_000


def check_rows(rows: Dataset, place: str) -> None:
    """Refuse columns and prompts with which a run would break off.

    Args:
        rows: with a column `prompt`, or without any where an environment owns the data.
        place: what they are, for messages.

    Raises:
        ValueError: naming the row, counted from 0, and the column.
    """
    for column in TAKEN:
        if column in rows.column_names:
            raise ValueError(
                f"{place} has a column {column!r}, which is an argument of every reward function; "
                "rename or remove it."
            )
    if "prompt" not in rows.column_names or len(rows) == 0:
        return
    is_text = isinstance(rows[0]["prompt"], str)
    for row, prompt in _doubtful(rows.select_columns("prompt")):
        fault = _fault(prompt, is_text=is_text)
        if fault is not None:
            raise ValueError(
                f"row {row} of {place} has {shown(prompt)} as 'prompt', which {fault}; filter such "
                "rows out, or mend them."
            )


def _doubtful(prompts: Dataset) -> Iterator[tuple[int, Any]]:
    """The prompts of batches that arrow does not show to be whole."""
    if all(map(_is_whole, prompts.data.table["prompt"].chunks)):
        return  # rows that are selected from a whole column are whole
    for start, batch in enumerate(prompts.with_format("arrow").iter(BATCH)):
        if not all(map(_is_whole, batch["prompt"].chunks)):
            rows = range(start * BATCH, start * BATCH + len(batch))
            yield from zip(rows, prompts[rows.start : rows.stop]["prompt"], strict=True)


def _is_whole(prompts: pa.Array) -> bool:
    return _are_texts(prompts) or _are_conversations(prompts)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind)


def _are_texts(column: pa.Array) -> bool:
    # datasets keeps mixed values as JSON in an extension type, which is no text here.
    return _is_text(column.type) and _is_true(pc.greater(pc.binary_length(column), 0))


def _are_conversations(column: pa.Array) -> bool:
    kind = column.type
    if not _is_list(kind) or not pa.types.is_struct(kind.value_type):
        return False
    messages = column.flatten()
    types = {field.name: field.type for field in messages.type}
    if not {"role", "content"} <= set(types) or not _is_text(types["role"]):
        return False
    return (
        (_is_text(types["content"]) or _is_list(types["content"]))
        and _is_true(pc.greater(pc.list_value_length(column), 0))
        and _is_true(pc.is_valid(messages))
        and _is_true(pc.greater(pc.binary_length(messages.field("role")), 0))
        and _is_true(_have_content(messages))
    )


def _have_content(messages: pa.StructArray) -> pa.Array:
    has_content = messages.field("content").is_valid()
    place = messages.type.get_field_index("tool_calls")
    if place < 0 or not _is_list(messages.type.field(place).type):
        return has_content
    calls = pc.fill_null(pc.list_value_length(messages.field(place)), 0)
    return pc.or_(has_content, pc.greater(calls, 0))


def _is_true(values: pa.Array) -> bool:
    return values.null_count == 0 and pc.all(values).as_py() is not False


def _fault(prompt: Any, *, is_text: bool) -> str | None:
    if isinstance(prompt, str) and prompt:
        return None if is_text else "is a text, where row 0 has a list of messages"
    if prompt in ("", []):
        return "is empty"
    if not isinstance(prompt, list):
        return "is no text and no list of messages"
    for message in prompt:
        if not isinstance(message, dict):
            return f"has {shown(message)} where a message, a mapping of role and content, should be"
        if not isinstance(message.get("role"), str) or not message["role"]:
            return "has a message without a role"
        content = message.get("content")
        if content is None and not message.get("tool_calls"):
            return "has a message without content"
        if not isinstance(content, str | list | None):
            return f"has a message whose content is {shown(content)}, which is no text"
    return "is a list of messages, where row 0 has a text" if is_text else None
