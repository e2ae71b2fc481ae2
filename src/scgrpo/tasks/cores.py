"""How many processes or threads a verifier may use."""

import os


def share_of_cores() -> int:
    """Cores for each of the training processes on this machine, at least one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, (cores or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
