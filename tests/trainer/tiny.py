"""A random tiny policy with a character tokenizer, made on the spot."""

from typing import Any

import torch
from datasets import Dataset
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

CHARACTERS = "0123456789+=;$QAR abcdefghijklmnopqrstuvwxyz.\n[]<>:_'"
SPECIAL = ["<pad>", "<eos>", "<unk>", "<sys>", "<user>", "<bot>", "<tool>", "<end>"]
TEMPLATE = (
    "{% for m in messages %}"
    "{{ {'system': '<sys>', 'user': '<user>', 'assistant': '<bot>', 'tool': '<tool>'}[m.role] }}"
    "{{ m.content }}<end>"
    "{% endfor %}"
    "{% if add_generation_prompt %}<bot>{% endif %}"
)


def tiny_tokenizer(template: str | None = TEMPLATE) -> PreTrainedTokenizerFast:
    """One token per character, with a chat template that knows every role."""
    vocabulary = {token: i for i, token in enumerate([*SPECIAL, *dict.fromkeys(CHARACTERS)])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("[\\s\\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="<eos>",
        unk_token="<unk>",
        additional_special_tokens=SPECIAL[3:],
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = template
    return fast


def byte_tokenizer(template: str, special: list[str]) -> PreTrainedTokenizerFast:
    """One token per byte, for templates whose signs the other tokenizer lacks."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate(["<pad>", "<eos>", *special, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="<eos>",
        additional_special_tokens=special,
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = template
    return fast


def tiny_model(seed: int = 0, **overrides: Any) -> Qwen3ForCausalLM:
    """A random Qwen3 of some ten thousand parameters."""
    torch.manual_seed(seed)
    options = {
        "vocab_size": len(tiny_tokenizer()),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 16,
        "max_position_embeddings": 256,
        "tie_word_embeddings": True,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "initializer_range": 0.3,
    }
    return Qwen3ForCausalLM(Qwen3Config(**options | overrides))


def tiny_dataset(rows: int = 16) -> Dataset:
    """Conversations that name a letter."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    return Dataset.from_list(
        [
            {
                "prompt": [{"role": "user", "content": f"Q{i}{letters[i % 26]}"}],
                "answer": letters[i % 26],
            }
            for i in range(rows)
        ]
    )
