"""Reward functions, checked: what they return is a number per completion, or a clear sentence."""

import math
from collections.abc import Callable, Sequence
from functools import update_wrapper
from typing import Any

import torch
from torch import Tensor
from trl.rewards import get_soft_overlong_punishment
from trl.trainer.utils import is_async_callable

from scgrpo.mistakes import on_one_line, shown
from scgrpo.trainer.config import SCGRPOConfig
from scgrpo.trainer.reward_values import listed, number_in

RewardFunction = Callable[..., Sequence[float | None]]
OVERLONG_NAME = "soft_overlong_punishment_reward"
"""What TRL calls DAPO's soft over-long penalty."""


class RewardError(ValueError):
    """A reward function failed or returned something that is no reward."""


class CheckedReward:
    """Calls a reward function and refuses what TRL would choke on or silently accept."""

    def __init__(self, function: RewardFunction, *, is_verifier: bool) -> None:
        self.function = function
        self.is_verifier = is_verifier
        update_wrapper(self, function)
        self.__name__ = getattr(function, "__name__", type(function).__name__)

    def __call__(self, prompts: list[Any], completions: list[Any], **columns: Any) -> list[Any]:
        try:
            rewards = self.function(prompts=prompts, completions=completions, **columns)
        except (Exception, SystemExit) as error:  # the user's code may raise anything
            raise self._failure(error) from error
        return check_rewards(rewards, len(completions), self.__name__, self.is_verifier)

    def _failure(self, error: BaseException) -> RewardError:
        return RewardError(
            f"the reward function '{self.__name__}' raised {type(error).__name__}: "
            f"{on_one_line(error)}; make it return a number for every completion, or None where it "
            "does not apply."
        )


class CheckedAsyncReward(CheckedReward):
    """The same for `async def` reward functions, which TRL runs side by side."""

    async def __call__(  # type: ignore[override]
        self, prompts: list[Any], completions: list[Any], **columns: Any
    ) -> list[Any]:
        try:
            rewards = await self.function(  # type: ignore[misc]
                prompts=prompts, completions=completions, **columns
            )
        except (Exception, SystemExit) as error:  # the user's code may raise anything
            raise self._failure(error) from error
        return check_rewards(rewards, len(completions), self.__name__, self.is_verifier)


def checked(function: Any, *, is_verifier: bool) -> Any:
    """Wrap a reward function; reward models (ids or modules) stay as they are."""
    if isinstance(function, str | torch.nn.Module):
        return function
    wrapper = CheckedAsyncReward if is_async_callable(function) else CheckedReward
    return wrapper(function, is_verifier=is_verifier)


def prepared_rewards(reward_funcs: Any, args: SCGRPOConfig, *, environment: bool) -> list[Any]:
    """The reward functions as the trainer calls them: checked, and with what `args` adds.

    Args:
        reward_funcs: as a user gives them, one or several or none.
        args: names the verifier, and asks for an over-long penalty.
        environment: whether an environment may give a reward of its own.
    """
    given = reward_funcs if isinstance(reward_funcs, list) else [reward_funcs]
    functions = [function for function in given if function is not None]
    single = len(functions) + environment == 1
    return _with_overlong_penalty(
        [
            checked(f, is_verifier=single or getattr(f, "__name__", None) == args.verifier)
            for f in functions
        ],
        args,
    )


def _with_overlong_penalty(functions: list[Any], args: SCGRPOConfig) -> list[Any]:
    """The reward functions, and DAPO's soft over-long penalty where it is wanted (its Eq. 13)."""
    if args.overlong_tokens == 0:
        return functions
    longest = args.max_completion_length
    if args.overlong_tokens >= longest:
        raise ValueError(
            f"overlong_tokens is {args.overlong_tokens}, but a completion has at most {longest} "
            "tokens (max_completion_length); the penalty must begin after the first token."
        )
    if args.reward_weights is not None and len(args.reward_weights) == len(functions):
        args.reward_weights = [*args.reward_weights, 1.0]
    return [*functions, get_soft_overlong_punishment(longest, args.overlong_tokens)]


def check_rewards(rewards: Any, expected: int, name: str, is_verifier: bool) -> list[Any]:
    """The rewards as a list.

    Args:
        rewards: what the reward function returned.
        expected: number of completions.
        name: name of the function, for the message.
        is_verifier: whether the rewards decide what is solved, and so lie in [0, 1].

    Raises:
        RewardError: for anything but one number (or None) per completion.
    """
    given = listed(rewards)
    if given is None:
        raise RewardError(
            f"the reward function '{name}' returned {type(rewards).__name__} {shown(rewards)}; it "
            f"must return a list of {expected} numbers, one per completion."
        )
    if len(given) != expected:
        raise RewardError(
            f"the reward function '{name}' returned {len(given)} rewards for {expected} "
            "completions; it must return exactly one per completion."
        )
    return [_check_reward(r, row, name, is_verifier) for row, r in enumerate(given)]


def check_verifier_range(reward: Tensor, name: str) -> None:
    """Refuse verifier rewards outside of [0, 1], whoever gave them: a model or an environment too.

    Raises:
        RewardError: naming the first such reward.
    """
    outside = reward[(reward < 0) | (reward > 1)]
    if outside.numel():
        raise RewardError(
            f"the verifier '{name}' gave the reward {outside[0].item():g}, but a verifier's "
            "rewards lie in [0, 1]; rescale them, or name another one in "
            "SCGRPOConfig(verifier=...)."
        )


def _check_reward(reward: Any, row: int, name: str, is_verifier: bool) -> float | None:
    if reward is None:
        return None
    place = f"the reward function '{name}' returned {shown(reward)} for completion {row}"
    value = number_in(reward)
    if value is None:
        raise RewardError(f"{place}, which is no number; return a float, or None for unscored.")
    if not math.isfinite(value):
        raise RewardError(f"{place}; return a finite number, or None where it does not apply.")
    if is_verifier and not 0 <= value <= 1:
        raise RewardError(
            f"{place}, but it is the verifier, whose rewards lie in [0, 1]; rescale it, or name "
            "another reward function as verifier in SCGRPOConfig(verifier=...)."
        )
    return value
