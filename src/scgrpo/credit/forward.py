"""What is taken of the student inside of its update's own forward.

There a sharded model holds its output head, and TRL has not read the advantages yet.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from torch import Tensor

from scgrpo.teachers.policy import Policy, captured_hidden_states

Found = TypeVar("Found")


@contextmanager
def inside_forward(
    policy: Policy, compute: Callable[[Tensor, Any], Found]
) -> Iterator[list[Found]]:
    """Collect what `compute` makes of the last hidden states and the output of each forward."""
    results: list[Found] = []
    with captured_hidden_states(policy.backbone) as states:
        handle = policy.module.register_forward_hook(
            lambda *call: results.append(compute(states[-1], call[-1]))
        )
        try:
            yield results
        finally:
            handle.remove()


def predicting(student_hidden: Tensor, chosen_BT: Tensor) -> Tensor:
    """States `(M, H)` that predict the chosen tokens of completions, of those `(B, L, H)` of all.

    Args:
        student_hidden: of prompts and completions, all padded completions T tokens long.
        chosen_BT: tokens.
    """
    return student_hidden[:, -chosen_BT.shape[1] - 1 : -1][chosen_BT]


def sampled_logps(output: Any, chosen_BT: Tensor) -> Tensor | None:
    """Log-probs `(M)` of the chosen tokens, nats, that TRL's head took for the loss; None without.

    Args:
        output: of a forward over prompts and completions.
        chosen_BT: tokens of padded completions.
    """
    logp_BL = getattr(output, "log_probs", None)
    return None if logp_BL is None else logp_BL.detach()[:, -chosen_BT.shape[1] :][chosen_BT]
