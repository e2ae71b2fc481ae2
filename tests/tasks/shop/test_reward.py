"""The reward: numbers worked by hand, and an independent version over thousands of purchases."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from thefuzz import fuzz

from scgrpo.tasks.shop import ShopTask
from scgrpo.tasks.shop.nouns import title_words
from scgrpo.tasks.shop.oracle import wanted_options
from scgrpo.tasks.shop.reward import judge, normal_color, same_option, similar
from tests.tasks.shop import reward_oracle
from tests.tasks.shop.hand_made import GOAL, LAMP, MUG, product

HUMAN_GOALS = Path(__file__).parents[4] / "shared" / "data" / "webshop" / "human_goals.json"
RIGHT = ("navy blue", "16oz")


def total(bought=MUG, chosen=RIGHT, goal=GOAL):
    return judge(bought, chosen, goal, title_words).total


# Two attributes, two options and the price: five parts.
@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (RIGHT, 5 / 5),
        (("16oz", "navy blue"), 5 / 5),  # the order does not matter
        (("navy blue",), 4 / 5),
        ((), 3 / 5),
        (("brick red", "16oz"), 4 / 5),
        (("brick red", "8oz"), 3 / 5),
        (("sky blue", "16oz"), 5 / 5),  # both are blue to the normaliser
        (("navy blue", "16oz", "white"), 5 / 5),  # more than was asked for costs nothing
    ],
)
def test_options(chosen, expected):
    assert total(chosen=chosen) == expected


def test_price():
    assert total(goal=replace(GOAL, price_upper=20.0)) == 1.0, "up to the limit, included"
    assert total(goal=replace(GOAL, price_upper=19.99)) == 4 / 5


@pytest.mark.parametrize(
    ("attributes", "met"),
    [
        (("lead free",), 1),
        (("Lead-Free",), 1),
        (("free of lead",), 1),  # token sets: what it says beyond does not count
        (("easy to clean",), 1),
        (("dishwasher safe",), 1),  # from a bullet point
        (("holds heat",), 1),  # from the description
        (("ceramic",), 1),  # from the title
        (("microwave safe",), 0),
        (("lead free", "microwave safe", "hand thrown"), 2),
    ],
)
def test_attributes(attributes, met):
    judged = judge(MUG, RIGHT, replace(GOAL, attributes=attributes), title_words)
    assert judged.attributes == met
    assert judged.total == (met + 3) / (len(attributes) + 3)


@pytest.mark.parametrize(
    ("title", "query", "levels", "kind"),
    [
        ("Brook Ceramic Mug", "coffee mugs", MUG.levels, 1.0),
        ("Brook Ceramic Mug", "vases", "Garden › Vases", 1.0),  # noqa: RUF001 -- 3 of 3 nouns
        ("Steel Mug", "vases", "Garden › Vases", 1.0),  # noqa: RUF001 -- 1 of 3 > 0.2
        ("Steel Vase", "coffee mugs", MUG.levels, 0.0),  # not even the same query helps
    ],
)
def test_type(title, query, levels, kind):
    bought = replace(MUG, title=title, query=query, levels=levels)
    assert judge(bought, RIGHT, GOAL, title_words).type == kind


def test_type_by_a_title_of_many_nouns():
    nouns = [
        "Amber",
        "Birch",
        "Cedar",
        "Daisy",
        "Elm",
        "Fern",
        "Grape",
        "Heath",
        "Iris",
        "Jute",
        "Kelp",
    ]
    goal = replace(GOAL, name=" ".join(nouns))

    def kind(shared, query="vases", levels="x"):
        bought = product("B0X", " ".join(nouns[:shared]) + " Vase", query=query, levels=levels)
        return judge(bought, (), goal, title_words).type

    assert kind(0) == 0.0
    assert kind(1) == 0.1  # 1 of 11 is under a tenth, whatever else agrees
    assert kind(1, query=GOAL.query) == 0.1
    assert kind(2) == 0.5  # 2 of 11 is not above a fifth ...
    assert kind(2, query=GOAL.query) == 1.0  # ... so the query has to agree
    assert kind(2, levels="Mugs › Kitchen") == 1.0  # noqa: RUF001 -- or two levels, in any order
    assert kind(2, levels="Kitchen › Bath") == 0.5  # noqa: RUF001
    assert kind(3) == 1.0


def test_a_goal_without_nouns_scores_a_fifth():
    goal = replace(GOAL, name="2 for 1")
    assert judge(LAMP, (), goal, title_words).title_score == 0.2
    assert judge(LAMP, (), goal, title_words).type == 0.5


def test_another_kind_of_product_earns_nothing_even_where_all_else_fits():
    disguised = replace(MUG, title="Glow Lantern")
    assert total(bought=disguised) == 0.0


@pytest.mark.parametrize(
    ("value", "color"),
    [
        ("navy blue", "blue"),  # alphabetic order, not the order in the value
        ("dark green", "dark"),
        ("off white", "white"),
        ("standard", "tan"),  # a substring is enough
        ("8oz", "8oz"),
        ("charcoal heather", "charcoal"),
    ],
)
def test_colors(value, color):
    assert normal_color(value) == color


def test_quirks_of_token_sets_are_the_originals():
    assert same_option("x-large", "large")
    assert same_option("8", "8.5")
    assert not same_option("8oz", "16oz")
    assert similar("essential oil", "essential oils")
    assert not similar("", "anything")
    assert not similar("lead free", "gluten free")


@pytest.mark.slow
def test_against_the_independent_version():
    shop = ShopTask().shop
    rng = random.Random(1)
    seen = set()
    for _ in range(2000):
        goal = rng.choice(shop.goals)
        target = shop.products[shop.by_asin[goal.asin.lower()]]
        alike = [p for p in rng.sample(shop.products, 40) if p.query == goal.query]
        bought = rng.choice([target, rng.choice(shop.products), *alike])
        chosen = [rng.choice(values) for values in bought.options.values() if rng.random() < 0.8]
        judged = judge(bought, chosen, goal, title_words)
        expected = reward_oracle.reward(bought, chosen, goal, title_words)
        assert judged.total == pytest.approx(float(expected), abs=1e-12)
        seen.add((judged.type, judged.total))
    assert {kind for kind, _ in seen} == {0.0, 0.5, 1.0}
    assert len(seen) > 15


@pytest.mark.parametrize(
    ("value", "wanted", "same"),
    [
        ("8oz", ("size", "8oz"), True),  # its words stand in the pair
        ("navy blue", ("color", "navy blue"), True),  # blue stands in it
        ("royal blue", ("color", "navy blue"), True),
        ("navy blue", ("color", "blue"), True),  # a value that is a colour
        ("purple", ("color", "navy blue"), False),
        ("16oz", ("size", "8oz"), False),
        ("size", ("size", "8oz"), True),  # as in the original
        ("red", ("red", "large"), True),  # a name that is a colour
        ("large", ("red", "large"), False),
        ("charcoal heather", ("color", "charcoal heather"), True),
        ("x-large", ("size", "large"), False),  # x stands in none of them: 'large' in 'size x'
        ("large", ("size", "x-large"), True),
        ("caf\u00e9", ("flavor name", "caf\u00e9"), True),
        ("a\u00a0b", ("size", "a\u00a0b"), False),  # written a\\xa0b within the pair
    ],
)
def test_options_by_name_are_compared_as_pairs(value, wanted, same):
    """`get_option_reward` with the items of a mapping, worked out by `token_set_ratio` of thefuzz:
    a value whose words are all in the pair scores 100."""
    assert same_option(value, wanted) is same


def test_goals_with_pairs_against_the_independent_version():
    shop = ShopTask().shop
    rng = random.Random(2)
    for _ in range(500):
        goal = rng.choice(shop.goals)
        target = shop.products[shop.by_asin[goal.asin.lower()]]
        right = wanted_options(target, goal)
        pairs = replace(goal, options=tuple(right.items()))
        assert wanted_options(target, pairs) == right
        chosen = [rng.choice(values) for values in target.options.values() if rng.random() < 0.8]
        judged = judge(target, chosen, pairs, title_words)
        expected = reward_oracle.reward(target, chosen, pairs, title_words)
        assert judged.total == pytest.approx(float(expected), abs=1e-12)


@pytest.mark.skipif(not HUMAN_GOALS.exists(), reason="needs shared/data/webshop")
def test_token_sets_of_real_instructions():
    texts = json.loads(HUMAN_GOALS.read_text())
    rng = random.Random(0)

    def phrase():
        words = rng.choice(texts).split()
        start = rng.randrange(len(words))
        return " ".join(words[start : start + rng.randint(1, 4)])

    for _ in range(3000):
        first = phrase()
        second = rng.choice([phrase(), f"{first}s", first.title(), f"{phrase()} {first}"])
        if first.isascii() and second.isascii():
            expected = reward_oracle.token_set_ratio(first, second)
            assert fuzz.token_set_ratio(first, second) == expected, (first, second)


def test_phrases_are_alike_above_85_and_not_at_it():
    at, above = ("abcdefghijk", "abcdefghijkzzzz"), ("abcdefghijkl", "abcdefghijklzzzz")
    assert [fuzz.token_set_ratio(*pair) for pair in (at, above)] == [85, 86]
    assert not similar(*at) and similar(*above)


@pytest.mark.parametrize(
    ("shared", "wanted", "part"),
    [(0, 9, 0.0), (1, 11, 0.1), (1, 10, 0.5), (1, 5, 0.5), (2, 9, 1.0)],
)
def test_bounds_of_the_type_part(shared, wanted, part):
    """A share of the title's nouns below 0.1, from 0.1 on, and above 0.2."""
    nouns = {"bought": tuple("abcdefghijk"[:shared]), "wanted": tuple("abcdefghijk"[:wanted])}
    bought = replace(MUG, title="bought", query="another", levels="elsewhere")
    goal = replace(GOAL, name="wanted")
    assert judge(bought, (), goal, nouns.__getitem__).type == part
