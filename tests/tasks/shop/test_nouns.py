"""Nouns of titles: the word list, and spaCy's tags where a model is installed."""

import pytest

from scgrpo.tasks.shop import nouns
from scgrpo.tasks.shop.nouns import find_nouns, title_words

SHOE = "adidas Unisex-Adult D.o.n. Issue 2 Basketball Shoe"
CORD = "Saireed UL Listed 2 Prong Power Cord for JBL Bar 3.1 Bar 2.1 Channel 4K Ultra HD Soundbar"


def test_words_without_function_words_and_numbers():
    assert title_words(SHOE) == (
        *("adidas", "unisex", "adult", "d.o.n", "issue", "basketball", "shoe"),
    )
    assert title_words("Women's T-Shirt, Pack of 2 (Black/White)") == (
        *("women", "t", "shirt", "pack", "black", "white"),
    )
    assert title_words("2 for 1.50") == ()
    assert title_words("Café Table_Set") == ("café", "table", "set")
    assert title_words(CORD).count("bar") == 2, "repeated words count as often as they stand"


def test_spacy_is_refused_where_it_is_not(monkeypatch):
    monkeypatch.setattr(nouns, "_spacy_nouns", lambda: None)
    assert find_nouns("auto") is title_words
    assert find_nouns("words") is title_words
    with pytest.raises(ValueError, match="spacy download en_core_web_sm"):
        find_nouns("spacy")


def test_spacys_tags():
    reader = nouns._spacy_nouns()
    if reader is None:
        pytest.skip("no spaCy model is installed")
    bought = set(reader("adidas Unisex-Adult D.o.n. Issue 2 Indoor Court Shoe"))
    wanted = reader(SHOE)
    assert len(set(wanted) & bought) / len(wanted) == pytest.approx(0.85, abs=0.02)
    assert find_nouns("auto") is reader
    assert isinstance(find_nouns("spacy"), nouns._SpacyNouns)
