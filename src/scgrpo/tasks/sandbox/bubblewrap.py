"""The command line of a sandbox by bubblewrap."""

import itertools
import os
from dataclasses import dataclass
from pathlib import Path

from scgrpo.tasks.sandbox.limits import Limits
from scgrpo.tasks.sandbox.shown import Shown, base_interpreter, find_shown, package_paths

INSIDE = Path(__file__).parent / "inside"
CODE, PACKAGES = "/scgrpo", "/packages"
SCRATCH, SPOOL = "/tmp", "/dev/shm"
OVERFLOW_UID = 65534
FIRST_UID, UIDS_PER_PROCESS = 0x60000000, 64
FEW_UIDS_FROM, FEW_UIDS = 60_000, 5_000

_slots = itertools.count()


@dataclass(frozen=True)
class Bubblewrap:
    """How bubblewrap can be used here; `probe.find_isolation` finds it out."""

    program: str
    """Path of bwrap."""
    version: tuple[int, ...]
    as_root: bool
    """We are root: bubblewrap needs no user namespace, and the driver takes a uid of its own.

    Otherwise the sandbox lives in a user namespace. Root inside of one would not do: RLIMIT_NPROC
    does not bind the machine's root, under whatever number he goes."""
    own_proc: bool
    """A /proc of its own can be mounted; in some containers there is none, which isolates too."""

    def uid(self) -> int | None:
        """The uid that the driver takes: no other living sandbox has it, so that processes are
        counted for each; None where the user namespace does that."""
        if not self.as_root:
            return None
        slot = next(_slots) % UIDS_PER_PROCESS
        uid = FIRST_UID + os.getpid() * UIDS_PER_PROCESS + slot
        return uid if _is_mapped(uid) else FEW_UIDS_FROM + uid % FEW_UIDS

    def command(
        self,
        limits: Limits,
        packages: tuple[str, ...],
        *,
        channel: int,
        info: int,
        seccomp: int | None,
    ) -> list[str]:
        """The command that starts the driver in a sandbox.

        Args:
            limits: the caps.
            packages: installed packages that programs may import.
            channel, info: descriptors of the driver's channel and of bubblewrap's report.
            seccomp: descriptor to read the filter from.
        """
        parts = [self.program, *self._namespaces(), "--die-with-parent", "--new-session"]
        parts += [*_environment(), "--info-fd", str(info)]
        parts += _interpreter(find_shown(package_paths(packages)))
        parts += ["--perms", "0755", "--dir", CODE, *_read_only(INSIDE, f"{CODE}/inside")]
        parts += ["--perms", "0755", "--dir", PACKAGES]
        for path in package_paths(packages):
            parts += _read_only(path, f"{PACKAGES}/{path.name}")
        parts += [*self.devices(), *in_memory(SCRATCH, limits.scratch_mb << 20)]
        parts += in_memory(SPOOL, 8 * limits.output_mb << 20)
        parts += read_only_from(SCRATCH)
        if seccomp is not None:
            parts += ["--seccomp", str(seccomp)]
        return [*parts, "--", *driver_command(channel)]

    def devices(self) -> list[str]:
        """/proc, which shows the sandbox's own processes or none, and /dev."""
        proc = ["--proc", "/proc"] if self.own_proc else ["--perms", "0555", "--dir", "/proc"]
        return [*proc, "--dev", "/dev"]

    def _namespaces(self) -> list[str]:
        parts = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"]
        parts += ["--unshare-cgroup-try", "--hostname", "sandbox"]
        if self.as_root:
            kept = ("--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID")
            return [*parts, "--cap-drop", "ALL", *kept]
        parts += ["--unshare-user", "--uid", str(OVERFLOW_UID), "--gid", str(OVERFLOW_UID)]
        return [*parts, "--disable-userns"] if self.version >= (0, 8) else parts


def _environment() -> list[str]:
    parts = ["--clearenv"]
    for name, value in driver_environment(CODE, PACKAGES, SCRATCH).items():
        parts += ["--setenv", name, value]
    return parts


def driver_command(channel: int) -> list[str]:
    """The interpreter, without site packages, and the driver."""
    return [base_interpreter(), "-S", "-s", "-P", "-B", "-m", "inside.driver", str(channel)]


def driver_environment(code: str, packages: str, home: str) -> dict[str, str]:
    """The whole environment of a driver and so of the programs."""
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": home,
        "LANG": "C.UTF-8",
        "PYTHONPATH": f"{code}:{packages}",
        "PYTHONHASHSEED": "0",
        # One thread: numpy's libraries would start one a core, against the cap on threads.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


def _interpreter(shown: Shown) -> list[str]:
    """What the interpreter needs, and nothing beside it."""
    folders = [Place(path) for path in shown.folders]
    files = [Place(path) for path in (shown.program, *shown.files, *shown.system)]
    parents = dict.fromkeys(above for place in (*folders, *files) for above in place.above())
    parts = []
    for parent in parents:
        parts += ["--perms", "0755", "--dir", parent]
    for name, target in {place.link: place.leads_to for place in files if place.link}.items():
        parts += ["--symlink", target, name]
    for place in (*folders, *files):
        parts += _read_only(place.path, place.inside)
    for path in shown.hidden:
        empty = ["--tmpfs", path, "--remount-ro", path]
        parts += empty if Path(path).is_dir() else _read_only("/dev/null", path)
    return parts


class Place:
    """A path of the machine, and where a sandbox mounts it.

    Where a folder of the root is a link, as /lib is to usr/lib, the sandbox has the link too.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        first = Path(*Path(path).parts[:2])
        self.link, self.leads_to, self.inside = "", "", path
        if first.is_symlink() and str(first) != path:
            self.link, self.leads_to = str(first), os.readlink(first)
            rest = Path(path).relative_to(first)
            self.inside = os.path.normpath(Path("/", self.leads_to, rest))

    def above(self) -> list[str]:
        """The folders above it, outermost first."""
        return [str(parent) for parent in reversed(Path(self.inside).parents)][1:]


def read_only_system(path: str) -> list[str]:
    """A file or folder of the system, or the same link, where the machine has it."""
    place = Path(path)
    if place.is_symlink() and place.parent == Path("/"):
        return ["--symlink", os.readlink(place), path]
    return [*_parents(place), *_read_only(path)] if place.exists() else []


def _read_only(path: str | Path, target: str | None = None) -> list[str]:
    return ["--ro-bind", str(path), target or str(path)]


def _parents(path: Path) -> list[str]:
    """Folders above a mount, open to all: bubblewrap would close them to the driver's uid."""
    parts = []
    for parent in reversed(path.parents):
        if parent != Path("/") and not parent.is_relative_to("/usr"):
            parts += ["--perms", "0755", "--dir", str(parent)]
    return parts


def in_memory(path: str | Path, size: int) -> list[str]:
    """An empty folder that all may write so many bytes to."""
    return ["--size", str(size), "--perms", "1777", "--tmpfs", str(path)]


def read_only_from(folder: str | Path) -> list[str]:
    """The last mounts: all is read-only that is no mount of its own; work begins in a folder."""
    return ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", str(folder)]


def _is_mapped(uid: int) -> bool:
    for line in Path("/proc/self/uid_map").read_text().splitlines():
        first, _, count = map(int, line.split())
        if first <= uid < first + count:
            return True
    return False
