"""Vision models that learn from text alone: prompts as their processor renders them."""

import copy
from typing import Any

from transformers import PreTrainedTokenizerBase, ProcessorMixin
from trl.data_utils import prepare_multimodal_messages


def text_tokenizer(processor: PreTrainedTokenizerBase | ProcessorMixin) -> PreTrainedTokenizerBase:
    """A tokenizer that renders conversations as TRL has them rendered.

    Args:
        processor: a tokenizer, which is returned as it is, or the processor of a vision model. The
            template of a processor is its own, and is given every content as a list of parts.
    """
    if not isinstance(processor, ProcessorMixin):
        return processor
    tokenizer = copy.copy(processor.tokenizer)
    tokenizer.chat_template = processor.chat_template
    render = tokenizer.apply_chat_template

    def render_parts(conversation: list[dict[str, Any]], *args: Any, **options: Any) -> Any:
        return render(prepare_multimodal_messages(conversation), *args, **options)

    tokenizer.apply_chat_template = render_parts
    return tokenizer
