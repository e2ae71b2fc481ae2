"""A random tiny policy that reads and writes any text: one token per byte, with a chat template.

Its tokenizer renders every role and tools as Qwen3's does, so that TRL reads its tool calls. What
the model writes is noise, and its scores are near zero: it shows that the machinery runs.
"""

from pathlib import Path
from typing import Any

import torch
import trl
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

PAD, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
WORDS = [
    "<tool_call>",
    "</tool_call>",
    "<tool_response>",
    "</tool_response>",
    "<think>",
    "</think>",
]


def text_tokenizer() -> PreTrainedTokenizerFast:
    """One token per byte of UTF-8, and Qwen3's chat template."""
    bytes_ = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate([PAD, START, END, *bytes_])}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[START],
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
    fast.add_tokens([AddedToken(word, special=False, normalized=False) for word in WORDS])
    templates = Path(trl.__file__).parent / "chat_templates"
    fast.chat_template = (templates / "qwen3.jinja").read_text(encoding="utf-8")
    return fast


def text_model(seed: int = 0, context: int = 8192, **overrides: Any) -> Qwen3ForCausalLM:
    """A random Qwen3 of some forty thousand parameters."""
    torch.manual_seed(seed)
    tokenizer = text_tokenizer()
    options = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 16,
        "max_position_embeddings": context,
        "tie_word_embeddings": True,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": None,
        "initializer_range": 0.05,
    }
    return Qwen3ForCausalLM(Qwen3Config(**options | overrides))


def save_text_model(folder: Path, **options: Any) -> Path:
    """Model and tokenizer in a folder, as `--model` takes it."""
    text_model(**options).save_pretrained(folder)
    text_tokenizer().save_pretrained(folder)
    return folder
