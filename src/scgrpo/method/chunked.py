"""Section 2 at scale: the same values from hidden states and output heads, in chunks of tokens.

The values of `divergence.py` without a (T, V) tensor: each chunk projects its hidden states,
reduces over the vocabulary, and is recomputed in the backward pass. Plain torch; the trainer may
use TRL's Triton kernel for the same values.

Shapes: T tokens, H hidden size (the teacher may have its own), V vocabulary, J teachers, K top
tokens. A `Head` maps hidden states `(M, H)` to logits `(M, V)`.
"""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import log_softmax, softmax
from torch.utils.checkpoint import checkpoint

from scgrpo.method.divergence import disagreement, per_token_divergence, summed

Head = Callable[[Tensor], Tensor]


def chunked_divergence(
    teacher_hidden: Float[Tensor, "T Ht"],
    teacher_head: Head,
    student_hidden: Float[Tensor, "T Hs"],
    student_head: Head,
    kind: str = "forward",
    *,
    beta: float = 0.5,
    temperature: float = 1.0,
    reduce: Callable[[Tensor], Tensor] = summed,
    chunk_tokens: int = 1024,
) -> Float[Tensor, " *TR"]:
    """`per_token_divergence` of two models given by hidden states and output heads.

    The largest tensor is `(chunk_tokens, V)`. The gradient flows to the student's hidden states
    and head only.

    Args:
        teacher_hidden: `(T, Ht)` last hidden states of the teacher.
        teacher_head: its output head.
        student_hidden: `(T, Hs)`.
        student_head: output head of the student.
        kind: see `per_token_divergence`, also for `beta`, `temperature` and `reduce`.
        chunk_tokens: tokens projected at a time.

    Returns:
        `(T)` or `(T, R)` float32, nats.

    Raises:
        ValueError: for an unknown kind, or chunks of less than one token.
    """

    def divergence(teacher_chunk: Tensor, student_chunk: Tensor) -> Tensor:
        with torch.no_grad():
            teacher_logits = teacher_head(teacher_chunk)
        logits = teacher_logits, student_head(student_chunk)
        return per_token_divergence(
            *logits, kind, beta=beta, temperature=temperature, reduce=reduce
        )

    remade: Callable[..., Tensor] = partial(checkpoint, divergence, use_reentrant=False)
    of_chunk = remade if torch.is_grad_enabled() else divergence
    chunks = _chunks(teacher_hidden.shape[0], chunk_tokens)
    return torch.cat([of_chunk(teacher_hidden[c].detach(), student_hidden[c]) for c in chunks])


@torch.no_grad()
def chunked_comparison(
    teacher_hidden: Float[Tensor, "R T Ht"],
    teacher_head: Head,
    student_hidden: Float[Tensor, "T Hs"],
    student_head: Head,
    token_ids: Int64[Tensor, " T"],
    *,
    temperature: float = 1.0,
    chunk_tokens: int = 1024,
) -> tuple[Float[Tensor, "R T"], Float[Tensor, "R T"], Float[Tensor, " T"]]:
    """D by each of R teachers, and what all say of the sampled tokens: each head once a token.

    Args: those of `chunked_divergence` and `chunked_logps`.

    Returns:
        KL(p_r||q), and log-probabilities by the teachers and by the student; float32, nats.
    """
    kl, theirs = teacher_hidden.new_empty(2, *teacher_hidden.shape[:2], dtype=torch.float32)
    own = torch.empty_like(kl[0])
    for rows in _chunks(student_hidden.shape[0], chunk_tokens):
        sampled = token_ids[rows, None]
        log_q = log_softmax(student_head(student_hidden[rows]).float() / temperature, dim=-1)
        own[rows] = log_q.gather(1, sampled)[:, 0]
        for teacher, chunk in enumerate(teacher_hidden[:, rows]):
            log_p = log_softmax(teacher_head(chunk).float() / temperature, dim=-1)
            theirs[teacher, rows] = log_p.gather(1, sampled)[:, 0]
            kl[teacher, rows] = summed(log_p.exp().mul_(log_p.sub_(log_q)))
    return kl, theirs, own


@torch.no_grad()
def chunked_disagreement(
    teacher_hidden: Float[Tensor, "J T H"],
    head: Head,
    *,
    temperature: float = 1.0,
    chunk_tokens: int = 1024,
) -> Float[Tensor, " T"]:
    """`disagreement` of J teachers that share an output head.

    Args:
        teacher_hidden: `(J, T, H)` last hidden states.
        head: the output head.
        temperature: sampling temperature.
        chunk_tokens: tokens projected at a time, by each teacher.

    Returns:
        `(T)` float32, nats.
    """
    chunks = _chunks(teacher_hidden.shape[1], chunk_tokens)
    return torch.cat(
        [disagreement(head(teacher_hidden[:, rows]), temperature=temperature) for rows in chunks]
    )


@torch.no_grad()
def chunked_statistics(
    hidden: Float[Tensor, "T H"],
    head: Head,
    token_ids: Int64[Tensor, " T"],
    *,
    temperature: float = 1.0,
    chunk_tokens: int = 1024,
) -> tuple[Float[Tensor, " T"], Float[Tensor, " T"]]:
    """Log-probability of the sampled tokens, and entropy of their distributions.

    Args:
        hidden: `(T, H)` last hidden states that predict the tokens.
        head: the output head.
        token_ids: `(T)` the sampled tokens.
        temperature: sampling temperature.
        chunk_tokens: tokens projected at a time.

    Returns:
        Log-probabilities and entropies, both `(T)` float32, nats.
    """
    logps, entropies = [], []
    for rows in _chunks(hidden.shape[0], chunk_tokens):
        log_q = log_softmax(head(hidden[rows]).float() / temperature, dim=-1)
        logps.append(log_q.gather(1, token_ids[rows, None])[:, 0])
        entropies.append(-(log_q.exp() * log_q).sum(-1))
    return torch.cat(logps), torch.cat(entropies)


@torch.no_grad()
def chunked_logps(
    hidden: Float[Tensor, "T H"],
    head: Head,
    token_ids: Int64[Tensor, " T"],
    *,
    temperature: float = 1.0,
    chunk_tokens: int = 1024,
) -> Float[Tensor, " T"]:
    """Log-probability of the sampled tokens alone, with the arguments of `chunked_statistics`.

    Returns:
        `(T)` float32, nats.
    """
    logps = []
    for rows in _chunks(hidden.shape[0], chunk_tokens):
        logits = head(hidden[rows]).float() / temperature
        logps.append(logits.gather(1, token_ids[rows, None])[:, 0] - logits.logsumexp(-1))
    return torch.cat(logps)


@torch.no_grad()
def chunked_top_tokens(
    hidden: Float[Tensor, "T H"],
    head: Head,
    k: int,
    *,
    temperature: float = 1.0,
    chunk_tokens: int = 1024,
) -> tuple[Float[Tensor, "T K"], Int64[Tensor, "T K"]]:
    """The k likeliest next tokens at each position.

    Args:
        hidden: `(T, H)` last hidden states.
        head: the output head.
        k: number of tokens to keep.
        temperature: sampling temperature.
        chunk_tokens: tokens projected at a time.

    Returns:
        Probabilities and token ids, both `(T, K)`, likeliest first.
    """
    probs, ids = [], []
    for rows in _chunks(hidden.shape[0], chunk_tokens):
        top = softmax(head(hidden[rows]).float() / temperature, dim=-1).topk(k, dim=-1)
        probs.append(top.values)
        ids.append(top.indices)
    return torch.cat(probs), torch.cat(ids)


def _chunks(total: int, size: int) -> Iterator[slice]:
    if size < 1:
        raise ValueError(f"chunk_tokens is {size}; it must be at least 1.")
    # No tokens are one chunk of none.
    return (slice(start, start + size) for start in range(0, max(total, 1), size))
