"""Prompts that the model cannot hold: few are tokenized at the start, the others as they come."""

import pytest
from datasets import Dataset

from scgrpo.trainer import checks
from tests.trainer.runs import config, trainer
from tests.trainer.tiny import tiny_dataset, tiny_model, tiny_tokenizer

ROLES = ("system", "user")


class Counting:
    """A tokenizer that counts its calls."""

    def __init__(self, chat_template="x"):
        self.chat_template, self.calls = chat_template, 0
        self.tokenizer = tiny_tokenizer()

    def __call__(self, text):
        self.calls += 1
        return self.tokenizer(text)

    def apply_chat_template(self, *args, **options):
        self.calls += 1
        return self.tokenizer.apply_chat_template(*args, **options)


@pytest.mark.parametrize("rows", [10, 5000])
@pytest.mark.parametrize("conversational", [True, False])
def test_few_prompts_are_tokenized_at_the_start(rows, conversational):
    data = tiny_dataset(rows)
    if not conversational:
        data = Dataset.from_dict({"prompt": [f"Q{i}" for i in range(rows)]})
    tokenizer = Counting()
    checks.check_prompts(data, tokenizer, 256, {})
    assert tokenizer.calls == min(rows, checks.LONGEST)


@pytest.mark.parametrize("row", [0, 777, 2999])
def test_the_longest_are_among_them(row):
    texts = ["Qa"] * 3000
    texts[row] = "a" * 300
    data = Dataset.from_dict({"prompt": texts})
    with pytest.raises(ValueError, match=f"prompt of row {row} has 300 tokens.*context is 256"):
        checks.check_prompts(data, Counting(), 256, {})


@pytest.mark.parametrize("content", [str, lambda text: [{"type": "text", "text": text}]])
@pytest.mark.parametrize("reorders", [False, True])
def test_the_longest_conversations_are_among_them(content, reorders):
    """Of several messages, in a data set that has been put in another order."""
    texts = [["be brief", "Qa"] for _ in range(300)]
    texts[7], texts[8] = ["a" * 150, "b" * 150], ["c", "c" * 60]
    said = [zip(ROLES, some, strict=True) for some in texts]
    rows = [[{"role": role, "content": content(text)} for role, text in some] for some in said]
    data = Dataset.from_dict({"prompt": rows})
    if reorders:
        data = data.select(range(299, -1, -1))
    found = checks._characters(data.with_format("arrow")[:]["prompt"].combine_chunks())
    per_text = 4 if content is not str else 0  # the parts' type
    expected = [sum(map(len, some)) + len("systemuser") + 2 * per_text for some in texts]
    assert found.tolist() == (expected[::-1] if reorders else expected)


def test_no_limit_no_calls():
    tokenizer = Counting()
    checks.check_prompts(tiny_dataset(50), tokenizer, None, {})
    assert tokenizer.calls == 0


def narrow(folder, monkeypatch, **options):
    """A run whose longest prompt, in tokens, is not among the longest in characters."""
    monkeypatch.setattr(checks, "LONGEST", 1)
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["<wide>"])
    model = tiny_model(max_position_embeddings=40, vocab_size=len(tokenizer))
    args = config(folder, per_device_train_batch_size=8, max_completion_length=4, max_steps=4)
    return trainer(args, model=model, processing_class=tokenizer, **options)


def rows_with_a_long_one():
    """Row 1 has the most characters, row 2 the most tokens."""
    texts = ["Qa", "<wide>" * 30, "a" * 50, "Qb"]
    return Dataset.from_list([{"prompt": [{"role": "user", "content": text}]} for text in texts])


def test_a_prompt_that_slipped_through_is_refused_when_it_comes_up(tmp_path, monkeypatch):
    run = narrow(tmp_path, monkeypatch, train_dataset=rows_with_a_long_one())
    with pytest.raises(ValueError, match=r"prompt of row 2 has 53 tokens.*context is 40"):
        run.train()


def test_prompts_of_an_evaluation_are_left_to_trl(tmp_path, monkeypatch):
    held_out = rows_with_a_long_one().select([2])
    run = narrow(tmp_path, monkeypatch, train_dataset=tiny_dataset())
    run.model.eval()
    assert len(run._tokenize_prompts(list(held_out["prompt"]))[0][0]) == 53


def test_place_of_a_prompt_that_is_in_no_row():
    assert checks.place_of("x" * 80, tiny_dataset(3)) == repr("x" * 60)
    assert checks.place_of("x", None) == "'x'"
