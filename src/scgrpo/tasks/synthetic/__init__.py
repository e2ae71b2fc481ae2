"""Sums by steps: many correct paths, one wrong step ruins the answer, wording that nobody reads."""

from scgrpo.tasks.synthetic.task import SyntheticOptions as SyntheticOptions
from scgrpo.tasks.synthetic.task import SyntheticTask as SyntheticTask
