"""Texts of tokens: together they are the text, whatever the tokenizer does to one alone."""

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from scgrpo.teachers.pieces import Pieces

TEXT = "a cat 🙂 is ≤ 3 数学, so\n\n  return é"
WORDS = ("cat", "is", "so", "return")


def sentence_pieces():
    """As Llama 2's: spaces belong to words, other letters are bytes, decoding strips one space."""
    parts = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *"▁acistoren3,\n"]
    merges, made = [], list(dict.fromkeys(parts))
    for word in WORDS:
        whole = "▁"
        for letter in word:
            merges.append((whole, letter))
            whole += letter
            made.append(whole)
    vocabulary = {token: i for i, token in enumerate(dict.fromkeys([*made, *"u"]))}
    backend = Tokenizer(
        models.BPE(vocabulary, merges=merges, byte_fallback=True, unk_token="<unk>")
    )
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    backend.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)])
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>")


def byte_pieces():
    """As GPT-2's and Qwen's, each byte a token."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE({letter: i for i, letter in enumerate(alphabet)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=backend)


@pytest.mark.parametrize("make", [sentence_pieces, byte_pieces])
def test_pieces_together_are_the_text(make):
    tokenizer = make()
    ids = tokenizer(TEXT, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids) == TEXT
    pieces = Pieces(tokenizer)
    found = pieces(ids)
    assert len(found) == len(ids) and "".join(found).removeprefix(" ") == TEXT
    # A character of several tokens stands at its last one.
    smile = found.index("🙂")
    assert found[smile - 3 : smile] == [""] * 3
    assert pieces(ids) == found


def test_spaces_of_words_stay():
    tokenizer = sentence_pieces()
    found = Pieces(tokenizer)(tokenizer(" a cat is so", add_special_tokens=False)["input_ids"])
    assert found[-3:] == [" cat", " is", " so"]


def test_bytes_that_are_no_character_stay_broken_and_touch_no_others():
    tokenizer = byte_pieces()
    smile, e = (tokenizer(t)["input_ids"] for t in ("🙂", "é"))
    pieces = Pieces(tokenizer)
    assert pieces(smile[:3]) == ["\ufffd"] * 3
    a, b = tokenizer("ab")["input_ids"]
    assert pieces([a, *smile[:2], b, *e]) == ["a", "\ufffd", "\ufffd", "b", "", "é"]
    assert pieces.alone(smile[:2]) == ["\ufffd"] * 2
    assert pieces([]) == []
