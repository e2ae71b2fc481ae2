"""Models that ship with the package, by the name that stands for their folder."""

from pathlib import Path

_ASSETS = Path(__file__).parent / "assets"
SHIPPED = {"tiny": _ASSETS / "tiny-base", "tiny-agent": _ASSETS / "tiny-agent"}


def local_name(name: str) -> str:
    """The folder of a shipped model; any other hub id or folder as it is."""
    return str(SHIPPED.get(name, name))
