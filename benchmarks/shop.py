"""How fast the shop is, what a session holds, and what simple customers earn in it.

    python benchmarks/shop.py --output benchmarks/results/shop.md
    python benchmarks/shop.py --search        # the index: time, and ranks of what is looked for
    python benchmarks/shop.py --nouns FILE    # the word list against spaCy, on titles, one a line

One process and one thread. A session is an episode of the generated shop from its first page to
the purchase; every step renders the page that the model would read.
"""

import argparse
import platform
import random
import re
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from scgrpo.tasks.shop import Session, Shop, ShopTask
from scgrpo.tasks.shop.goals import Goal
from scgrpo.tasks.shop.nouns import find_nouns
from scgrpo.tasks.shop.oracle import shop_for, wanted_options
from scgrpo.tasks.shop.products import Product
from scgrpo.tasks.shop.reward import judge
from scgrpo.tasks.shop.search import SearchIndex

Customer = Callable[[Session, random.Random], Iterator[str]]


def expert(session: Session, rng: random.Random) -> Iterator[str]:
    """Knows the product: searches its title, chooses all options, buys."""
    goal, shop = session.goal, session.shop
    product = shop.products[shop.by_asin[goal.asin.lower()]]
    yield from shop_for(Session(shop, goal), product, wanted_options(product, goal))


def first_hit(session: Session, rng: random.Random) -> Iterator[str]:
    """Searches the instruction and buys the first hit as it is."""
    yield f"search[{session.goal.instruction}]"
    yield f"click[{_products(session)[0]}]"
    yield "click[buy now]"


def first_hit_with_options(session: Session, rng: random.Random) -> Iterator[str]:
    """The same, with every option value that stands in the instruction."""
    yield f"search[{session.goal.instruction}]"
    yield f"click[{_products(session)[0]}]"
    yield from _named_options(session)
    yield "click[buy now]"


def reader(session: Session, rng: random.Random) -> Iterator[str]:
    """Opens the ten hits of the first page and their attributes, buys the best match."""
    yield f"search[{session.goal.instruction}]"
    best, most = _products(session)[0], -1
    for asin in _products(session):
        yield f"click[{asin}]"
        matches = len(list(_named_options(session)))
        yield "click[attributes]"
        matches += sum(
            text in session.goal.instruction for text in session.observation.split(" [SEP] ")[4:]
        )
        if matches > most:
            best, most = asin, matches
        yield "click[< prev]"
        yield "click[< prev]"
    yield f"click[{best}]"
    yield from _named_options(session)
    yield "click[buy now]"


def stroller(session: Session, rng: random.Random) -> Iterator[str]:
    """Searches three words of the instruction and then clicks at random, fifteen turns at most."""
    for _ in range(15):
        if session.done:
            return
        actions = session.actions
        words = rng.sample(session.goal.instruction.split(), 3)
        clicks = [f"click[{value}]" for value in actions.clickables if value != "search"]
        yield f"search[{' '.join(words)}]" if actions.has_search_bar else rng.choice(clicks)


CUSTOMERS: dict[str, Customer] = {
    "expert": expert,
    "reader of ten pages": reader,
    "first hit, options of the text": first_hit_with_options,
    "first hit": first_hit,
    "stroller": stroller,
}


def _products(session: Session) -> list[str]:
    return [value for value in session.actions.clickables if value.startswith("b0")]


def _named_options(session: Session) -> Iterator[str]:
    words = f" {re.sub('[,.]', ' ', session.goal.instruction)} "
    assert session.product is not None
    for values in session.product.options.values():
        yield from (f"click[{value}]" for value in values if f" {value} " in words)


def measure_customers(shop: Shop, sessions: int) -> list[str]:
    """One row of the table a customer."""
    rows = []
    for name, customer in CUSTOMERS.items():
        rng, steps, rewards = random.Random(0), 0, []
        started = time.process_time()
        for number in range(sessions):
            session = Session(shop, shop.goals[number % len(shop.goals)])
            for action in customer(session, rng):
                session.step(action)
                _ = session.observation
                steps += 1
            rewards.append(session.reward)
        seconds = time.process_time() - started
        solved = sum(reward == 1 for reward in rewards) / sessions
        rows.append(
            f"| {name} | {sum(rewards) / sessions:.3f} | {solved:.3f} | {steps / sessions:.1f} | "
            f"{sessions / seconds:,.0f} | {steps / seconds:,.0f} |"
        )
    return rows


def measure_memory(shop: Shop, sessions: int) -> float:
    """Bytes that an open session holds, on a product's page with options chosen."""
    tracemalloc.start()
    held = []
    for number in range(sessions):
        session = Session(shop, shop.goals[number % 100])
        product = shop.products[shop.by_asin[session.goal.asin.lower()]]
        shop_for(session, product, wanted_options(product, session.goal))
        held.append(session)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return size / len(held)


def measure_search(products: int) -> Iterator[str]:
    """Processor time to index a catalogue and of a query, and the rank of what it is about."""
    shop = ShopTask(products=products, goals=2000).shop
    started = time.process_time()
    index = SearchIndex((p.search_text for p in shop.products), [p.asin for p in shop.products])
    indexing = time.process_time() - started
    for what, text_of in (("instruction", "instruction"), ("title", "name")):
        goals = shop.goals[:1000]
        ranks = []
        started = time.process_time()
        for goal in goals:
            hits = index._search(getattr(goal, text_of).lower())
            asins = [shop.products[hit].asin for hit in hits]
            ranks.append(asins.index(goal.asin) if goal.asin in asins else 99)
        milliseconds = 1000 * (time.process_time() - started) / len(goals)
        first, page, found = (sum(r < most for r in ranks) / len(goals) for most in (1, 10, 50))
        yield (
            f"| {products:,} | {indexing:.1f} | {what} | {milliseconds:.2f} | "
            f"{first:.2f} | {page:.2f} | {found:.2f} |"
        )


def measure_nouns(titles: list[str]) -> str:
    """How the word list agrees with spaCy: words, and the type part of the reward."""
    tagged = {title: find_nouns("spacy")(title) for title in titles}
    listed = {title: find_nouns("words")(title) for title in titles}
    counts = [(Counter(tagged[t]), Counter(listed[t])) for t in titles]
    both = sum((a & b).total() for a, b in counts)
    precision = both / sum(b.total() for _, b in counts)
    recall = both / sum(a.total() for a, _ in counts)
    rng, pairs, same = random.Random(0), 20_000, 0
    for _ in range(pairs):
        bought, wanted = rng.choice(titles), rng.choice(titles)
        product = Product("B", bought, "", (), "", "", "a", 1.0, "$1", {}, ())
        goal = Goal("B", wanted, "other", "b", "", (), (), 1.0)
        kinds = [judge(product, (), goal, nouns.__getitem__).type for nouns in (tagged, listed)]
        same += kinds[0] == kinds[1]
    return (
        f"{len(titles):,} titles: {precision:.1%} of the listed words are nouns to spaCy, "
        f"{recall:.1%} of its nouns are listed; r_type is the same for {same / pairs:.1%} of pairs."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", type=int, default=2000)
    parser.add_argument("--search", action="store_true")
    parser.add_argument("--nouns", type=Path)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    lines = [f"{platform.machine()}, Python {platform.python_version()}, one process.", ""]
    if arguments.nouns:
        lines.append(measure_nouns(arguments.nouns.read_text(encoding="utf-8").splitlines()))
    elif arguments.search:
        lines += ["| products | index, CPU s | query | CPU ms | first | page 1 | found |"]
        lines += ["|---|---|---|---|---|---|---|"]
        for products in (2400, 100_000):
            lines += measure_search(products)
    else:
        started = time.process_time()
        shop = ShopTask().shop
        lines += [
            f"Shop of {len(shop.products):,} products and {len(shop.goals):,} goals built in "
        ]
        lines[-1] += f"{time.process_time() - started:.2f} s; an open session holds "
        lines[-1] += f"{measure_memory(shop, 2000):,.0f} bytes."
        lines += ["", "| customer | reward | solved | turns | sessions/s | steps/s |"]
        lines += ["|---|---|---|---|---|---|"]
        lines += measure_customers(shop, arguments.sessions)
    text = "\n".join(lines) + "\n"
    print(text)
    if arguments.output:
        arguments.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
