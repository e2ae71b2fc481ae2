"""SC-GRPO: token-level credit from the model's own verified rollouts (arXiv 2606.18810)."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scgrpo.trainer.config import SCGRPOConfig as SCGRPOConfig
    from scgrpo.trainer.trainer import SCGRPOTrainer as SCGRPOTrainer

__version__ = "0.1.0"

_LAZY = {
    "SCGRPOConfig": "scgrpo.trainer.config",
    "SCGRPOTrainer": "scgrpo.trainer.trainer",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'scgrpo' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
