"""The shop task: rows, environments and a scripted customer that proves them."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from scgrpo.tasks.base import DataState, Disagreement, Task, Validation, read_options
from scgrpo.tasks.episodes import TextEnvironment
from scgrpo.tasks.shop import pages
from scgrpo.tasks.shop.environments import ShopText, ShopTools, find_action
from scgrpo.tasks.shop.generate import generate_products, generate_wishes
from scgrpo.tasks.shop.goals import (
    Goal,
    human_wishes,
    make_goals,
    split_range,
    synthetic_wishes,
)
from scgrpo.tasks.shop.nouns import NOUN_READERS, find_nouns
from scgrpo.tasks.shop.oracle import purchases
from scgrpo.tasks.shop.pages import MODES, Mode
from scgrpo.tasks.shop.products import Product, ShopFiles, read_json, read_products
from scgrpo.tasks.shop.search import SearchIndex
from scgrpo.tasks.shop.session import Session, Shop

if TYPE_CHECKING:
    from datasets import Dataset
