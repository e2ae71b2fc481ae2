"""Full-text search over the catalogue: BM25 as in the original's Lucene index."""

import re
import threading
from collections.abc import Iterable
from functools import lru_cache

import bm25s
import numpy as np
import Stemmer

from scgrpo.tasks.shop.words import words

HITS = 50
"""Most products that a search gives."""
K1, B = 0.9, 0.4
"""Parameters of BM25: those of pyserini, through which the original asks Lucene."""
_WORD = re.compile(r"\w+(?:['\u2019.]\w+)*")
_POSSESSIVE = re.compile(r"['\u2019]s$")


class SearchIndex:
    """Finds products by words. Shared by all sessions and threads; nothing in it changes.

    Args:
        texts: of the products, in their order.
        cache: queries whose hits are kept.
    """

    def __init__(self, texts: Iterable[str], cache: int = 4096) -> None:
        self._threads = threading.local()  # a stemmer is not safe to share
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
        found = (_POSSESSIVE.sub("", word) for word in _WORD.findall(text.lower()))
        if not hasattr(self._threads, "stemmer"):
            self._threads.stemmer = Stemmer.Stemmer("porter")
        stems: list[str] = self._threads.stemmer.stemWords(
            [word for word in found if word not in words()["stop_words"]]
        )
        return stems

    def _id_of(self, token: str) -> int:
        return self._ids.setdefault(token, len(self._ids))
