"""What the tiny base reads and writes: no held-out problem, and a token for each piece of text."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scgrpo.embedded.synthetic.corpus import CorpusOptions, draw_conversation
from scgrpo.embedded.synthetic.tokenizer import build_tokenizer
from scgrpo.tasks.synthetic.solutions import (
    WORDS,
    is_correct,
    routine_words,
    spans_of,
    write_solution,
)
from scgrpo.tasks.synthetic.task import SyntheticOptions, draw_problem, is_held_out

NUMBERS = st.lists(st.integers(10, 99), min_size=2, max_size=5)


def test_corpus_never_shows_a_held_out_problem():
    rng, options = random.Random(0), SyntheticOptions()
    for _ in range(500):
        prompt, _ = draw_conversation(rng, options, CorpusOptions())
        assert not is_held_out([int(n) for n in prompt[-1]["content"].split("+")])


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.8])
def test_routine_dial_is_the_share_of_tokens(share):
    tokenizer, rng = build_tokenizer(), random.Random(0)
    words = {f"{word} " for word in WORDS}
    pieces = []
    for _ in range(300):
        numbers = draw_problem(rng, rng.randint(3, 4))
        solution = write_solution(numbers, rng, words=routine_words(share))
        pieces += tokenizer.batch_decode([[i] for i in tokenizer(solution)["input_ids"]])
    assert sum(piece in words for piece in pieces) / len(pieces) == pytest.approx(share, abs=0.04)


@pytest.mark.parametrize("wording", ["digits", "sums"])
def test_corpus_writes_wording_in_symbols_of_about_that_share(wording):
    options = SyntheticOptions(wording=wording, routine=0.5, steps=8, largest=9)
    rng, clean = random.Random(0), CorpusOptions.without_errors()
    routine = tokens = 0
    for _ in range(200):
        prompt, (solution,) = draw_conversation(rng, options, clean)
        numbers = [int(n) for n in prompt[-1]["content"].split("+")]
        assert max(numbers) <= 9 and is_correct(solution, numbers, wording)
        steps = sum(end - start - 1 for start, end in spans_of(solution))
        written = len(solution) - solution.count("; ")
        routine, tokens = routine + written - steps, tokens + written
    assert routine / tokens == pytest.approx(0.5, abs=0.05)


@settings(deadline=None)
@given(NUMBERS, st.integers(0, 2**32))
def test_tokenizer_gives_the_text_back(numbers, seed):
    tokenizer = build_tokenizer()
    solution = write_solution(numbers, random.Random(seed), words=3)
    ids = tokenizer(solution)["input_ids"]
    assert tokenizer.unk_token_id not in ids
    assert tokenizer.decode(ids, skip_special_tokens=True) == solution
