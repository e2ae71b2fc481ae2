"""What the agent's base reads and writes: the same tokens in the corpus, with tools and in text."""

import random

import pytest
import torch
from trl.chat_template_utils import (
    is_chat_template_prefix_preserving,
    parse_response,
    supports_tool_calling,
)

from scgrpo.embedded.base_model import IGNORED, _example
from scgrpo.embedded.lookup.corpus import CorpusOptions, draw_conversation
from scgrpo.embedded.lookup.tokenizer import build_tokenizer
from scgrpo.tasks.lookup.environments import LookupTools
from scgrpo.tasks.lookup.task import LookupOptions
from scgrpo.tasks.transcript import Span, transcript
from scgrpo.teachers.prompts import TeacherPrompts

TOKENIZER = build_tokenizer()


def draw(count, **options):
    rng = random.Random(0)
    task, corpus = LookupOptions(), CorpusOptions(**options)
    return [draw_conversation(rng, task, corpus) for _ in range(count)]


def test_every_text_has_its_own_tokens_and_comes_back():
    for prompt, following in draw(200):
        for text in [*following, *(message["content"] for message in prompt)]:
            ids = TOKENIZER(text)["input_ids"]
            assert TOKENIZER.unk_token_id not in ids
            assert TOKENIZER.decode(ids) == text


def test_trl_takes_the_template_and_reads_the_calls():
    assert supports_tool_calling(TOKENIZER) and is_chat_template_prefix_preserving(TOKENIZER)
    prefix = TOKENIZER("<|user|>fig<|end|><|assistant|>")["input_ids"]

    def read(text):
        ids = TOKENIZER(text)["input_ids"]
        return parse_response(TOKENIZER, ids, prefix=prefix, tools=[LookupTools().look])

    call = {"type": "function", "function": {"name": "look", "arguments": {"name": "fig"}}}
    assert read("so right look fig<|end|>") == {
        "role": "assistant", "content": "so right", "tool_calls": [call],
    }  # fmt: skip
    plain = read("3+15=18; well answer 18<|end|>")
    assert plain == {"role": "assistant", "content": "3+15=18; well answer 18"}


def test_the_corpus_is_what_training_and_evaluation_see():
    """The transcript in the corpus is the teacher's, and so are the tokens around the turns."""
    for prompt, following in draw(50, reference_share=1.0):
        ids, labels = _example(TOKENIZER, prompt, following)
        roles = ["assistant", "user"] * len(following)
        messages = [{"role": r, "content": t} for r, t in zip(roles, following, strict=False)]
        rendered = TOKENIZER.apply_chat_template([*prompt, *messages], return_dict=True)
        assert ids.tolist() == rendered["input_ids"]
        learned = TOKENIZER.decode(ids[labels != IGNORED].tolist())
        assert learned == "".join(f"{text}<|end|>" for text in following[::2])
        assert torch.equal(ids[labels != IGNORED], labels[labels != IGNORED])

        student = [message for message in prompt if message["role"] == "user"]
        asked = TOKENIZER.apply_chat_template(student, add_generation_prompt=True, return_dict=True)
        start = len(TOKENIZER.apply_chat_template(prompt, add_generation_prompt=True,
                                                  return_dict=True)["input_ids"])  # fmt: skip
        episode, written = ids[start:].tolist(), (labels[start:] != IGNORED).int().tolist()
        taught = TeacherPrompts(TOKENIZER, "{reference}", 512).build(
            student, asked["input_ids"], episode, 10, reference_written=written
        )
        shown = TOKENIZER.decode(taught.ids)
        again = TeacherPrompts(TOKENIZER, "{reference}", 512).transcripts.text(episode, written)
        assert again == transcript(Span(t, i % 2 == 0) for i, t in enumerate(following))
        asked_text = f"<|user|>{student[0]['content']}<|end|><|assistant|>"
        assert shown == f"<|system|>{again}<|end|>{asked_text}"


def test_held_out_problems_are_never_written_about():
    for prompt, following in draw(300):
        asked = prompt[-1]["content"].split("+")
        assert len(following) == 2 * len(asked) + 1
    from scgrpo.embedded.lookup.corpus import _draw_training_problem

    rng = random.Random(0)
    assert not any(_draw_training_problem(rng, LookupOptions()).is_held_out for _ in range(300))


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (1.0, 100)])
def test_share_of_references(share, expected):
    drawn = draw(100, reference_share=share)
    assert sum(prompt[0]["role"] == "system" for prompt, _ in drawn) == expected
