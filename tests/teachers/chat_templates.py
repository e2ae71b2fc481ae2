"""Chat templates in the shapes of well-known models, written by hand, and a tokenizer for them."""

from transformers import PreTrainedTokenizerFast

from tests.tasks.tiny_text_model import text_tokenizer

TURNS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.content is string %}{{ m.content }}"
    "{% else %}{% for part in m.content %}{{ part.text }}{% endfor %}{% endif %}<|im_end|>\n"
    "{% endfor %}"
)
START = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"

SMOLLM2 = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\n"
    "You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
    "{% endif %}" + TURNS + START
)
TOOLS = (
    "# Tools\n\n<tools>{% for t in tools %}\n{{ t | tojson }}{% endfor %}\n</tools>\n\n"
    'Answer as {"name": ..., "arguments": ...}.'
)
WITHOUT_SYSTEM = "{% if messages[0].role == 'system' %}{% set messages = messages[1:] %}{% endif %}"
QWEN25 = (
    "<|im_start|>system\n"
    "{% if messages[0].role == 'system' %}{{ messages[0].content }}"
    "{% else %}You are Qwen, created by Alibaba Cloud. You are a helpful assistant.{% endif %}"
    "{% if tools %}{{ '\n\n' }}" + TOOLS + "{% endif %}<|im_end|>\n"
    + WITHOUT_SYSTEM + TURNS + START
)  # fmt: skip
QWEN3 = (
    "{% if tools %}<|im_start|>system\n"
    "{% if messages[0].role == 'system' %}{{ messages[0].content + '\n\n' }}{% endif %}"
    + TOOLS + "<|im_end|>\n"
    "{% elif messages[0].role == 'system' %}"
    "<|im_start|>system\n{{ messages[0].content }}<|im_end|>\n{% endif %}"
    + WITHOUT_SYSTEM + TURNS + START +
    "{% if add_generation_prompt and enable_thinking is defined and not enable_thinking %}"
    "<think>\n\n</think>\n\n{% endif %}"
)  # fmt: skip
LLAMA3 = (
    "{{ bos_token }}"
    "{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] | trim %}"
    "{% set messages = messages[1:] %}{% else %}{% set system = '' %}{% endif %}"
    "<|start_header_id|>system<|end_header_id|>\n\n"
    "{% if tools %}Environment: ipython\n{% endif %}"
    "Cutting Knowledge Date: December 2023\nToday Date: {{ strftime_now('%d %b %Y') }}\n\n"
    "{{ system }}<|eot_id|>"
    "{% if tools %}<|start_header_id|>user<|end_header_id|>\n\n" + TOOLS + "\n\n"
    "{{ messages[0]['content'] | trim }}<|eot_id|>{% set messages = messages[1:] %}{% endif %}"
    "{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n"
    "{{ m['content'] | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
GEMMA = (
    "{{ bos_token }}"
    "{% if messages[0]['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}"
    "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate') }}{% endif %}"
    "<start_of_turn>{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n"
    "{{ m['content'] | trim }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}"
    "{% if messages[0].role == 'system' %}{% set system = messages[0].content %}"
    "{% set messages = messages[1:] %}{% endif %}"
    "{% for m in messages %}"
    "{% if m.role == 'user' %}"
    "{% if tools and loop.last %}[AVAILABLE_TOOLS]{{ tools | tojson }}[/AVAILABLE_TOOLS]{% endif %}"
    "[INST] {% if loop.last and system is defined %}{{ system + '\n\n' }}{% endif %}"
    "{{ m.content }}[/INST]{% else %} {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"
)
MISTRAL_SMALL = (
    "{{ bos_token }}"
    "{% if messages[0].role == 'system' %}{% set system = messages[0].content %}"
    "{% set messages = messages[1:] %}{% else %}"
    "{% set system = 'You are Mistral Small 3. The current date is '"
    " + strftime_now('%Y-%m-%d') + '.' %}{% endif %}"
    "[SYSTEM_PROMPT]{{ system }}[/SYSTEM_PROMPT]"
    "{% for m in messages %}"
    "{% if m.role == 'user' %}[INST]{{ m.content }}[/INST]"
    "{% else %}{{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"
)
DEEPSEEK = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}{{ messages[0].content }}"
    "{% set messages = messages[1:] %}{% endif %}"
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|><think>\n{% endif %}"
)
# The system block stays, and what is given becomes a block of its own.
GPT_OSS = (
    "<|im_start|>system\nYou are ChatGPT.\nCurrent date: {{ strftime_now('%Y-%m-%d') }}<|im_end|>"
    "{% if messages[0].role in ('system', 'developer') or tools %}<|im_start|>developer\n"
    "{% if messages[0].role in ('system', 'developer') %}"
    "# Instructions\n\n{{ messages[0].content }}\n\n{% set messages = messages[1:] %}{% endif %}"
    "{% if tools %}" + TOOLS + "{% endif %}<|im_end|>{% endif %}" + TURNS + START
)
# What is given stands among other text, and flags in it change that text.
SMOLLM3 = (
    "{% set given = messages[0].content if messages[0].role == 'system' else none %}"
    "<|im_start|>system\n## Metadata\n\nReasoning Mode: "
    "{{ '/no_think' if given is not none and '/no_think' in given else '/think' }}\n\n"
    "## Custom Instructions\n\n"
    "{{ 'You are a helpful AI assistant named SmolLM.' if given is none else "
    "given.replace('/no_think', '').rstrip() }}\n\n"
    "{% if tools %}" + TOOLS + "{% endif %}<|im_end|>\n" + WITHOUT_SYSTEM + TURNS + START
)
# A system message is refused outright, wherever it stands.
REFUSING = (
    "{% for m in messages %}{% if m.role not in ('user', 'assistant') %}"
    "{{ raise_exception('only user and assistant') }}{% endif %}{% endfor %}" + TURNS + START
)
DROPPING = TURNS.replace("in messages", "in messages if m.role != 'system'") + START

SHAPES = {
    "smollm2": SMOLLM2,
    "qwen2.5": QWEN25,
    "qwen3": QWEN3,
    "llama3": LLAMA3,
    "gemma": GEMMA,
    "mistral": MISTRAL,
    "mistral-small": MISTRAL_SMALL,
    "deepseek": DEEPSEEK,
    "gpt-oss": GPT_OSS,
    "smollm3": SMOLLM3,
    "refusing": REFUSING,
    "dropping": DROPPING,
}
CONTROL = [
    "<s>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
    "<start_of_turn>",
    "<end_of_turn>",
    "[INST]",
    "[/INST]",
    "[SYSTEM_PROMPT]",
    "[/SYSTEM_PROMPT]",
    "<|user|>",
    "<|assistant|>",
]
TOOL = {
    "type": "function",
    "function": {
        "name": "look",
        "description": "Look something up.",
        "parameters": {"type": "object", "properties": {"word": {"type": "string"}}},
    },
}


def shaped_tokenizer(shape: str) -> PreTrainedTokenizerFast:
    """A token a byte, and one for each control token of the shapes."""
    tokenizer = text_tokenizer()
    tokenizer.bos_token = "<s>"
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", *CONTROL]})
    tokenizer.chat_template = SHAPES[shape]
    return tokenizer
