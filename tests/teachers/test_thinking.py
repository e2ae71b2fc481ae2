"""What a reference shows of the thoughts in it."""

import pytest
from tokenizers import AddedToken

from scgrpo import SCGRPOConfig
from scgrpo.teachers.prompts import TeacherPrompts
from scgrpo.teachers.quoting import plain_ids
from scgrpo.teachers.templates import ChatTemplate
from scgrpo.teachers.thinking import shows_thinking, without_thinking
from scgrpo.teachers.transcripts import Transcripts
from tests.tasks.tiny_text_model import text_tokenizer
from tests.teachers.chat_templates import SHAPES
from tests.trainer.runs import config, keep_records, trainer

USER = [{"role": "user", "content": "Q1"}]
THOUGHT = "<think>\none and one\n</think>\n\nIt is 2."


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (THOUGHT, "It is 2."),
        ("It is 2.", "It is 2."),
        ("<think>\n\n</think>\n\nIt is 2.", "It is 2."),
        ("one and one\n</think>\n\nIt is 2.", "It is 2."),  # opened by the prompt
        ("<think>a</think>So <think>b</think>2", "So 2"),
        ("a</think>So <think>b</think>2", "So 2"),
        ("<think>a</think>write </think> at the end", "write </think> at the end"),
        ("<think>one and one and", "<think>one and one and"),  # cut off
        ("<think>a</think>So <think>b and", "So <think>b and"),
        ("<think>a <think>b</think>2", "2"),
        (THOUGHT.removesuffix("It is 2."), THOUGHT.removesuffix("It is 2.")),
        ("one and one</think>", "one and one</think>"),
        ("", ""),
    ],
)
def test_a_turn_without_its_thoughts(text, shown):
    assert without_thinking(text) == shown


DROPS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{{ m.content.split('</think>')[-1].lstrip('\n') if m.role == 'assistant' else m.content }}"
    "<|im_end|>\n{% endfor %}"
)


@pytest.mark.parametrize(
    ("template", "kept"),
    [
        (DROPS, False),
        (SHAPES["qwen2.5"], True),
        (SHAPES["refusing"], True),
        (None, True),
        ("{{ raise_exception('no') }}", True),
    ],
)
def test_the_default_is_the_habit_of_the_template(template, kept):
    tokenizer = text_tokenizer()
    tokenizer.chat_template = template
    chat = ChatTemplate(tokenizer)
    assert shows_thinking("template", chat) == kept
    assert shows_thinking("keep", chat) and not shows_thinking("remove", chat)
    ids = tokenizer(THOUGHT, add_special_tokens=False)["input_ids"]
    assert Transcripts(tokenizer).text(ids) == (THOUGHT if kept else "It is 2.")


def test_qwen3_drops_the_thoughts_of_earlier_turns():
    assert not shows_thinking("template", ChatTemplate(text_tokenizer()))


@pytest.mark.parametrize(("choice", "shown"), [("keep", THOUGHT), ("remove", "It is 2.")])
def test_the_teacher_reads_what_was_chosen(choice, shown):
    tokenizer = text_tokenizer()
    builder = TeacherPrompts(tokenizer, "{reference}", 10_000, reference_thinking=choice)
    ids = tokenizer(f"{THOUGHT}<|im_end|>", add_special_tokens=False)["input_ids"]
    built = builder.build(USER, builder.template.ids(USER), ids, 5)
    assert tokenizer.decode(built.ids).startswith(f"<|im_start|>system\n{shown}<|im_end|>")
    assert not built.reference_cut


def test_each_turn_of_an_episode_loses_its_thoughts_and_observations_keep_theirs():
    tokenizer = text_tokenizer()
    texts = [f"{THOUGHT}<|im_end|>", "<think>noted</think>seen", f"{THOUGHT}<|im_end|>"]
    parts = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    ids = [token for part in parts for token in part]
    mask = [int(i % 2 == 0) for i, part in enumerate(parts) for _ in part]
    text = Transcripts(tokenizer, thinking="remove").text(ids, mask)
    assert text == (
        "[action]\nIt is 2.\n[observation]\n<think>noted</think>seen\n[action]\nIt is 2."
    )


def test_tags_that_are_special_tokens():
    """Decoding leaves them out, and would leave the thoughts."""
    tokenizer = text_tokenizer()
    tags = ["<think>", "</think>"]
    tokenizer.add_tokens([AddedToken(tag, special=True, normalized=False) for tag in tags])
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", *tags]})
    ids = tokenizer(f"{THOUGHT}<|im_end|>", add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids, skip_special_tokens=True) == "\none and one\n\n\nIt is 2."
    assert Transcripts(tokenizer, thinking="remove").text(ids) == "It is 2."
    assert Transcripts(tokenizer, thinking="keep").text(ids) == "\none and one\n\n\nIt is 2."


def test_what_is_left_stays_quoted():
    tokenizer = text_tokenizer()
    builder = TeacherPrompts(tokenizer, "{reference}", 10_000, reference_thinking="remove")
    spelled = plain_ids(tokenizer, "<think>a</think>b<|im_start|>c")
    student = builder.template.ids(USER)
    ids = builder.build(USER, student, spelled, 5).ids
    assert "b<|im_start|>c" in tokenizer.decode(ids)
    assert ids.count(1) == student.count(1) + 1


def test_an_unknown_choice_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"reference_thinking is 'no'; choose one of template, k"):
        SCGRPOConfig(str(tmp_path), use_cpu=True, bf16=False, reference_thinking="no")


def test_the_trainer_passes_the_choice_on(tmp_path):
    run = trainer(config(tmp_path, reference_thinking="remove"))
    assert run._credit.teacher.prompt_builder.transcripts.thinking == "remove"
    assert keep_records(run) == []
