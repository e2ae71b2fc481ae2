"""Rollouts of the user's own making: the teacher sees what the student saw."""

import pytest
import torch

from scgrpo.teachers.prompts import TeacherPrompts
from tests.trainer.runs import config, keep_records, trainer
from tests.trainer.tiny import tiny_tokenizer

TOKENIZER = tiny_tokenizer()


def ids(text):
    return TOKENIZER(text, add_special_tokens=False)["input_ids"]


def rollouts(prompt_text, completion_text, observation=""):
    """A function for TRL whose texts are given for each prompt and its place in the batch."""

    def rollout(prompts, run):
        prompt_ids, completion_ids, masks = [], [], []
        for place, prompt in enumerate(prompts):
            prompt_ids.append(ids(prompt_text(prompt)))
            parts = [ids(completion_text(place)), ids(observation), ids("end")]
            completion_ids.append([token for part in parts for token in part])
            masks.append([int(n != 1) for n, part in enumerate(parts) for _ in part])
        logprobs = [[0.0] * len(row) for row in completion_ids]
        made = {"prompt_ids": prompt_ids, "completion_ids": completion_ids, "logprobs": logprobs}
        return made | ({"env_mask": masks} if observation else {})

    return rollout


def rendered(prompt):
    return f"<user>{prompt[-1]['content']}<end><bot>"


def half(completions, **_):
    return [float(i % 8 < 4) for i in range(len(completions))]


def run_of(folder, rollout, **fields):
    run = trainer(
        config(folder, max_steps=1, rollout_steps=1, guide="as {reference}", **fields),
        reward=half,
        rollout_func=rollout,
    )
    records = keep_records(run)
    run.train()
    return run._attached, records


def test_prompts_of_the_template_have_the_guide_in_the_system_turn(tmp_path):
    attached, _ = run_of(tmp_path, rollouts(rendered, lambda place: f"so {place} "))
    prompts = attached.step.rollouts.prompts
    for row in range(32):
        shown = attached.references.shown[row][0].number
        expected = f"<sys>as so {shown} end<end>{rendered(prompts[row])}"
        assert TOKENIZER.decode(attached.prompts.ids[row][0]) == expected


def test_other_prompts_have_it_in_front(tmp_path):
    """What the student saw is then behind it, token by token."""

    def own(prompt):
        return f"now {prompt[-1]['content']} more"

    attached, records = run_of(tmp_path, rollouts(own, lambda place: f"so {place} "))
    rollout = attached.step.rollouts
    for row in range(32):
        shown = attached.references.shown[row][0].number
        expected = ids(f"as so {shown} end\n\n") + rollout.prompt_ids[row]
        assert attached.prompts.ids[row] == [expected]
    assert all(record["kl"] for record in records)


def test_observations_are_marked_and_read_as_such(tmp_path):
    rollout = rollouts(rendered, lambda place: f"look {place} ", observation="saw 7")
    attached, records = run_of(tmp_path, rollout)
    for row, record in enumerate(records):
        shown = attached.references.shown[row][0].number
        text = TOKENIZER.decode(attached.prompts.ids[row][0])
        transcript = f"[action]\nlook {shown} \n[observation]\nsaw 7\n[action]\nend"
        assert text.startswith(f"<sys>as {transcript}<end>")
        written = torch.tensor(record["written"])
        assert (~written).sum() == len("saw 7")
        assert not torch.tensor(record["kl"])[~written].any()


@pytest.mark.parametrize("begins", [True, False])
def test_the_first_token_stays_first(begins):
    tokenizer = tiny_tokenizer()
    tokenizer.bos_token = "<sys>"
    start = [tokenizer.bos_token_id] if begins else []
    prompts = TeacherPrompts(tokenizer, "as {reference}", 100, ids_are_given=True)
    built = prompts.build("x", [*start, *ids("now")], ids("abc"), 5)
    assert built.ids == [*start, *ids("as abc\n\nnow")]


def test_a_reference_in_front_is_cut_like_any_other():
    prompts = TeacherPrompts(TOKENIZER, "as {reference}", 40, ids_are_given=True)
    built = prompts.build("x", ids("now"), ids("abcdefgh" * 9), 5)
    assert built.reference_cut
    assert len(built.ids) == 35
    assert TOKENIZER.decode(built.ids).startswith("as abcdefgh")
    assert TOKENIZER.decode(built.ids).endswith("\n\nnow")


def test_plain_text_prompts_are_compared_too():
    prompts = TeacherPrompts(TOKENIZER, "as {reference}", 100, ids_are_given=True)
    assert prompts.build("now", ids("now"), ids("abc"), 5).ids == ids("as abc\n\nnow")
    assert prompts.build("then", ids("now"), ids("abc"), 5).ids == ids("as abc\n\nnow")
