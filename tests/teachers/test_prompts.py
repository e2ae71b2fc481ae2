"""Teacher prompts: what stands where, how they end, and what is cut."""

import pytest

from scgrpo.teachers.guides import GUIDES, resolve_guide
from scgrpo.teachers.prompts import TeacherPrompts
from tests.tasks.tiny_text_model import text_tokenizer
from tests.trainer.tiny import TEMPLATE, tiny_tokenizer

USER = [{"role": "user", "content": "Q1+2"}]
NO_SYSTEM = TEMPLATE.replace(
    "{% for m in messages %}",
    "{% for m in messages %}"
    "{% if m.role == 'system' %}{{ raise_exception('no system role') }}{% endif %}",
)
DROPS_SYSTEM = TEMPLATE.replace("in messages %}", "in messages if m.role != 'system' %}")


def prompts(template=TEMPLATE, guide="ref: {reference}", max_length=200):
    return TeacherPrompts(tiny_tokenizer(template), guide, max_length)


def student_ids(builder, prompt):
    if isinstance(prompt, str):
        return builder.tokenizer(prompt)["input_ids"]
    return builder.template.ids(prompt)


def build(builder, prompt, reference, completion_length=5):
    ids = builder.tokenizer(reference, add_special_tokens=False)["input_ids"]
    built = builder.build(prompt, student_ids(builder, prompt), ids, completion_length)
    return built, None if built is None else builder.tokenizer.decode(built.ids)


def test_reference_stands_in_the_system_message_only():
    built, text = build(prompts(), USER, "1+2=3$")
    assert text == "<sys>ref: 1+2=3$<end><user>Q1+2<end><bot>"
    assert not built.reference_cut


def test_base_system_prompt_comes_first():
    conversation = [{"role": "system", "content": "base"}, *USER]
    _, text = build(prompts(), conversation, "1+2=3$")
    assert text == "<sys>base\n\nref: 1+2=3$<end><user>Q1+2<end><bot>"


@pytest.mark.parametrize("template", [NO_SYSTEM, DROPS_SYSTEM])
def test_template_without_system_role_puts_the_guide_before_the_user(template):
    _, text = build(prompts(template), USER, "1+2=3$")
    assert text == "<user>ref: 1+2=3$\n\nQ1+2<end><bot>"


def test_every_turn_of_the_student_is_kept():
    conversation = [
        *USER,
        {"role": "assistant", "content": "3"},
        {"role": "user", "content": "and 4"},
    ]
    _, text = build(prompts(), conversation, "7")
    assert text == "<sys>ref: 7<end><user>Q1+2<end><bot>3<end><user>and 4<end><bot>"


def test_plain_text_prompt():
    _, text = build(prompts(), "Q1+2A", "1+2=3$")
    assert text == "ref: 1+2=3$\n\nQ1+2A"


def test_teacher_and_student_end_in_the_same_generation_prompt():
    builder = prompts()
    built, _ = build(builder, USER, "1+2=3$")
    assert built.ids[-1] == builder.tokenizer.convert_tokens_to_ids("<bot>")
    other_ending = student_ids(builder, USER)[:-1]
    with pytest.raises(ValueError, match="ends the teacher's prompt"):
        builder.build(USER, other_ending, [], 5)


def test_braces_in_a_reference_are_no_placeholders():
    guide = "see {reference} {other}"
    assert resolve_guide(guide) == guide
    tokenizer = text_tokenizer()
    builder = TeacherPrompts(tokenizer, guide, 200)
    reference = tokenizer("{reference}{x}")["input_ids"]
    ids = builder.build(USER, student_ids(builder, USER), reference, 5).ids
    assert tokenizer.decode(ids).startswith(
        "<|im_start|>system\nsee {reference}{x} {other}<|im_end|>\n"
    )


def test_a_guide_may_show_the_reference_twice():
    _, text = build(prompts(guide="a {reference} b {reference}"), USER, "1+2=3$")
    assert text == "<sys>a 1+2=3$ b 1+2=3$<end><user>Q1+2<end><bot>"


@pytest.mark.parametrize("length", range(40, 90, 3))
def test_long_reference_is_cut_in_the_middle_and_the_problem_never(length):
    reference = "abcdefghijklmnopqrstuvwxyz" * 4
    built, text = build(prompts(max_length=length), USER, reference, completion_length=5)
    assert built.reference_cut
    assert len(built.ids) + 5 <= length
    kept = text.removeprefix("<sys>ref: ").removesuffix("<end><user>Q1+2<end><bot>")
    head, tail = kept.split("\n[...]\n")
    assert reference.startswith(head) and reference.endswith(tail)
    assert 0 <= len(head) - len(tail) <= 1


def test_cut_uses_the_room_there_is():
    reference = "abcdefghijklmnopqrstuvwxyz" * 4
    built, _ = build(prompts(max_length=80), USER, reference, completion_length=5)
    assert 80 - 5 - len(built.ids) <= len("\n[...]\n")


def test_no_room_even_without_a_reference():
    built, _ = build(prompts(max_length=16), USER, "abc" * 20, completion_length=5)
    assert built is None


def test_reference_that_just_fits_is_whole():
    whole, _ = build(prompts(), USER, "1+2=3$")
    built, _ = build(prompts(max_length=len(whole.ids) + 5), USER, "1+2=3$", completion_length=5)
    assert built == whole


@pytest.mark.parametrize("name", sorted(GUIDES))
def test_guides_have_a_place_for_the_reference(name):
    assert resolve_guide(name).count("{reference}") == 1


def test_unknown_guide_says_what_to_do():
    with pytest.raises(ValueError, match=r"guide is 'maths'.*put \{reference\}"):
        prompts(guide="maths")
