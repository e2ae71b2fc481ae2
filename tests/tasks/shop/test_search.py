"""Search: BM25 worked by hand, its words, and its order."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from scgrpo.tasks.shop import ShopTask
from scgrpo.tasks.shop.porter import stem
from scgrpo.tasks.shop.search import HITS, SearchIndex, one_byte, tokens_of
from tests.tasks.shop.hand_made import LAMP, MUG, PRODUCTS, make_shop


def test_scores_are_lucenes_bm25():
    index = SearchIndex(["red mug", "red red lamp shade", "blue vase"])
    scores = index.scores("Red mugs")
    k1, b, average = 0.9, 0.4, 8 / 3

    def score(count, length, holding):
        rarity = math.log(1 + (3 - holding + 0.5) / (holding + 0.5))
        return rarity * count / (count + k1 * (1 - b + b * length / average))

    twice = index.scores("red red")
    assert twice == pytest.approx(2 * index.scores("red"), rel=1e-6)

    assert scores[0] == pytest.approx(score(1, 2, 2) + score(1, 2, 1), rel=1e-5)
    assert scores[1] == pytest.approx(score(2, 4, 2), rel=1e-5)
    assert scores[2] == 0
    assert index.search("red mug") == (0, 1)


def test_texts_without_a_word_are_not_counted():
    texts = ["red mug", "red red lamp shade", "blue vase"]
    with_empty = SearchIndex([*texts, "", "of the"]).scores("red mug")
    assert with_empty[:3].tolist() == SearchIndex(texts).scores("red mug").tolist()
    assert with_empty[3:].tolist() == [0, 0]


def test_words_are_stemmed_and_common_ones_left_out():
    index = SearchIndex(["Women's running shoes", "the run of the mill", "café curtains"])
    assert index.search("RUN") == (1, 0)
    assert index.search("woman shoes") == (0,)
    assert index.search("women") == (0,), "a possessive is its noun"
    assert index.search("curtain") == (2,)
    assert index.search("café") == (2,)
    assert index.search("the of") == ()
    assert index.search("") == ()


def test_equal_scores_come_in_the_order_of_the_catalogue():
    index = SearchIndex(["mug"] * 80)
    assert index.search("mug") == tuple(range(HITS))
    assert SearchIndex(["lamp", *["mug"] * 80, "mug mug"]).search("mug")[0] == 81
    assert SearchIndex(["mug", "mug", "mug mug", "mug"], ["d", "b", "x", "a"]).search("mug") == (
        *(2, 3, 1, 0),
    ), "of products, in the order of their ids, as Anserini breaks ties"


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("size:m, color: red", ["size:m", "color", "red"]),
        ("1.please 2,000 3.5in u.s.a.", ["1", "pleas", "2,000", "3.5in", "u.s.a"]),
        ("a-line o'neil 5'3 dog's boss\u2019", ["line", "o'neil", "5'3", "dog", "boss"]),
        ("snake_case _ __x wi-fi", ["snake_cas", "__x", "wi", "fi"]),
        ("10m\u00b2 \u00bd cup", ["10m", "cup"]),
        ("\u65e5\u672c tea", ["\u65e5", "\u672c", "tea"]),
        ("caf\u00e9 cafe\u0301", ["caf\u00e9", "cafe\u0301"]),
        ("as technology trekking possibly is", ["technolog", "trek", "possibl"]),
        ("ux us", ["ux", "us"]),
    ],
)
def test_words_are_lucenes(text, tokens):
    """By the rules of UAX 29, then the possessive, stop words and Porter's stemmer."""
    assert list(tokens_of(text)) == tokens


STEMS = """caresses caress ponies poni ties ti caress caress cats cat feed feed agreed agre
plastered plaster bled bled motoring motor sing sing conflated conflat troubled troubl sized size
hopping hop tanned tan falling fall hissing hiss fizzed fizz failing fail filing file happy happi
sky sky relational relat conditional condit rational ration digitizer digit conformabli conform
radicalli radic differentli differ vileli vile analogousli analog vietnamization vietnam
predication predic operator oper feudalism feudal decisiveness decis hopefulness hope
callousness callous formaliti formal sensitiviti sensit sensibiliti sensibl triplicate triplic
formative form formalize formal electriciti electr electrical electr hopeful hope goodness good
revival reviv allowance allow inference infer airliner airlin gyroscopic gyroscop
adjustable adjust defensible defens irritant irrit replacement replac adjustment adjust
dependent depend adoption adopt homologou homolog communism commun activate activ
angulariti angular homologous homolog effective effect bowdlerize bowdler probate probat
rate rate cease ceas controll control roll roll possibly possibl technology technolog
trekking trek us us s s"""
"""Porter's own examples, and his later departures."""


def test_stems_are_porters():
    pairs = STEMS.split()
    for word, expected in zip(pairs[::2], pairs[1::2], strict=True):
        assert stem(word) == expected, word


def test_lengths_are_kept_in_one_byte():
    """Exact up to 40, then in steps that double every eight values."""
    lengths = np.array([0, 1, 23, 24, 39, 40, 41, 42, 55, 56, 59, 60, 88, 95, 96, 1000])
    kept = [0, 1, 23, 24, 39, 40, 40, 42, 54, 56, 56, 60, 88, 88, 88 + 8, 984]
    assert one_byte(lengths).tolist() == kept


def test_what_is_searched():
    shop = make_shop()
    find = shop.index.search
    assert find("ceramic") == (0,), "title"
    assert find("hours") == (0,), "description"
    assert find("glaze") == (0,), "first bullet point"
    assert find("batches") == (), "no other bullet point"
    assert find("brick") == (0,), "options"
    assert find("clean") == (), "no attributes"
    assert MUG.search_text == (
        "brook ceramic mug holds heat for hours. dishwasher safe glaze "
        "color: navy blue, brick red, white, and size: 8oz, 16oz"
    )
    assert PRODUCTS[find("desk lamp")[0]] == LAMP


def test_threads_share_an_index():
    shop = ShopTask().shop
    queries = [goal.instruction.lower() for goal in shop.goals[:200]]
    ids = [p.asin for p in shop.products]
    own = SearchIndex([p.search_text for p in shop.products], ids)
    alone = [own.search(query) for query in queries[:5]]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(shop.index._search, queries))
    assert together[:5] == alone
    assert together == [shop.index._search(query) for query in queries]
