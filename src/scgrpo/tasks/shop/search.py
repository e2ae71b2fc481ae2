"""Full-text search over the catalogue: BM25 as in the original's Lucene index.

Lucene's analyser for English (words by Unicode's rules, stop words, Porter's stems) and its BM25,
with document lengths in one byte and sums of single-precision scores, so that equal scores are
equal there and here.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

import numpy as np

from scgrpo.tasks.shop.porter import stem
from scgrpo.tasks.shop.words import words

HITS = 50
"""Most products that a search gives."""
K1, B = 0.9, 0.4
"""Parameters of BM25: those of pyserini, through which the original asks Lucene."""
EXACT_LENGTHS = 24
"""Document lengths below are kept as they are."""
LONGEST_WORD = 255
_SINGLE = (
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3041-\u309f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
)
"""Letters that are words by themselves."""
_FRACTIONS = "\u00b2\u00b3\u00b9\u00bc-\u00be\u2070-\u209f\u2150-\u215f\u2460-\u249b\u2776-\u2793"
"""Numbers that are no digits, and so no part of a word."""
_LETTER = f"[^\\W\\d_{_SINGLE}{_FRACTIONS}]"
_PART = f"(?:[^\\W{_SINGLE}{_FRACTIONS}]|[\u0300-\u036f\u200c\u200d])+"
_QUOTES = "'\u2018\u2019\u2024\uff07."
_WORD = re.compile(
    f"[{_SINGLE}]|{_PART}(?:(?:(?<={_LETTER})[{_QUOTES}:\u00b7\u2027](?={_LETTER})"
    f"|(?<=\\d)[{_QUOTES},;\u2044](?=\\d)){_PART})*"
)
_POSSESSIVE = re.compile("['\u2019\uff07][sS]$")


class SearchIndex:
    """Finds products by words. Shared by all sessions and threads; nothing in it changes.

    Args:
        texts: of the products, in their order.
        ids: of the products, by whose order equal scores are listed; by default that of the texts.
        cache: queries whose hits are kept.
    """

    def __init__(
        self, texts: Iterable[str], ids: Sequence[str] | None = None, cache: int = 4096
    ) -> None:
        self._ids: dict[str, int] = {}
        tokens: list[int] = []
        lengths: list[int] = []
        for text in texts:
            found = [self._ids.setdefault(token, len(self._ids)) for token in tokens_of(text)]
            tokens += found
            lengths.append(len(found))
        self._size = len(lengths)
        self._rank = np.arange(self._size)
        if ids is not None:
            self._rank[sorted(range(self._size), key=ids.__getitem__)] = np.arange(self._size)
        self._count(np.asarray(tokens, np.int64), np.asarray(lengths, np.int64))
        self.search = lru_cache(maxsize=cache)(self._search)

    def _count(self, tokens: np.ndarray, lengths: np.ndarray) -> None:
        """Which products hold each word, and the score that it gives them."""
        places = np.repeat(np.arange(self._size), lengths)
        pairs, counts = np.unique(tokens * self._size + places, return_counts=True)
        self._holders = (pairs % self._size).astype(np.int32)
        self._starts = np.searchsorted(pairs, np.arange(len(self._ids) + 1) * self._size)
        holding = np.diff(self._starts)
        one = np.float32(1)
        # Lucene does not count texts without a word.
        texts = np.count_nonzero(lengths)
        rarity = np.log(1 + (texts - holding + 0.5) / (holding + 0.5)).astype(np.float32)
        mean = np.float32(lengths.sum() / max(1, texts))
        kept = one_byte(lengths).astype(np.float32)
        share = one / (np.float32(K1) * ((one - np.float32(B)) + np.float32(B) * kept / mean))
        weight = np.repeat(rarity, holding)
        times = counts.astype(np.float32) * share[self._holders]
        self._rarity, self._times = rarity, times
        self._scores = weight - weight / (one + times)

    def scores(self, keywords: str) -> np.ndarray:
        """Scores of all products: 0 for one that holds none of the words."""
        total = np.zeros(self._size)
        for token, count in Counter(tokens_of(keywords)).items():
            number = self._ids.get(token)
            if number is None:
                continue
            place = slice(self._starts[number], self._starts[number + 1])
            # A word that stands twice is asked for with twice the weight.
            weight = self._rarity[number] * np.float32(count)
            part = self._scores[place] if count == 1 else weight - weight / (1 + self._times[place])
            total[self._holders[place]] += part
        return total.astype(np.float32)

    def _search(self, keywords: str) -> tuple[int, ...]:
        """Numbers of the products that hold any of the words, best first, ties by their ids."""
        scores = self.scores(keywords)
        count = min(HITS, self._size)
        # The cut of argpartition is arbitrary among equals, so take all that reach its score.
        least = np.partition(scores, self._size - count)[self._size - count]
        candidates = np.flatnonzero((scores >= least) & (scores > 0))
        order = np.lexsort((self._rank[candidates], -scores[candidates]))
        return tuple(candidates[order[:count]].tolist())


def tokens_of(text: str) -> Iterator[str]:
    """The words of a text as the index has them."""
    stop_words = words()["stop_words"]
    for found in _WORD.findall(text):
        word = _POSSESSIVE.sub("", found).lower()
        if word not in stop_words and word.strip("_"):
            starts = range(0, len(word), LONGEST_WORD)
            yield from (_stem(word[start : start + LONGEST_WORD]) for start in starts)


def one_byte(lengths: np.ndarray) -> np.ndarray:
    """Document lengths as Lucene keeps them: four bits of what exceeds 24, rounded down."""
    above = np.maximum(lengths - EXACT_LENGTHS, 0)
    bits = np.frexp(above.astype(np.float64))[1]
    shift = np.maximum(bits - 4, 0)
    return np.where(lengths < EXACT_LENGTHS, lengths, EXACT_LENGTHS + ((above >> shift) << shift))


_stem = lru_cache(maxsize=1 << 20)(stem)
