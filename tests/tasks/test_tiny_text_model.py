"""The tiny text model reads any text, and TRL knows its chat template."""

from transformers import AutoTokenizer
from trl.chat_template_utils import add_response_schema, parse_response

from tests.tasks.tiny_text_model import save_text_model, text_tokenizer


def test_any_text_comes_back(tmp_path):
    save_text_model(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    for text in ("\\boxed{½}", "  tabs\tand\r\nlines ", "日本語 🙂", "<|im_end|>"):
        ids = tokenizer(text)["input_ids"]
        assert tokenizer.decode(ids) == text
    assert len(tokenizer("日本")["input_ids"]) == 6


def test_messages_end_in_the_generation_prompt():
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    text = text_tokenizer().apply_chat_template(
        messages, add_generation_prompt=True, tokenize=False
    )
    assert text.startswith("<|im_start|>system\ns<|im_end|>")
    assert text.endswith("<|im_start|>user\nu<|im_end|>\n<|im_start|>assistant\n")


def test_trl_reads_its_tool_calls():
    tokenizer = add_response_schema(text_tokenizer())
    call = '<tool_call>\n{"name": "search", "arguments": {"words": "red"}}\n</tool_call><|im_end|>'
    prompt = tokenizer("<|im_start|>assistant\n")["input_ids"]
    message = parse_response(tokenizer, tokenizer(call)["input_ids"], prefix=prompt)
    assert message["tool_calls"][0]["function"] == {
        "name": "search",
        "arguments": {"words": "red"},
    }
