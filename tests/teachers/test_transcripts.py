"""Transcripts of episodes: what the teacher reads of them, and what is left out first."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase
from trl.chat_template_utils import get_training_chat_template

from scgrpo.tasks.transcript import CUT_MARK, Span, transcript
from scgrpo.teachers.prompts import TeacherPrompts
from scgrpo.teachers.transcripts import Transcripts
from tests.tasks.tiny_text_model import text_tokenizer
from tests.trainer.tiny import tiny_tokenizer

MARK = len(CUT_MARK)
"""Tokens of the mark, with one token a character."""
USER = [{"role": "user", "content": "Q1"}]
FRAME = ("<tool>", "<end><bot>")
TOKENIZER = tiny_tokenizer()


def episode(*texts: str) -> tuple[list[int], list[int]]:
    """Token ids and mask of turns and answers in turn, as the tiny template puts them together."""
    ids: list[int] = []
    mask: list[int] = []
    for place, text in enumerate(texts):
        written = place % 2 == 0
        framed = f"{text}<end>" if written else f"{FRAME[0]}{text}{FRAME[1]}"
        part = TOKENIZER(framed, add_special_tokens=False)["input_ids"]
        ids += part
        mask += [int(written)] * len(part)
    return ids, mask


def excerpt(*texts: str):
    return Transcripts(TOKENIZER).excerpt(*episode(*texts))


def build(max_length: int, *texts: str):
    """Teacher prompt with a reference, for a completion of five tokens; its text."""
    builder = TeacherPrompts(TOKENIZER, "{reference}", max_length)
    ids, mask = episode(*texts)
    built = builder.build(USER, builder.template.ids(USER), ids, 5, reference_written=mask)
    return built, None if built is None else TOKENIZER.decode(built.ids)


def test_an_episode_shows_what_was_done_and_what_came_back():
    shown = excerpt("look a", "a=7", "look b", "b=2; c=4", "7+2=9")
    assert shown.text == (
        "[action]\nlook a\n[observation]\na=7\n[action]\nlook b\n[observation]\nb=2; c=4\n"
        "[action]\n7+2=9"
    )
    assert not shown.is_cut


def test_one_turn_is_its_text_with_and_without_a_mask():
    ids, mask = episode("7+2=9")
    transcripts = Transcripts(TOKENIZER)
    assert transcripts.text(ids) == transcripts.text(ids, mask) == "7+2=9"


def test_an_episode_may_end_in_an_answer():
    assert excerpt("look a", "a=7").text == "[action]\nlook a\n[observation]\na=7"


def test_the_longest_observations_lose_their_middle_first():
    long, middle, short = "abcdefghijklmnopqrstuvwxyz", "abcdefghijklmnop", "abc"
    shown = excerpt("one", long, "two", middle, "three", short, "four")
    once = shown.shorter(4)
    # A limit of 22 tokens for all, seven of them for the mark, is the first that saves four.
    assert once.text == shown.text.replace(long, f"abcdefgh{CUT_MARK}tuvwxyz")
    assert once.is_cut
    both = shown.shorter(14)
    # 14 tokens each: the two longer ones are even from here on.
    assert both.text == shown.text.replace(long, f"abcd{CUT_MARK}xyz").replace(
        middle, f"abcd{CUT_MARK}nop"
    )
    least = shown.shorter(1000)
    assert least.text == shown.text.replace(long, "[...]").replace(middle, "[...]")


def test_only_without_observations_to_shorten_is_the_whole_cut_in_the_middle():
    shown = excerpt("look a", "abcdefghijklmnopqrstuvwxyz", "look b", "b=2", "7+2=9")
    least = shown.shorter(1000)
    whole = (
        "[action]\nlook a\n[observation]\n[...]\n[action]\nlook b\n[observation]\nb=2\n"
        "[action]\n7+2=9"
    )
    assert least.text == whole
    kept = len(whole) - 10
    head, tail = (kept + 1) // 2, kept // 2
    assert least.shorter(10).text == whole[:head] + CUT_MARK + whole[-tail:]
    assert least.shorter(len(whole)).text == "[...]"
    assert least.shorter(len(whole)).shorter(1) is None


def test_an_observation_that_the_mark_would_lengthen_stays():
    shown = excerpt("look a", "a" * MARK, "7")
    assert shown.shorter(1).text != shown.text.replace("a" * MARK, "[...]")
    longer = excerpt("look a", "a" * (MARK + 1), "7")
    assert longer.shorter(1).text == longer.text.replace("a" * (MARK + 1), "[...]")


words = st.text("abcdefgh =+", min_size=1, max_size=40)


@settings(max_examples=300, deadline=None)
@given(
    turns=st.lists(st.tuples(words, words), min_size=1, max_size=5),
    last=words,
    length=st.integers(20, 260),
)
def test_the_models_turns_are_whole_while_an_observation_can_be_shortened(turns, last, length):
    texts = [text for turn in turns for text in turn] + [last]
    built, text = build(length, *texts)
    if built is None:
        assert length - 5 < len("<sys>[...]<end><user>Q1<end><bot>")
        return
    assert len(built.ids) + 5 <= length
    before, after = "<sys>", "<end><user>Q1<end><bot>"
    assert text.startswith(before) and text.endswith(after), "the problem is never cut"
    reference = text.removeprefix(before).removesuffix(after)
    spans = [Span(t, place % 2 == 0) for place, t in enumerate(texts)]
    assert built.reference_cut == (reference != transcript(spans))
    shortest = transcript(
        span if span.is_written or len(span.text) <= MARK else Span("[...]", False)
        for span in spans
    )
    if len(shortest) + len("$$Q1$$$$") + 5 <= length:  # one token for each mark of the template
        position = 0
        for span in spans:
            if span.is_written:
                mark = "[action]\n" + span.text
                assert mark in reference[position:], "a turn of the model is not whole"
                position = reference.index(mark, position) + len(mark)


def qwen_answer(*contents: str) -> str:
    """What TRL puts between two turns with Qwen3's template."""
    answers = "".join(f"\n<tool_response>\n{c}\n</tool_response>" for c in contents)
    return f"\n<|im_start|>user{answers}<|im_end|>\n<|im_start|>assistant\n"


def qwen(*texts: str) -> str:
    tokenizer: PreTrainedTokenizerBase = text_tokenizer()
    template = get_training_chat_template(tokenizer)  # as TRL does where there are tools
    ids: list[int] = []
    mask: list[int] = []
    for place, text in enumerate(texts):
        part = tokenizer(text, add_special_tokens=False)["input_ids"]
        ids, mask = ids + part, mask + [int(place % 2 == 0)] * len(part)
    return Transcripts(tokenizer, template).text(ids, mask)


CALL = '<tool_call>\n{"name": "search", "arguments": {"keywords": "tea"}}\n</tool_call>'


def test_what_the_template_puts_around_an_answer_is_left_out():
    shown = qwen(f"I search.\n{CALL}<|im_end|>", qwen_answer("Page 1\nmint tea"), "Done.<|im_end|>")
    assert shown == (
        f"[action]\nI search.\n{CALL}\n[observation]\nPage 1\nmint tea\n[action]\nDone."
    )


def test_two_answers_to_one_turn_stay_apart():
    shown = qwen(f"{CALL}{CALL}<|im_end|>", qwen_answer("one", "two"), "Done.<|im_end|>")
    between = "one\n</tool_response>\n<tool_response>\ntwo"
    assert shown == f"[action]\n{CALL}{CALL}\n[observation]\n{between}\n[action]\nDone."


def test_an_answer_that_the_template_did_not_make_is_shown_as_it_is():
    shown = qwen("go<|im_end|>", "\nsomething else\n", "Done.<|im_end|>")
    assert shown == "[action]\ngo\n[observation]\nsomething else\n[action]\nDone."


@pytest.mark.parametrize("template", [None, "{{ raise_exception('no tools') }}"])
def test_a_template_without_tools_has_nothing_to_leave_out(template):
    tokenizer = text_tokenizer()
    tokenizer.chat_template = template
    ids = tokenizer("go\nback\n")["input_ids"]
    mask = [1] * 3 + [0] * 5
    assert Transcripts(tokenizer).text(ids, mask) == "[action]\ngo\n[observation]\nback"
