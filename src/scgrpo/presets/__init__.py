"""One function per row of the paper's tables: the `SCGRPOConfig` fields that the method means.

    SCGRPOConfig(**presets.sc_grpo(), output_dir="run")

A preset sets every field that it means, since TRL's own defaults may change and differ from the
paper's (loss_type, for one). What each is, departs in and logs: docs/presets.md.
"""

from collections.abc import Callable

from scgrpo.presets import paper
from scgrpo.presets.paper import Fields as Fields
from scgrpo.presets.paper import dapo as dapo
from scgrpo.presets.paper import grpo as grpo
from scgrpo.presets.paper import grpo_bikl as grpo_bikl
from scgrpo.presets.paper import grpo_fkl as grpo_fkl
from scgrpo.presets.paper import grpo_fkl_warmed as grpo_fkl_warmed
from scgrpo.presets.paper import grpo_rkl as grpo_rkl
from scgrpo.presets.paper import grpo_rkl_warmed as grpo_rkl_warmed
from scgrpo.presets.paper import opd as opd
from scgrpo.presets.paper import opsd as opsd
from scgrpo.presets.paper import reinforce_plus_plus as reinforce_plus_plus
from scgrpo.presets.paper import sc_grpo as sc_grpo
from scgrpo.presets.paper import sc_grpo_all as sc_grpo_all
from scgrpo.presets.paper import sc_grpo_all_correct as sc_grpo_all_correct
from scgrpo.presets.paper import sc_grpo_alpha as sc_grpo_alpha
from scgrpo.presets.paper import sc_grpo_any_partial as sc_grpo_any_partial
from scgrpo.presets.paper import sc_grpo_disagreement as sc_grpo_disagreement
from scgrpo.presets.paper import sc_grpo_entropy as sc_grpo_entropy
from scgrpo.presets.paper import sc_grpo_entropy_mixed as sc_grpo_entropy_mixed
from scgrpo.presets.paper import sc_grpo_fixed as sc_grpo_fixed
from scgrpo.presets.paper import sc_grpo_max as sc_grpo_max
from scgrpo.presets.paper import sc_grpo_mean as sc_grpo_mean
from scgrpo.presets.paper import sc_grpo_memory as sc_grpo_memory
from scgrpo.presets.paper import sc_grpo_p25 as sc_grpo_p25
from scgrpo.presets.paper import sc_grpo_p50 as sc_grpo_p50
from scgrpo.presets.paper import sc_grpo_p90 as sc_grpo_p90
from scgrpo.presets.paper import sc_grpo_partial as sc_grpo_partial
from scgrpo.presets.paper import sc_grpo_signed as sc_grpo_signed
from scgrpo.presets.paper import sc_grpo_signed_ungated as sc_grpo_signed_ungated
from scgrpo.presets.rivals import RIVALS
from scgrpo.presets.rivals import cscr as cscr
from scgrpo.presets.rivals import entropy_top20 as entropy_top20
from scgrpo.presets.rivals import gigpo as gigpo
from scgrpo.presets.rivals import gspo_token as gspo_token
from scgrpo.presets.rivals import gtpo as gtpo
from scgrpo.presets.rivals import rlcsd as rlcsd
from scgrpo.presets.rivals import rlrt as rlrt
from scgrpo.presets.rivals import rlsd as rlsd
from scgrpo.presets.rivals import sdpo as sdpo
from scgrpo.presets.rivals import tr_grpo as tr_grpo

PRESETS: dict[str, Callable[[], Fields]] = paper.PRESETS | RIVALS


def load_preset(name: str) -> Fields:
    """The fields of a preset by its name.

    Raises:
        ValueError: for an unknown name.
    """
    if name not in PRESETS:
        raise ValueError(f"preset is {name!r}; choose one of {', '.join(PRESETS)}.")
    return PRESETS[name]()
