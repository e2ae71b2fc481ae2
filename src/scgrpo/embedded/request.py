"""What a tiny base is asked to be: its options and their defaults."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
