"""The tiny agent's tokenizer: a token for each digit, sign, name, word and mark; templates."""

from transformers import PreTrainedTokenizerFast

from scgrpo.embedded.word_tokenizer import word_tokenizer
from scgrpo.tasks.lookup.environments import CALL
from scgrpo.tasks.lookup.problems import NAMES, UNKNOWN
from scgrpo.tasks.lookup.writer import WORDS
from scgrpo.tasks.transcript import ACTION, CUT_MARK, OBSERVATION

# A tool's answer is a message of the user, so that a turn reads the same with tools and in plain
# text. The argument of `look` goes without its name; TRL wants to see the name of any other.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "<|{{ 'user' if message['role'] == 'tool' else message['role'] }}|>{{ message['content'] }}"
    "{% for call in message['tool_calls'] or [] %}{{ call['function']['name'] }} "
    "{% for name, value in call['function']['arguments'].items() %}"
    "{{ '' if name == 'name' else name + '=' }}{{ value }}"
    "{% endfor %}{% endfor %}<|end|>"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
RESPONSE_TEMPLATE = {
    "defaults": {"role": "assistant"},
    "start_anchor": "<|assistant|>",
    "fields": {
        "tool_calls": {
            "open": CALL,
            "close_pattern": r"<\|end\|>",
            "repeats": True,
            "content": "text",
            "transform": {
                "type": "function",
                "function": {"name": CALL.strip(), "arguments": {"name": "{content}"}},
            },
        },
        "content": {"close_pattern": r"<\|end\|>", "content": "text"},
    },
}
"""How transformers reads a turn: text, and what is looked up."""

PATTERN = r"\n\[\.\.\.\]\n|\[\.\.\.\]|\n?\[(?:action|observation)\]\n|[a-z]+ |[a-z]+|; |[\s\S]"


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Tokenizer whose decoding gives back exactly the text that was encoded."""
    signs = [*"0123456789+=", "; "]
    words = [f"{word} " for word in dict.fromkeys([CALL.strip(), "answer", *WORDS])]
    marks = [*(m for mark in (ACTION, OBSERVATION) for m in (mark, f"\n{mark}")), CUT_MARK, "[...]"]
    tokenizer = word_tokenizer([*signs, *words, *NAMES, UNKNOWN, *marks], PATTERN, CHAT_TEMPLATE)
    tokenizer.response_template = RESPONSE_TEMPLATE
    return tokenizer
