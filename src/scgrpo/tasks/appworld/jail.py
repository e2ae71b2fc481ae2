"""Where workers run: folders that they may see, and the command line that shuts out the rest."""

import os
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from scgrpo.tasks.appworld.installation import Installation, find_bubblewrap, probe
from scgrpo.tasks.appworld.process import WORKER, Worker

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
OF_ETC = ("alternatives", "ld.so.cache", "localtime", "nsswitch.conf", "passwd")
PASSED_ON = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONPATH")


class Grounds:
    """The temporary folder of all episodes of a task, and how processes are started in it.

    An episode's folder has two parts. `world` stands for APPWORLD_ROOT: the data, and a link to
    the outputs; the model's code cannot change it. `own` is what it may write: outputs, home.

    Args:
        installation: interpreter and data.
        sandbox: `bubblewrap`, or `process` for none.
        memory: most memory of a process, in MiB of address space.
    """

    def __init__(self, installation: Installation, sandbox: str, memory: int) -> None:
        self.installation = installation
        self._memory = memory
        self._bubblewrap = find_bubblewrap() if sandbox == "bubblewrap" else None
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

        With bubblewrap it has no network and sees no other process; it reads the system, Python
        and the data without the tasks' answers; it writes its own part of the folder and nothing
        else.
        """
        return self._start(folder, folder / "own", hide_truths=True)

    def start_judge(self, folder: Path) -> Worker:
        """A worker that evaluates what all episodes left, and never runs the model's code."""
        return self._start(folder, None, hide_truths=False)

    def _start(self, folder: Path, writable: Path | None, *, hide_truths: bool) -> Worker:
        command = [self.installation.python, "-u", str(WORKER), str(self._memory)]
        if self._bubblewrap is not None:
            mounts = self._mounts(folder, writable, hide_truths)
            command = [self._bubblewrap, *mounts, *command]
        world = folder / "world"
        return Worker(command, folder / "worker.log", _environment(folder), world)

    def _mounts(self, folder: Path, writable: Path | None, hide_truths: bool) -> Iterator[str]:
        yield from ("--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL")
        for path in SYSTEM:
            if os.path.islink(path):
                yield from ("--symlink", os.readlink(path), path)
            else:
                yield from ("--ro-bind-try", path, path)
        for name in OF_ETC:
            yield from ("--ro-bind-try", f"/etc/{name}", f"/etc/{name}")
        yield from ("--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp")
        data = str(self.installation.data)
        needed = [*probe(self.installation.python)["paths"], str(WORKER)]
        for path in [*_outermost(needed), data, str(folder if writable else self._top)]:
            yield from ("--ro-bind", path, path)
        if writable is not None:
            yield from ("--bind", str(writable), str(writable))
        if hide_truths:
            for truth in self.installation.truths():
                yield from ("--tmpfs", str(truth))
        yield from ("--chdir", str(folder / "world"))


def _outermost(paths: list[str]) -> list[str]:
    """The paths without those that lie in another one, or in a folder of the system."""
    kept: list[str] = []
    for path in sorted({os.path.realpath(path) for path in paths} | set(paths)):
        if not any(path == k or path.startswith(k + "/") for k in (*SYSTEM, *kept)):
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
    }
    return passed | own
