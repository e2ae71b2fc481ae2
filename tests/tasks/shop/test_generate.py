"""The generated shop: the same for the same seed, varied, and every goal within reach."""

import subprocess
import sys
from collections import Counter

import pytest

from scgrpo.tasks.shop import ShopTask
from scgrpo.tasks.shop.generate import generate_products, generate_wishes
from scgrpo.tasks.shop.reward import same_option, similar

FINGERPRINT = """
import hashlib
from scgrpo.tasks.shop import ShopTask
shop = ShopTask(products=200, goals=150, test_goals=50, validation_goals=50, seed=3).shop
print(hashlib.sha256(repr((shop.products, shop.goals)).encode()).hexdigest())
"""


@pytest.fixture(scope="module")
def shop():
    return ShopTask().shop


def test_the_same_seed_gives_the_same_shop_in_every_process():
    def run(hash_seed):
        command = [sys.executable, "-c", FINGERPRINT]
        environment = {"PYTHONHASHSEED": hash_seed, "PATH": ""}
        return subprocess.run(
            command, capture_output=True, text=True, check=True, env=environment
        ).stdout

    known = "8596e31b407c05dab08eda631fff9427c89cae2dd434714ee71b01416734eac0"
    assert run("1").strip() == run("2").strip() == known


def test_other_seeds_give_other_shops():
    one, two = (generate_products(100, seed) for seed in (0, 1))
    assert not {p.title for p in one} & {p.title for p in two}


def test_size_and_variety(shop):
    assert (len(shop.products), len(shop.goals)) == (2400, 4000)
    kinds = Counter(product.query for product in shop.products)
    assert len(kinds) == 48 and set(kinds.values()) == {50}
    assert len({p.category for p in shop.products}) == 5
    assert len({p.title for p in shop.products}) == 2400
    assert len({goal.instruction for goal in shop.goals}) > 3950
    assert len({p.asin for p in shop.products}) == 2400
    assert all(len(p.asin) == 10 and p.asin == p.asin.upper() for p in shop.products)
    assert len({a for p in shop.products for a in p.attributes}) > 100


def test_prices_are_what_the_tag_says(shop):
    for product in shop.products:
        assert product.price_tag == f"${product.price}"
        assert 3 < product.price < 1500


def test_goals_say_what_they_want(shop):
    for goal in shop.goals:
        product = shop.products[shop.by_asin[goal.asin.lower()]]
        for wanted in (*goal.attributes, *goal.options):
            assert wanted in goal.instruction
        assert set(goal.attributes) <= set(product.attributes)
        assert goal.price_upper >= product.price
        if goal.price_upper < 1e6:
            assert goal.instruction.endswith(f"price lower than {goal.price_upper:.2f} dollars")
            assert 10 < goal.price_upper - product.price + 10 <= 50


def test_a_wrong_option_is_never_right(shop):
    for product in shop.products:
        values = [value for values in product.options.values() for value in values]
        for i, value in enumerate(values):
            assert not any(same_option(value, other) for other in values[i + 1 :])
        for i, attribute in enumerate(product.attributes):
            assert not any(similar(attribute, other) for other in product.attributes[i + 1 :])


def test_the_words_of_an_instruction_alone_seldom_find_the_product(shop):
    first = found = 0
    for goal in shop.goals[:500]:
        hits = [shop.products[hit].asin for hit in shop.index.search(goal.instruction.lower())]
        first += hits[:1] == [goal.asin]
        found += goal.asin in hits
    assert 0.1 < first / 500 < 0.5
    assert 0.8 < found / 500 < 1


def test_too_many_goals_are_refused():
    products = generate_products(10, 0)
    with pytest.raises(ValueError, match=r"goals is 100000, but 10 products allow only \d+"):
        generate_wishes(products, 100_000, 0)
