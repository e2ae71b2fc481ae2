"""Where workers run: folders that they may see, and the command line that shuts out the rest."""

import json
import os
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from scgrpo.tasks.appworld.installation import Installation, probe
from scgrpo.tasks.appworld.process import WORKER, Worker
from scgrpo.tasks.sandbox.bubblewrap import (
    INSIDE,
    Bubblewrap,
    in_memory,
    read_only_from,
    read_only_system,
)
from scgrpo.tasks.sandbox.probe import find_isolation
from scgrpo.tasks.sandbox.seccomp import build_filters

GUARD = INSIDE / "guard.py"
LARGEST_FILE_MB = 256
SCRATCH_MB = 128
"""Of each of /tmp, /dev/shm, home and cache, which are in memory."""
THREADS = 128
"""Where the kernel counts them for each jail, that is where we are not root."""

SHOWN = (
    *("/usr/bin", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/share/zoneinfo"),
    *("/lib", "/lib32", "/lib64", "/bin", "/etc/ld.so.cache", "/etc/alternatives"),
    *("/etc/localtime", "/etc/nsswitch.conf", "/etc/passwd"),
)
"""Programs and libraries of the system; what else lies below /usr may be anybody's data."""
PASSED_ON = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONPATH")


class Grounds:
    """The temporary folder of all episodes of a task, and how processes are started in it.

    An episode's folder has two parts. `world` stands for APPWORLD_ROOT: the data, and a link to
    the outputs; the model's code cannot change it. `own` is what it may write: outputs, home.

    Args:
        installation: interpreter and data.
        sandbox: `bubblewrap`, or `process` for none.
        memory: most memory of a process, in MiB of address space.
        disk: most of an episode's outputs on disk, in MiB.
    """

    def __init__(self, installation: Installation, sandbox: str, memory: int, disk: int) -> None:
        self.installation = installation
        self._memory, self._disk = memory, disk
        self._isolation = find_isolation("process") if sandbox == "bubblewrap" else None
        self._folder = tempfile.TemporaryDirectory(prefix="scgrpo-appworld-")
        self._top = Path(self._folder.name).resolve()
        self._numbers = count()

    def new_folder(self) -> Path:
        """The folder of a new episode."""
        folder = self._top / str(next(self._numbers))
        for part in ("own/home", "own/cache", "own/outputs", "world/experiments"):
            (folder / part).mkdir(parents=True)
        (folder / "world" / "data").symlink_to(self.installation.data)
        (folder / "world" / "experiments" / "outputs").symlink_to(folder / "own" / "outputs")
        return folder

    def start_player(self, folder: Path) -> Worker:
        """A worker that runs the model's code in an episode's folder.

        With bubblewrap it has no network, starts no process and sees no other; it reads the system,
        Python and the data without the tasks' answers; it writes its outputs, and a few folders in
        memory. In any case it is ended where it writes too much.
        """
        return self._start(folder, plays=True)

    def start_judge(self, folder: Path) -> Worker:
        """A worker that evaluates what all episodes left, and never runs the model's code."""
        return self._start(folder, plays=False)

    def _start(self, folder: Path, *, plays: bool) -> Worker:
        is_jailed = plays and self._isolation is not None
        filters = build_filters() if is_jailed else None
        config = {
            "memory_mb": self._memory,
            "output_mb": LARGEST_FILE_MB,
            "processes": THREADS if is_jailed else None,
            "isolated": False,
            "filters": filters.both if filters else [],
        }
        command = [self.installation.python, "-u", str(WORKER), str(GUARD), json.dumps(config)]
        if self._isolation is not None:
            jail = self._jail(self._isolation, folder, plays)
            command = [self._isolation.program, *jail, *command]
        disk = self._disk * 2**20 if plays else None
        world = folder / "world"
        return Worker(command, folder / "worker.log", _environment(folder), world, disk)

    def _jail(self, isolation: Bubblewrap, folder: Path, plays: bool) -> Iterator[str]:
        yield from ("--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL")
        for path in SHOWN:
            yield from read_only_system(path)
        scratch = SCRATCH_MB << 20
        yield from isolation.devices()
        yield from (*in_memory("/tmp", scratch), *in_memory("/dev/shm", scratch))
        data = str(self.installation.data)
        needed = [*probe(self.installation.python)["paths"], str(WORKER), str(GUARD)]
        for path in [*_outermost(needed), data, str(folder if plays else self._top)]:
            yield from ("--ro-bind", path, path)
        if plays:
            own = folder / "own"
            yield from ("--bind", str(own / "outputs"), str(own / "outputs"))
            yield from (*in_memory(own / "home", scratch), *in_memory(own / "cache", scratch))
            for truth in self.installation.truths():
                yield from in_memory(truth, 1)
        yield from read_only_from(folder / "world")


def _outermost(paths: list[str]) -> list[str]:
    """The paths without those that lie in another one, or in a folder of the system."""
    kept: list[str] = []
    for path in sorted({os.path.realpath(path) for path in paths} | set(paths)):
        if not any(path == k or path.startswith(k + "/") for k in (*SHOWN, *kept)):
            kept.append(path)
    return kept


def _environment(folder: Path) -> dict[str, str]:
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    home = str(folder / "own" / "home")
    own = {
        "APPWORLD_ROOT": str(folder / "world"),
        "APPWORLD_CACHE": str(folder / "own" / "cache"),
        "HOME": home,
        "IPYTHONDIR": f"{home}/ipython",
        "TMPDIR": home,
        "PYTHONDONTWRITEBYTECODE": "1",
        # One thread: numpy's libraries would start one a core, against the cap on threads.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    return passed | own
