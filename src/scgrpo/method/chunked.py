"""Section 2 at scale: the divergence from hidden states and output heads, in chunks of tokens.

The values of `divergence.py` without a (T, V) tensor: each chunk projects its hidden states,
reduces over the vocabulary, and is recomputed in the backward pass. Plain torch; the trainer may
use TRL's Triton kernel for the same values.

Shapes: T tokens, H hidden size (the teacher may have its own), V vocabulary, K top tokens.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import linear, softmax
from torch.utils.checkpoint import checkpoint

from scgrpo.method.divergence import check_divergence, per_token_divergence


def chunked_divergence(
    teacher_hidden: Float[Tensor, "T Ht"],
    teacher_head: Float[Tensor, "V Ht"],
    student_hidden: Float[Tensor, "T Hs"],
    student_head: Float[Tensor, "V Hs"],
    kind: str = "forward",
    *,
    beta: float = 0.5,
    temperature: float = 1.0,
    teacher_bias: Float[Tensor, " V"] | None = None,
    student_bias: Float[Tensor, " V"] | None = None,
    chunk_tokens: int = 1024,
) -> Float[Tensor, " T"]:
    """`per_token_divergence` of two models given by hidden states and output heads.

    The largest tensor is `(chunk_tokens, V)`. The gradient flows to the student's hidden states,
    head and bias only.

    Args:
        teacher_hidden: `(T, Ht)` last hidden states of the teacher.
        teacher_head: `(V, Ht)` weight of its output head.
        student_hidden: `(T, Hs)`.
        student_head: `(V, Hs)`.
        kind: see `per_token_divergence`, also for `beta` and `temperature`.
        teacher_bias: `(V)` or None, likewise `student_bias`.
        chunk_tokens: tokens projected at a time.

    Returns:
        `(T)` float32, nats.

    Raises:
        ValueError: for an unknown kind, or chunks of less than one token.
    """
    check_divergence(kind, beta)

    def divergence(teacher_chunk: Tensor, student_chunk: Tensor) -> Tensor:
        with torch.no_grad():
            teacher_logits = linear(teacher_chunk, teacher_head, teacher_bias)
        student_logits = linear(student_chunk, student_head, student_bias)
        return per_token_divergence(
            teacher_logits, student_logits, kind, beta=beta, temperature=temperature
        )

    with_gradient = torch.is_grad_enabled()
    parts = [student_hidden.new_zeros(0, dtype=torch.float32)]
    for rows in _chunks(teacher_hidden.shape[0], chunk_tokens):
        pair = (teacher_hidden[rows].detach(), student_hidden[rows])
        if with_gradient:
            parts.append(checkpoint(divergence, *pair, use_reentrant=False))
        else:
            parts.append(divergence(*pair))
    return torch.cat(parts)


@torch.no_grad()
def chunked_top_tokens(
    hidden: Float[Tensor, "T H"],
    head: Float[Tensor, "V H"],
    k: int,
    *,
    temperature: float = 1.0,
    bias: Float[Tensor, " V"] | None = None,
    chunk_tokens: int = 1024,
) -> tuple[Float[Tensor, "T K"], Int64[Tensor, "T K"]]:
    """The k likeliest next tokens at each position.

    Args:
        hidden: `(T, H)` last hidden states.
        head: `(V, H)` weight of the output head.
        k: number of tokens to keep.
        temperature: sampling temperature.
        bias: `(V)` or None.
        chunk_tokens: tokens projected at a time.

    Returns:
        Probabilities and token ids, both `(T, K)`, likeliest first.
    """
    probs = [hidden.new_zeros((0, k), dtype=torch.float32)]
    ids = [torch.zeros((0, k), dtype=torch.int64, device=hidden.device)]
    for rows in _chunks(hidden.shape[0], chunk_tokens):
        chunk = softmax(linear(hidden[rows], head, bias).float() / temperature, dim=-1)
        top = chunk.topk(k, dim=-1)
        probs.append(top.values)
        ids.append(top.indices)
    return torch.cat(probs), torch.cat(ids)


def _chunks(total: int, size: int) -> Iterator[slice]:
    if size < 1:
        raise ValueError(f"chunk_tokens is {size}; it must be at least 1.")
    return (slice(start, start + size) for start in range(0, total, size))
