"""The shop as an environment: in plain text, and with tools."""

import re
from collections.abc import Mapping
from typing import Any

from scgrpo.tasks.episodes import Step
from scgrpo.tasks.shop.session import Session, Shop

_ACTION = re.compile(r"(search|click)\[(.+)\]", re.IGNORECASE)
_START = re.compile(r"(?:search|click)\[", re.IGNORECASE)

INVALID = "That is not possible here; nothing has changed."
HOW_TO_ACT = (
    "Write one action a turn, on a line of its own: search[keywords] or click[value], with the "
    "value exactly as the page shows it."
)


def find_action(text: str) -> str | None:
    """The last action that a text contains, thoughts aside; None where there is none.

    An action stands on one line, up to the line's last bracket: `Action: click[size [large]]`.
    """
    _, end, answer = text.rpartition("</think>")
    if not end and "<think>" in answer:
        return None
    for line in reversed(answer.splitlines()):
        starts = [match.start() for match in _START.finditer(line)]
        found = _ACTION.match(line, starts[-1]) if starts else None
        if found:
            return f"{found.group(1).lower()}[{found.group(2)}]"
    return None


class ShopText:
    """A session in plain text: the model writes `search[...]` or `click[...]`.

    Args:
        shop: where it takes place.
        show_actions: whether an observation ends in the actions that the page allows.
    """

    def __init__(self, shop: Shop, show_actions: bool = True) -> None:
        self.shop = shop
        self.show_actions = show_actions
        self.session: Session | None = None

    def reset(self, row: Mapping[str, Any]) -> str:
        """Begin a session with the goal of a row.

        Raises:
            ValueError: for a row without a goal of this shop.
        """
        self.session = begin(self.shop, row)
        return f"{describe(self.session, self.show_actions)}\n\n{HOW_TO_ACT}"

    def step(self, action: str) -> Step:
        """Act; what contains no possible action changes nothing."""
        assert self.session is not None, "reset comes first"
        possible = self.session.step(find_action(action) or "")
        seen = describe(self.session, self.show_actions)
        observation = seen if possible else f"{INVALID}\n{seen}"
        return Step(observation, self.session.reward, self.session.done)

    def close(self) -> None:
        """Forget the session."""
        self.session = None


class ShopTools:
    """A session with the tools `search` and `click`, as TRL's `environment_factory` makes them."""

    def __init__(self, shop: Shop, show_actions: bool = True) -> None:
        self._shop = shop
        self._show_actions = show_actions
        self._session: Session | None = None

    def reset(self, **row: Any) -> str:
        """Begin a session with the goal of a row.

        Returns:
            The first page, for the end of the last user message.

        Raises:
            ValueError: for a row without a goal of this shop.
        """
        self._session = begin(self._shop, row)
        return describe(self._session, self._show_actions)

    def search(self, keywords: str) -> str:
        """
        Search the shop for products.

        Args:
            keywords: Words to search for.

        Returns:
            The page of results.
        """
        return self._act(f"search[{keywords}]")

    def click(self, value: str) -> str:
        """
        Click something on the current page: a button, a product or an option.

        Args:
            value: The text of what is clicked, exactly as the page shows it. 'Buy Now' buys the
                product with the chosen options and ends the shopping.

        Returns:
            The page that follows.
        """
        return self._act(f"click[{value}]")

    def get_reward(self) -> float:
        """Reward of the purchase; 0 where nothing was bought."""
        return self._session.reward if self._session is not None else 0.0

    def _act(self, action: str) -> str:
        assert self._session is not None, "reset comes first"
        possible = self._session.step(" ".join(action.split()))
        seen = describe(self._session, self._show_actions)
        return seen if possible else f"{INVALID}\n{seen}"


def begin(shop: Shop, row: Mapping[str, Any]) -> Session:
    """A session with the goal of a row.

    Raises:
        ValueError: for a row without a goal of this shop.
    """
    number = row.get("goal")
    if not isinstance(number, int) or not 0 <= number < len(shop.goals):
        raise ValueError(
            f"the row's goal is {number!r}, but the shop's goals are numbered 0 to "
            f"{len(shop.goals) - 1}; take the rows of the same shop task."
        )
    return Session(shop, shop.goals[number])


def describe(session: Session, show_actions: bool) -> str:
    """The page, and what can be done on it."""
    if not show_actions or session.done:
        return session.observation
    actions = session.actions
    possible = ["search[keywords]"] if actions.has_search_bar else []
    possible += [f"click[{value}]" for value in actions.clickables if value != "search"]
    return f"{session.observation}\n\nAvailable actions: {', '.join(possible)}"
