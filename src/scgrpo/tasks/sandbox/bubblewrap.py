"""The command line of a sandbox by bubblewrap."""

import itertools
import os
import sys
import sysconfig
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from scgrpo.tasks.sandbox.limits import Limits

INSIDE = Path(__file__).parent / "inside"
CODE, PACKAGES = "/scgrpo", "/packages"
SCRATCH, SPOOL = "/tmp", "/dev/shm"
SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/etc/ld.so.cache", "/etc/alternatives")
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
        for path in SYSTEM:
            parts += read_only_system(path)
        if not Path(sys.base_prefix).is_relative_to("/usr"):
            parts += [*_parents(Path(sys.base_prefix)), *_read_only(sys.base_prefix)]
        for place in _package_folders():
            # Whatever is installed may hold a benchmark's answers, ours too.
            parts += ["--tmpfs", place, "--remount-ro", place]
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
    python = os.path.realpath(sys._base_executable)  # type: ignore[attr-defined]
    return [python, "-S", "-s", "-P", "-B", "-m", "inside.driver", str(channel)]


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


def _package_folders() -> list[str]:
    """Where packages are installed among the folders that the sandbox shows."""
    bases = {"base": sys.base_prefix, "platbase": sys.base_prefix}
    installed = {sysconfig.get_path(kind, vars=bases) for kind in ("purelib", "platlib")}
    shown = [Path(sys.base_prefix), Path("/usr")]
    system = (*Path("/usr/lib").glob("python3*"), *Path("/usr/local/lib").glob("python3*"))
    installed |= {str(p / name) for p in system for name in ("dist-packages", "site-packages")}
    places = sorted(place for place in installed if Path(place).is_dir())
    return [p for p in places if any(Path(p).is_relative_to(folder) for folder in shown)]


def in_memory(path: str | Path, size: int) -> list[str]:
    """An empty folder that all may write so many bytes to."""
    return ["--size", str(size), "--perms", "1777", "--tmpfs", str(path)]


def read_only_from(folder: str | Path) -> list[str]:
    """The last mounts: all is read-only that is no mount of its own; work begins in a folder."""
    return ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", str(folder)]


def package_paths(packages: tuple[str, ...]) -> list[Path]:
    """Files and folders of installed packages."""
    paths = []
    for name in packages:
        spec = find_spec(name)
        if spec is None or spec.origin is None:
            continue
        folder = Path(spec.origin)
        folder = folder.parent if spec.submodule_search_locations else folder
        libraries = folder.with_name(f"{name}.libs")
        paths += [folder, libraries] if libraries.is_dir() else [folder]
    return paths


def _is_mapped(uid: int) -> bool:
    for line in Path("/proc/self/uid_map").read_text().splitlines():
        first, _, count = map(int, line.split())
        if first <= uid < first + count:
            return True
    return False
