"""A seed for each sample, from the seed of the evaluation, the problem and the sample alone."""

import hashlib

SHORT_SEED_BITS = 31


def sample_seed(seed: int, problem_id: str, sample: int, turn: int | None = None) -> int:
    """Seed of one sample, or of one turn of an episode: 128 bits."""
    parts = (seed, problem_id, sample) if turn is None else (seed, problem_id, sample, turn)
    key = hashlib.sha256("\0".join(map(str, parts)).encode()).digest()
    return int.from_bytes(key[:16], "big")


def short_seed(seed: int) -> int:
    """The first 31 bits of a 128-bit seed: what every server takes as a seed."""
    return seed >> (128 - SHORT_SEED_BITS)
