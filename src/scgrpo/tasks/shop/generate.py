"""The generated catalogue: products and goals that need no download.

Everything is drawn by the seed, so that the same seed gives the same shop everywhere.
"""

import random
from collections.abc import Mapping
from typing import Any

from scgrpo.tasks.shop.goals import Wish, combinations, with_options
from scgrpo.tasks.shop.products import LEVELS_APART, Product, Review
from scgrpo.tasks.shop.reward import same_option, similar
from scgrpo.tasks.shop.words import read_yaml

BRANDS = 160
_CENTS_OFF = (0.0, 0.01, 0.05, 0.51)


def generate_products(count: int, seed: int) -> list[Product]:
    """Products of all kinds in equal parts.

    Args:
        count: how many.
        seed: what they are drawn by.
    """
    words = read_yaml("catalogue.yaml")
    rng = random.Random(f"{seed}/catalogue")
    brands = _brands(rng, words["syllables"])
    kinds = list(words["kinds"].items())
    products: dict[str, Product] = {}
    titles: set[str] = set()
    while len(products) < count:
        query, kind = kinds[len(products) % len(kinds)]
        product = _draw_product(rng, words, brands, query, kind)
        if product.title not in titles and product.asin not in products:
            titles.add(product.title)
            products[product.asin] = product
    return list(products.values())


def generate_wishes(products: list[Product], goals: int, seed: int) -> list[Wish]:
    """Wishes in the words of WebShop's synthetic goals, as many as asked for.

    Raises:
        ValueError: where the products do not allow so many.
    """
    rng = random.Random(f"{seed}/wishes")
    chosen = [
        (number, options)
        for number, product in enumerate(products)
        for options in _some(rng, combinations(product), most=-(-goals // len(products)) + 1)
    ]
    if len(chosen) < goals:
        raise ValueError(
            f"goals is {goals}, but {len(products)} products allow only {len(chosen)}; set "
            "products to more, or goals to less."
        )
    kept = sorted(rng.sample(range(len(chosen)), goals))
    return [_wish(products[chosen[k][0]], chosen[k][1], rng) for k in kept]


def _draw_product(
    rng: random.Random, words: Mapping[str, Any], brands: list[str], query: str, kind: list[Any]
) -> Product:
    category, levels, nouns, pool, options, (low, high) = kind
    attributes = _unlike(rng.sample(words["attributes"][pool], 6))[: rng.randint(4, 6)]
    fill = {
        "brand": rng.choice(brands),
        "series": rng.choice(words["series"]),
        "noun": rng.choice(nouns),
        "audience": rng.choice(words["audiences"]),
        "occasion": rng.choice(words["occasions"]),
        "query": query,
    }
    # The last attribute stands nowhere but on the page of attributes, as many do in the original.
    shown = attributes[:-1]
    title = rng.choice(words["titles"]).format(**fill, a=shown[0].title(), b=shown[1].title())
    bullets = [
        rng.choice(words["bullets"]).format(**fill, a=a) for a in rng.sample(shown, len(shown))
    ]
    price = round(round(low * (high / low) ** rng.random()) - rng.choice(_CENTS_OFF), 2)
    return Product(
        asin=_asin(rng),
        title=f"{title} ({fill['brand'][:2].upper()}{rng.randint(100, 999)})",
        description=rng.choice(words["descriptions"]).format(**fill, a=rng.choice(shown)),
        bullets=tuple(bullets),
        query=query,
        category=category,
        levels=levels.replace("/", f" {LEVELS_APART} "),
        price=price,
        price_tag=f"${price}",
        options=_draw_options(rng, words["options"], options),
        attributes=tuple(rng.sample(attributes, len(attributes))),
        rating=str(rng.randint(25, 50) / 10),
        reviews=tuple(_draw_review(rng, words) for _ in range(rng.randint(0, 3))),
    )


def _draw_review(rng: random.Random, words: Mapping[str, Any]) -> Review:
    stars = f"{rng.randint(2, 5)}.0"
    return Review(rng.choice(words["praise"]), stars, rng.choice(words["comments"]))


def _draw_options(
    rng: random.Random, values: Mapping[str, list[str]], options: Mapping[str, str]
) -> dict[str, tuple[str, ...]]:
    """Option values of which no two count as the same, so that a wrong one is always wrong."""
    drawn: dict[str, tuple[str, ...]] = {}
    taken: list[str] = []
    for name, pool in options.items():
        kept = []
        for value in rng.sample(values[pool], rng.randint(2, min(6, len(values[pool])))):
            if not any(same_option(value, other) for other in taken):
                kept.append(value)
                taken.append(value)
        drawn[name] = tuple(kept)
    return drawn


def _wish(product: Product, options: dict[str, str], rng: random.Random) -> Wish:
    wanted = rng.sample(product.attributes, rng.randint(2, 3))
    instruction = with_options(f"Find me {', '.join(wanted)} {product.query}", options)
    return Wish(product, instruction, wanted, tuple(options.values()))


def _unlike(attributes: list[str]) -> list[str]:
    """Attributes of which none counts as another."""
    kept: list[str] = []
    for attribute in attributes:
        if not any(similar(attribute, other) for other in kept):
            kept.append(attribute)
    return kept


def _some(rng: random.Random, items: list[Any], most: int) -> list[Any]:
    return rng.sample(items, min(most, len(items)))


def _brands(rng: random.Random, syllables: Mapping[str, list[str]]) -> list[str]:
    names: dict[str, None] = {}
    while len(names) < BRANDS:
        parts = ("onsets", "vowels", "onsets", "vowels", "endings")
        names["".join(rng.choice(syllables[part]) for part in parts).capitalize()] = None
    return list(names)


def _asin(rng: random.Random) -> str:
    return "B0" + "".join(rng.choice("0123456789BCDFGHJKLMNPQRSTVWXYZ") for _ in range(8))
