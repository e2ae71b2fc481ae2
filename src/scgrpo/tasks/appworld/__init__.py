"""AppWorld's benchmark, played in processes that have its package."""

from scgrpo.tasks.appworld.task import AppWorldOptions as AppWorldOptions
from scgrpo.tasks.appworld.task import AppWorldTask as AppWorldTask
