"""Other methods of token-level credit, one file each: tensors in, tensors out, torch only.

What each is taken from, and what of it could be read in its paper: docs/presets.md.
"""

from collections.abc import Callable

from torch import Tensor

from scgrpo.rivals.cscr import cscr as cscr
from scgrpo.rivals.gigpo import step_advantage as step_advantage
from scgrpo.rivals.gspo_token import token_form as token_form
from scgrpo.rivals.gtpo import entropy_shaped_advantage as entropy_shaped_advantage
from scgrpo.rivals.rlcsd import rlcsd as rlcsd
from scgrpo.rivals.rlrt import rlrt as rlrt
from scgrpo.rivals.tr_grpo import tr_grpo as tr_grpo

WEIGHTS: dict[str, Callable[..., Tensor]] = {
    "tr-grpo": tr_grpo,
    "rlrt": rlrt,
    "rlcsd": rlcsd,
    "cscr": cscr,
}
"""Weights by name, beside those of `scgrpo.method.signals`."""
