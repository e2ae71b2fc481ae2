"""The shop's search against Lucene: are the hits the same, in the same order?

    apt-get install default-jdk-headless liblucene8-java
    python benchmarks/shop_lucene.py --goals human_goals.json

Lucene is set up as pyserini does it, through which WebShop searches: its analyser for English, BM25
with k1 0.9 and b 0.4, a bag of words, equal scores by id (`LuceneSearch.java`). Two sets: the
generated shop with its goals' instructions, and WebShop's human instructions, searched as texts.
"""

import argparse
import json
import random
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from scgrpo.tasks.shop import ShopTask
from scgrpo.tasks.shop.search import SearchIndex

JARS = Path("/usr/share/java")
PAGE = 10
STRANGE = (
    "size:m 1.please", "o'neil's women\u2019s boys'", "3.5mm 1,000 50% 12v/2a", "t-shirt x_y _ __",
    "naïve café ﬁt №5 ½ ²",
    "日本 カタカナ 한국어 ひらがな", "a.b.c u.s.a. 8:30 it's·ok", "the of and",
    "relational generalizations happily hopefulness controlled skis flies agreed",
)  # fmt: skip


def lucene(texts: Sequence[str], ids: Sequence[str], queries: Sequence[str]) -> list[list[str]]:
    """Ids of each query's hits by Lucene."""
    jars = [str(next(JARS.glob(f"lucene-{name}-8*.jar"))) for name in ("core", "analyzers-common")]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = (f"{i}\t{text}" for i, text in zip(ids, texts, strict=True))
        (folder / "texts").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        (folder / "queries").write_text("".join(f"{q}\n" for q in queries), encoding="utf-8")
        files = [str(folder / part) for part in ("texts", "queries", "hits")]
        program = Path(__file__).with_name("LuceneSearch.java")
        subprocess.run(["java", "-cp", ":".join(jars), str(program), *files], check=True)
        return [line.split() for line in (folder / "hits").read_text().splitlines()]


def compare(name: str, texts: Sequence[str], ids: Sequence[str], queries: Sequence[str]) -> str:
    """A row: how many queries have the same first page, and the same hits."""
    texts = [" ".join(text.split()) for text in texts]
    queries = [" ".join(query.split()) for query in queries]
    index = SearchIndex(texts, ids)
    ours = [[ids[number] for number in index.search(query)] for query in queries]
    theirs = lucene(texts, ids, queries)
    pairs = list(zip(ours, theirs, strict=True))
    pages = sum(a[:PAGE] == b[:PAGE] for a, b in pairs)
    for query, (a, b) in zip(queries, pairs, strict=True):
        if a[:PAGE] != b[:PAGE]:
            print(f"differs: {query!r}: {a[:PAGE]} {b[:PAGE]}")
    same = sum(a == b for a, b in pairs)
    return f"| {name} | {len(texts):,} | {len(queries):,} | {pages:,} | {same:,} |"


def main() -> None:
    """Compare, print, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--goals", type=Path, help="its baseline_models/data/human_goals.json")
    parser.add_argument("--queries", type=int, default=3000)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    rng = random.Random(0)
    shop = ShopTask().shop
    texts = [product.search_text for product in shop.products]
    ids = [product.asin for product in shop.products]
    queries = [goal.instruction for goal in shop.goals] + rng.sample(texts, 500)
    rows = ["| texts and queries | texts | queries | same first page | same 50 hits |"]
    rows += ["|---|---|---|---|---|", compare("generated shop", texts, ids, queries)]
    if arguments.goals:
        goals = json.loads(arguments.goals.read_text(encoding="utf-8")) + list(STRANGE)
        names = [f"B{rng.randrange(16**9):09X}" for _ in goals]
        asked = rng.sample(goals, arguments.queries) + list(STRANGE)
        rows.append(compare("human instructions", goals, names, asked))
    text = "\n".join(rows) + "\n"
    print(text)
    if arguments.output:
        arguments.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
