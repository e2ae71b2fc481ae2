"""What a template puts around a tool's answer is no part of the reference, whatever the tool."""

from importlib.resources import files
from types import SimpleNamespace

import pytest
from trl import GRPOTrainer

from scgrpo.teachers.transcripts import Transcripts
from tests.trainer.tiny import byte_tokenizer

GPT_OSS = ["<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|call|>", "<|return|>"]
GEMMA = ["<|tool_call>", "<tool_call|>", "<|tool_response>", "<tool_response|>", "<|turn>"]


def episode(tokenizer, call, tool, answer, last):
    """Ids and mask of an episode of one call, with the answer's tokens as TRL makes them."""
    trainer = SimpleNamespace(
        processing_class=tokenizer,
        _tokenizer=tokenizer,
        _is_vlm=False,
        chat_template=None,
        chat_template_kwargs={},
    )
    message = {"role": "tool", "name": tool, "content": answer}
    parts = [
        tokenizer(call)["input_ids"],
        GRPOTrainer._get_tool_suffix_ids(trainer, [message]),
        tokenizer(last)["input_ids"],
    ]
    mask = [int(place != 1) for place, part in enumerate(parts) for _ in part]
    return [token for part in parts for token in part], mask


@pytest.mark.parametrize("tool", ["look_up", "x", "a.b-c"])
@pytest.mark.parametrize(
    ("template", "special"),
    [
        ("gptoss", GPT_OSS),
        ("gptoss", []),  # frames of which nothing is a special token
        ("gptoss_training", GPT_OSS),
        ("gemma4", GEMMA),
        ("gemma4_v5", GEMMA),
        ("gemma4_v5", []),
        ("qwen2_5", ["<|im_start|>", "<|im_end|>"]),
        ("llama3_1", []),
        ("glm4moe", []),
    ],
)
def test_frames_of_templates(template, special, tool):
    text = (files("trl") / "chat_templates" / f"{template}.jinja").read_text()
    tokenizer = byte_tokenizer(text, special)
    tokenizer.bos_token = "<pad>"
    ids, mask = episode(tokenizer, "CALL", tool, "fig = 7, not 8", "so 7")
    assert Transcripts(tokenizer).text(ids, mask) == (
        "[action]\nCALL\n[observation]\nfig = 7, not 8\n[action]\nso 7"
    )


def test_an_answer_that_looks_like_a_frame_is_kept():
    text = (files("trl") / "chat_templates" / "gptoss.jinja").read_text()
    tokenizer = byte_tokenizer(text, GPT_OSS)
    answer = "functions.look_up to=assistantcommentary"
    ids, mask = episode(tokenizer, "CALL", "look_up", answer, "so 7")
    assert f"[observation]\n{answer}\n" in Transcripts(tokenizer).text(ids, mask)
