"""Nothing but guide and reference tells the teacher's prompt from the student's."""

from itertools import takewhile
from pathlib import Path

import pytest
import trl
from trl import GRPOTrainer

from scgrpo.teachers.guides import PLACEHOLDER
from scgrpo.teachers.prompts import TeacherPrompts
from scgrpo.teachers.quoting import Passage
from scgrpo.teachers.templates import ChatTemplate
from tests.teachers.chat_templates import SHAPES, TOOL, shaped_tokenizer

USER = [{"role": "user", "content": "Q1"}]
TURNS = [*USER, {"role": "assistant", "content": "A1"}, {"role": "user", "content": "\n\nQ2"}]
GIVEN = {"role": "system", "content": "Be brief."}
CONVERSATIONS = {
    "user": USER,
    "turns": TURNS,
    "given": [GIVEN, *USER],
    "given turns": [GIVEN, *TURNS],
    "given, empty": [{"role": "system", "content": ""}, *USER],
    "given, with a flag": [{"role": "system", "content": "Be brief. /no_think"}, *USER],
    "given in parts": [{"role": "system", "content": [{"type": "text", "text": "Be"}]}, *USER],
    "all in parts": [
        {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
        {"role": "user", "content": [{"type": "text", "text": "Q"}, {"type": "text", "text": "1"}]},
    ],
}
NO_SYSTEM = ("gemma", "refusing")
SHIPPED = Path(trl.__file__).parent / "chat_templates"


def student_ids(tokenizer, prompt, tools, **options):
    """As TRL makes them."""
    trainer = GRPOTrainer.__new__(GRPOTrainer)
    trainer.processing_class, trainer.tools, trainer.chat_template = tokenizer, tools, None
    trainer.chat_template_kwargs, trainer.environment_factories = options, None
    trainer._is_vlm = False
    return trainer._tokenize_prompts([prompt])[0][0]


def commonprefix(texts):
    same = takewhile(lambda characters: len(set(characters)) == 1, zip(*texts, strict=False))
    return "".join(characters[0] for characters in same)


def cases():
    for shape in SHAPES:
        for name, conversation in CONVERSATIONS.items():
            if shape in NO_SYSTEM and conversation[0]["role"] == "system":
                continue
            if "parts" in name and shape not in ("smollm2", "gpt-oss", "dropping"):
                continue  # such a template refuses parts of the student as well
            for tools in ([], [TOOL]):
                label = f"{shape}-{name}{'-tools' if tools else ''}"
                yield pytest.param(shape, conversation, tools, id=label)


@pytest.mark.parametrize(("shape", "conversation", "tools"), cases())
def test_without_an_addition_the_two_prompts_are_equal_token_by_token(shape, conversation, tools):
    tokenizer = shaped_tokenizer(shape)
    builder = TeacherPrompts(tokenizer, PLACEHOLDER, 10_000)
    opening = builder.template.opening(conversation, tools)
    ids = builder._encode([Passage(opening.bare)], conversation)
    assert ids == student_ids(tokenizer, conversation, tools)


@pytest.mark.parametrize(("shape", "conversation", "tools"), cases())
def test_an_addition_is_all_that_the_teacher_sees_more(shape, conversation, tools):
    tokenizer = shaped_tokenizer(shape)
    builder = TeacherPrompts(tokenizer, f"It was: {PLACEHOLDER}", 10_000)
    student = student_ids(tokenizer, conversation, tools)
    reference = tokenizer("forty-two", add_special_tokens=False)["input_ids"]
    teacher = builder.build(conversation, student, reference, 5, tools=tools).ids
    added = len(teacher) - len(student)
    cuts = [i for i in range(len(student) + 1) if teacher[:i] + teacher[i + added :] == student]
    assert cuts, "more differs than one insertion"
    seen = tokenizer.decode(teacher[cuts[0] : cuts[0] + added])
    assert "It was: forty-two" in seen
    assert "scgrpo" not in tokenizer.decode(teacher)
    assert added <= len("It was: forty-two") + len("# Instructions\n\n\n\n<|im_start|>developer\n")


WHOLE = {
    "smollm2": "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by "
    "Hugging Face\n\nIt was: 42<|im_end|>\n<|im_start|>user\nQ1<|im_end|>\n"
    "<|im_start|>assistant\n",
    "qwen2.5": "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful "
    "assistant.\n\nIt was: 42<|im_end|>\n<|im_start|>user\nQ1<|im_end|>\n<|im_start|>assistant\n",
    "qwen3": "<|im_start|>system\nIt was: 42<|im_end|>\n<|im_start|>user\nQ1<|im_end|>\n"
    "<|im_start|>assistant\n",
    "gemma": "<s><start_of_turn>user\nIt was: 42\n\nQ1<end_of_turn>\n<start_of_turn>model\n",
    "mistral": "<s>[INST] It was: 42\n\nQ1[/INST]",
    "deepseek": "<s>It was: 42<|user|>Q1<|assistant|><think>\n",
    "refusing": "<|im_start|>user\nIt was: 42\n\nQ1<|im_end|>\n<|im_start|>assistant\n",
    "smollm3": "<|im_start|>system\n## Metadata\n\nReasoning Mode: /think\n\n"
    "## Custom Instructions\n\nYou are a helpful AI assistant named SmolLM.\n\nIt was: 42\n\n"
    "<|im_end|>\n<|im_start|>user\nQ1<|im_end|>\n<|im_start|>assistant\n",
}


@pytest.mark.parametrize("shape", WHOLE)
def test_where_the_addition_stands(shape):
    tokenizer = shaped_tokenizer(shape)
    builder = TeacherPrompts(tokenizer, f"It was: {PLACEHOLDER}", 10_000)
    reference = tokenizer("42", add_special_tokens=False)["input_ids"]
    ids = builder.build(USER, student_ids(tokenizer, USER, None), reference, 5).ids
    assert tokenizer.decode(ids) == WHOLE[shape]


def test_a_given_system_message_comes_first_in_parts_too():
    tokenizer = shaped_tokenizer("smollm2")
    builder = TeacherPrompts(tokenizer, f"It was: {PLACEHOLDER}", 10_000)
    prompt = CONVERSATIONS["all in parts"]
    reference = tokenizer("42", add_special_tokens=False)["input_ids"]
    ids = builder.build(prompt, student_ids(tokenizer, prompt, None), reference, 5).ids
    assert tokenizer.decode(ids).startswith(
        "<|im_start|>system\nBe brief.\n\nIt was: 42<|im_end|>\n<|im_start|>user\nQ1<|im_end|>"
    )


def test_template_options_are_the_students():
    tokenizer = shaped_tokenizer("qwen3")
    student = student_ids(tokenizer, USER, None, enable_thinking=False)
    options = {"enable_thinking": False}
    builder = TeacherPrompts(tokenizer, PLACEHOLDER, 10_000, template_options=options)
    opening = builder.template.opening(USER)
    assert tokenizer(opening.bare)["input_ids"] == student
    assert builder.build(USER, student, [], 5).ids[-20:] == student[-20:]


def test_plain_text_has_nothing_but_the_addition():
    tokenizer = shaped_tokenizer("qwen3")
    builder = TeacherPrompts(tokenizer, PLACEHOLDER, 10_000)
    opening = builder._opening("Q1: 1+1=", None)
    ids = builder._encode([Passage(opening.bare)], "Q1: 1+1=")
    assert ids == tokenizer("Q1: 1+1=")["input_ids"]
    assert opening.before + "guide" + opening.after == "guide\n\nQ1: 1+1="


def test_a_template_that_shows_nothing_of_it_is_refused():
    tokenizer = shaped_tokenizer("qwen3")
    template = ChatTemplate(tokenizer, "{{ 'always the same' }}")
    with pytest.raises(ValueError, match="neither a system message nor the text of the first user"):
        template.opening(USER)


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.jinja")), ids=lambda path: path.stem)
def test_templates_that_trl_ships(path):
    tokenizer = shaped_tokenizer("qwen3")
    template = ChatTemplate(tokenizer, path.read_text(encoding="utf-8"))
    rendered = 0
    for conversation in (USER, TURNS, [GIVEN, *USER], [GIVEN, *TURNS]):
        for tools in ([], [TOOL]):
            student = template.try_render(conversation, tools=tools)
            if student is None:
                continue  # neither does the student read it
            opening = template.opening(conversation, tools)
            assert opening.bare == student
            filled = f"{opening.before}guide{opening.after}"
            added = len(filled) - len(student)
            kept = commonprefix([student, filled])
            assert added >= len("guide") and filled[len(kept) + added :] == student[len(kept) :]
            rendered += 1
    assert rendered >= 2
