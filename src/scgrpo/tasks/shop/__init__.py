"""WebShop's text environment, over its own files or over a generated catalogue."""

from scgrpo.extras import require

require("shop")

from scgrpo.tasks.shop.session import Session as Session
from scgrpo.tasks.shop.session import Shop as Shop
from scgrpo.tasks.shop.task import ShopOptions as ShopOptions
from scgrpo.tasks.shop.task import ShopTask as ShopTask
