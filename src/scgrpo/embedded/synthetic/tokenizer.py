"""The tiny base's tokenizer: a token for each digit, sign and word, and a chat template."""

from transformers import PreTrainedTokenizerFast

from scgrpo.embedded.word_tokenizer import word_tokenizer
from scgrpo.tasks.synthetic.solutions import WORDS

CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Tokenizer whose decoding gives back exactly the text that was encoded."""
    signs = [*"0123456789+=", "; "]
    words = [f"{word} " for word in dict.fromkeys(WORDS)]
    return word_tokenizer([*signs, *words], r"[a-z]+ |; |[\s\S]", CHAT_TEMPLATE)
