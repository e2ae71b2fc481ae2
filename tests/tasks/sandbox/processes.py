"""What the machine says of the processes of sandboxes."""

import os
import time
from pathlib import Path

NAMESPACE = "import os\nprint(os.readlink('/proc/self/ns/pid'))"
"""A program that prints the process namespace in which it runs."""


def members(namespaces: set[str]) -> list[str]:
    """Processes of the machine that live in one of these process namespaces."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if os.readlink(entry / "ns" / "pid") in namespaces:
                    found.append(entry.name)
            except OSError:
                continue
    return found


def zombies_of_ours() -> int:
    """Children of this process that ended and were not collected."""
    count = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            count += state == "Z" and int(parent) == os.getpid()
    return count


def are_gone(namespaces: set[str], seconds: float = 10.0) -> bool:
    """Whether nobody of these namespaces is left, or soon is not."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not members(namespaces):
            return True
        time.sleep(0.05)
    return False
