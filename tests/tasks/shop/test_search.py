"""Search: BM25 worked by hand, its words, and its order."""

import math
from concurrent.futures import ThreadPoolExecutor

import pytest

from scgrpo.tasks.shop import ShopTask
from scgrpo.tasks.shop.search import HITS, SearchIndex
from tests.tasks.shop.hand_made import LAMP, MUG, PRODUCTS, make_shop


def test_scores_are_lucenes_bm25():
    index = SearchIndex(["red mug", "red red lamp shade", "blue vase"])
    ids = [index._ids[word] for word in ("red", "mug")]
    scores = index._bm25.get_scores_from_ids(ids)
    k1, b, average = 0.9, 0.4, 8 / 3

    def score(count, length, holding):
        rarity = math.log(1 + (3 - holding + 0.5) / (holding + 0.5))
        return rarity * count / (count + k1 * (1 - b + b * length / average))

    assert scores[0] == pytest.approx(score(1, 2, 2) + score(1, 2, 1), rel=1e-5)
    assert scores[1] == pytest.approx(score(2, 4, 2), rel=1e-5)
    assert scores[2] == 0
    assert index.search("red mug") == (0, 1)


def test_words_are_stemmed_and_common_ones_left_out():
    index = SearchIndex(["Women's running shoes", "the run of the mill", "café curtains"])
    assert index.search("RUN") == (1, 0)
    assert index.search("woman shoe") == (0,)
    assert index.search("women") == (0,), "a possessive is its noun"
    assert index.search("curtain") == (2,)
    assert index.search("café") == (2,)
    assert index.search("the of") == ()
    assert index.search("") == ()


def test_equal_scores_come_in_the_order_of_the_catalogue():
    index = SearchIndex(["mug"] * 80)
    assert index.search("mug") == tuple(range(HITS))
    assert SearchIndex(["lamp", *["mug"] * 80, "mug mug"]).search("mug")[0] == 81


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
    alone = [SearchIndex([p.search_text for p in shop.products]).search(q) for q in queries[:5]]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(shop.index._search, queries))
    assert together[:5] == alone
    assert together == [shop.index._search(query) for query in queries]
