"""Rewards are the user's: what comes back is a number per completion, or a clear sentence.

TRL's trainer keeps the functions as they were given; they are wrapped only while they are called.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from trl import GRPOTrainer
from trl.rewards import get_soft_overlong_punishment
from trl.trainer.utils import is_async_callable

from scgrpo.mistakes import on_one_line, shown
from scgrpo.trainer.config import SCGRPOConfig
from scgrpo.trainer.reward_values import listed, number_in

OVERLONG_NAME = "soft_overlong_punishment_reward"
"""What TRL calls DAPO's soft over-long penalty."""


class RewardError(ValueError):
    """A reward function failed or returned something that is no reward."""


def with_overlong_penalty(reward_funcs: Any, args: SCGRPOConfig) -> Any:
    """The reward functions, and DAPO's soft over-long penalty where it is wanted (its Eq. 13).

    Args:
        reward_funcs: as a user gives them, one or several or none.
        args: asks for the penalty; where it has reward weights, that of the penalty is 1.

    Raises:
        ValueError: for a penalty that would begin before the first token.
    """
    if args.overlong_tokens == 0:
        return reward_funcs
    longest = args.max_completion_length
    if args.overlong_tokens >= longest:
        raise ValueError(
            f"overlong_tokens is {args.overlong_tokens}, but a completion has at most {longest} "
            "tokens (max_completion_length); the penalty must begin after the first token."
        )
    given = reward_funcs if isinstance(reward_funcs, list) else [reward_funcs]
    functions = [function for function in given if function is not None]
    if args.reward_weights is not None and len(args.reward_weights) == len(functions):
        args.reward_weights = [*args.reward_weights, 1.0]
    return [*functions, get_soft_overlong_punishment(longest, args.overlong_tokens)]


@contextmanager
def checked_functions(trainer: GRPOTrainer) -> Iterator[None]:
    """Meanwhile the trainer's reward functions refuse what TRL would choke on."""
    given = trainer.reward_funcs
    names = trainer.reward_func_names
    trainer.reward_funcs = [_checked(*pair) for pair in zip(given, names, strict=True)]
    try:
        yield
    finally:
        trainer.reward_funcs = given


def check_finite(reward_per_func: Tensor, names: list[str]) -> None:
    """Refuse infinite rewards, whoever gave them: a function, a model or an environment.

    Args:
        reward_per_func: `(B_all, F)`, NaN where a function does not apply.
        names: of the functions.

    Raises:
        RewardError: naming the first such reward.
    """
    for row, column in reward_per_func.isinf().nonzero().tolist()[:1]:
        raise RewardError(
            f"the reward function '{names[column]}' gave {reward_per_func[row, column].item()} for "
            f"completion {row}; return a finite number, or None where it does not apply."
        )


def check_rewards(rewards: Any, name: str) -> list[float | None]:
    """The rewards as a list; whether there are enough of them, TRL says.

    Args:
        rewards: what the reward function returned.
        name: name of the function, for the message.

    Raises:
        RewardError: for anything but a sequence of numbers (or None).
    """
    given = listed(rewards)
    if given is None:
        raise RewardError(
            f"the reward function '{name}' returned {type(rewards).__name__} {shown(rewards)}; it "
            "must return a list of numbers, one per completion."
        )
    return [_number(reward, row, name) for row, reward in enumerate(given)]


def _checked(function: Any, name: str) -> Any:
    if isinstance(function, nn.Module):
        return function
    if is_async_callable(function):

        async def judge_later(**arguments: Any) -> list[float | None]:
            try:
                rewards = await function(**arguments)
            except (Exception, SystemExit) as error:  # the user's code may raise anything
                raise _failure(name, error) from error
            return check_rewards(rewards, name)

        return judge_later

    def judge(**arguments: Any) -> list[float | None]:
        try:
            rewards = function(**arguments)
        except (Exception, SystemExit) as error:  # the user's code may raise anything
            raise _failure(name, error) from error
        return check_rewards(rewards, name)

    return judge


def _failure(name: str, error: BaseException) -> RewardError:
    return RewardError(
        f"the reward function '{name}' raised {type(error).__name__}: {on_one_line(error)}; "
        "make it return a number for every completion, or None where it does not apply."
    )


def _number(reward: Any, row: int, name: str) -> float | None:
    if reward is None:
        return None
    value = number_in(reward)
    if value is None:
        raise RewardError(
            f"the reward function '{name}' returned {shown(reward)} for completion {row}, which is "
            "no number; return a float, or None for unscored."
        )
    return value
