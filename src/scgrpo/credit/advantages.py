"""What the reward says: the advantages of a generation batch.

Shapes: B rollouts of this process, B_all of all, T tokens.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from scgrpo.method import token_returns, whiten
from scgrpo.rollouts import Batch, Metrics, Rollouts, written_tokens

Estimator = Callable[[Any, Batch, Rollouts], Metrics]


def group_normalised(trainer: Any, batch: Batch, rollouts: Rollouts) -> Metrics:
    """GRPO: TRL's own advantage, as it is."""
    return {}


def no_advantage(trainer: Any, batch: Batch, rollouts: Rollouts) -> Metrics:
    """Distillation alone: the reward is logged and teaches nothing."""
    batch["advantages"] = torch.zeros_like(batch["advantages"])
    return {}


def whitened(trainer: Any, batch: Batch, rollouts: Rollouts) -> Metrics:
    """REINFORCE++: returns less the KL to the initial policy, whitened over all processes."""
    method, accelerator = trainer.args.method, trainer.accelerator
    written_BT = written_tokens(batch)
    reward_B = _weighted_reward(trainer, rollouts)[rollouts.local(accelerator)]
    kl_BT = torch.zeros(written_BT.shape, device=written_BT.device)
    if method.reward_kl > 0:
        kl_BT = _sampling_logps(trainer, batch) - batch["ref_per_token_logps"]
    returns_BT = token_returns(reward_B, kl_BT, written_BT, method.reward_kl, method.discount)
    scored_BT = written_BT & ~returns_BT.isnan()
    width = accelerator.pad_across_processes(returns_BT.nan_to_num(0), dim=1)
    scored = accelerator.pad_across_processes(scored_BT, dim=1)
    advantage = whiten(accelerator.gather(width), accelerator.gather(scored))
    batch["advantages"] = advantage[rollouts.local(accelerator), : written_BT.shape[1]]
    tokens = accelerator.reduce(
        torch.stack([(kl_BT * written_BT).sum(), written_BT.sum().float()]), reduction="sum"
    )
    return {"reward_kl": (tokens[0] / tokens[1].clamp(min=1)).item()}


ADVANTAGES: dict[str, Estimator] = {
    "group": group_normalised,
    "whitened": whitened,
    "none": no_advantage,
}
"""One entry for each of `scgrpo.config.ADVANTAGES`."""


def _weighted_reward(trainer: Any, rollouts: Rollouts) -> Tensor:
    """Weighted sum `(B_all)` of all reward functions, NaN where none applies."""
    reward = rollouts.reward_per_func
    assert reward is not None
    total = (reward * trainer.reward_weights.to(reward.device)).nansum(1)
    return total.masked_fill(reward.isnan().all(1), torch.nan)


@torch.no_grad()
def _sampling_logps(trainer: Any, batch: Batch) -> Tensor:
    """Log-probs `(B, T)` of the policy that sampled, where TRL has not computed them."""
    if "old_per_token_logps" in batch:
        return batch["old_per_token_logps"]  # type: ignore[no-any-return]
    logps, _, _ = trainer._get_per_token_logps_and_entropies(
        trainer.model,
        torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1),
        torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1),
        batch["completion_ids"].shape[1],
        batch_size=trainer.args.per_device_train_batch_size,
    )
    return logps  # type: ignore[no-any-return]
