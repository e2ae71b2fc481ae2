"""The tiny tokenizers: a token for each digit, sign and word, and the marks of a chat template."""

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

PAD, END, UNKNOWN = "<|pad|>", "<|end|>", "<|unk|>"
ROLES = ("system", "user", "assistant")


def word_tokenizer(pieces: list[str], pattern: str, template: str) -> PreTrainedTokenizerFast:
    """Tokenizer that knows some pieces of text, besides the marks of the chat template.

    Args:
        pieces: a token each.
        pattern: regular expression that cuts any text into pieces, known or not.
        template: chat template.
    """
    roles = [f"<|{role}|>" for role in ROLES]
    vocabulary = {token: i for i, token in enumerate([PAD, END, UNKNOWN, *roles, *pieces])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), "isolated")
    backend.decoder = decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=PAD,
        eos_token=END,
        unk_token=UNKNOWN,
        additional_special_tokens=roles,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_max_length=512,
    )
    tokenizer.chat_template = template
    return tokenizer
