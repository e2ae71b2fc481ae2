"""Full-text search over the catalogue: BM25 as in the original's Lucene index."""

import re
from collections.abc import Iterable
from functools import lru_cache

import bm25s
import numpy as np
import Stemmer

HITS = 50
"""Most products that a search gives."""
K1, B = 0.9, 0.4
"""Parameters of BM25: those of pyserini, through which the original asks Lucene."""
STOP_WORDS = frozenset(
    """a an and are as at be but by for if in into is it no not of on or such that the their then
    there these they this to was will with""".split()
)
_WORD = re.compile(r"\w+(?:['\u2019.]\w+)*")
_POSSESSIVE = re.compile(r"['\u2019]s$")


class SearchIndex:
    """Finds products by words. Shared by all sessions; nothing in it changes."""

    def __init__(self, texts: Iterable[str], cache: int = 4096) -> None:
        self._stem = Stemmer.Stemmer("porter")
        self._ids: dict[str, int] = {}
        corpus = [[self._id_of(token) for token in self._tokens(text)] for text in texts]
        self._bm25 = bm25s.BM25(method="lucene", k1=K1, b=B)
        self._bm25.index((corpus, self._ids), show_progress=False)
        self._size = len(corpus)
        self.search = lru_cache(maxsize=cache)(self._search)

    def _search(self, keywords: str) -> tuple[int, ...]:
        """Numbers of the products that hold any of the words, best first; ties in their order."""
        tokens = (self._ids.get(token) for token in self._tokens(keywords))
        known = [token for token in tokens if token is not None]
        if not known:
            return ()
        scores = self._bm25.get_scores_from_ids(known)
        count = min(HITS, self._size)
        # The cut of argpartition is arbitrary among equals, so take all that reach its score.
        least = np.partition(scores, self._size - count)[self._size - count]
        candidates = np.flatnonzero((scores >= least) & (scores > 0))
        order = np.lexsort((candidates, -scores[candidates]))
        return tuple(candidates[order[:count]].tolist())

    def _tokens(self, text: str) -> list[str]:
        words = (_POSSESSIVE.sub("", word) for word in _WORD.findall(text.lower()))
        return self._stem.stemWords([word for word in words if word not in STOP_WORDS])

    def _id_of(self, token: str) -> int:
        return self._ids.setdefault(token, len(self._ids))
