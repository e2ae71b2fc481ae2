"""Sums of numbers that have to be looked up first: a small agent task of three to five turns."""

from scgrpo.tasks.lookup.task import LookupOptions as LookupOptions
from scgrpo.tasks.lookup.task import LookupTask as LookupTask
