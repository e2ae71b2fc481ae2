"""From prompts to token ids, and whether they fit the model."""

from collections.abc import Mapping, Sequence
from typing import Any

from scgrpo.evaluation.engines.base import Failed, Prompt, Request


def is_token_ids(prompt: Prompt) -> bool:
    """Whether a prompt is given as token ids."""
    return not isinstance(prompt, str) and len(prompt) > 0 and isinstance(prompt[0], int)


def render_all(
    tokenizer: Any, requests: Sequence[Request], options: Mapping[str, Any]
) -> list[list[int]]:
    """Token ids of each prompt; a prompt that several requests share is rendered once."""
    known: dict[int, list[int]] = {}
    for request in requests:
        if id(request.prompt) not in known:
            known[id(request.prompt)] = render(tokenizer, request.prompt, options)
    return [known[id(request.prompt)] for request in requests]


def render(tokenizer: Any, prompt: Any, options: Mapping[str, Any]) -> list[int]:
    """Token ids of a prompt; a conversation ends with the header of the model's turn.

    Raises:
        ValueError: for a conversation and a tokenizer without chat template.
    """
    if isinstance(prompt, str):
        return list(tokenizer(prompt)["input_ids"])
    if is_token_ids(prompt):
        return list(prompt)
    if not (tokenizer.chat_template or options.get("chat_template")):
        raise ValueError(
            "the prompts are conversations, but the tokenizer "
            f"({tokenizer.name_or_path or type(tokenizer).__name__}) has no chat template; set "
            "tokenizer.chat_template, or give the prompts as plain text."
        )
    rendered = tokenizer.apply_chat_template(
        list(prompt), add_generation_prompt=True, tokenize=True, return_dict=True, **options
    )
    return list(rendered["input_ids"])


def check_lengths(
    prompts: Sequence[Sequence[int]], requests: Sequence[Request], context: int | None
) -> None:
    """Refuse a prompt that leaves no room in the model's context.

    Raises:
        ValueError: naming the problem and its length in tokens.
    """
    for prompt, request in zip(prompts, requests, strict=True):
        if context is not None and len(prompt) >= context:
            raise ValueError(
                f"the prompt of {request.label} has {len(prompt)} tokens, but the model's "
                f"context is {context}, which leaves no room for a completion; leave such "
                "problems out or use a model with a longer context."
            )


def no_room(prompt: Sequence[int], context: int | None) -> Failed:
    """What becomes of a request whose prompt fills the context."""
    return Failed(f"the prompt's {len(prompt)} tokens fill the context of {context}", no_room=True)
