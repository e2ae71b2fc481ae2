"""The tiny tokenizer: a token for each digit, sign and word, and a chat template."""

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from scgrpo.tasks.synthetic.solutions import WORDS

PAD, END, UNKNOWN = "<|pad|>", "<|end|>", "<|unk|>"
ROLES = ("system", "user", "assistant")
CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Tokenizer whose decoding gives back exactly the text that was encoded."""
    signs = [*"0123456789+=", "; "]
    words = [f"{word} " for word in dict.fromkeys(WORDS)]
    return word_tokenizer([*signs, *words], r"[a-z]+ |; |[\s\S]", CHAT_TEMPLATE)


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
