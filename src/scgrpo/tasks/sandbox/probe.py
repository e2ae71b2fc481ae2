"""Whether programs can be isolated on this machine, and what to do where they cannot."""

import compileall
import functools
import logging
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from scgrpo.extras import install
from scgrpo.tasks.sandbox.backends import Backend, BubblewrapBackend, SubprocessBackend
from scgrpo.tasks.sandbox.bubblewrap import INSIDE, Bubblewrap
from scgrpo.tasks.sandbox.limits import Limits
from scgrpo.tasks.sandbox.process import Sandbox, SandboxError
from scgrpo.tasks.sandbox.seccomp import build_filters

logger = logging.getLogger(__name__)

KINDS = ("bubblewrap", "subprocess")
OLDEST = (0, 7)
INSTALL = "apt-get install bubblewrap (Debian, Ubuntu) or dnf install bubblewrap (Fedora, RHEL)"
SYSCTLS = {
    "kernel/unprivileged_userns_clone": ("0", "1"),
    "user/max_user_namespaces": ("0", "15000"),
    "kernel/apparmor_restrict_unprivileged_userns": ("1", "0"),
}
"""Kernel settings that forbid user namespaces: the forbidding value and the cure."""
CONTAINER_MARKS = ("/.dockerenv", "/run/.containerenv")


class NoIsolation(ValueError):
    """Programs cannot be isolated here; the message holds the cure."""


def choose_backend(kind: str = "bubblewrap") -> Backend:
    """The backend of this name.

    Args:
        kind: `bubblewrap`, or `subprocess` to give up isolation, which is warned of.

    Raises:
        NoIsolation: where bubblewrap does not work.
        ValueError: for another name.
    """
    if kind not in KINDS:
        raise ValueError(f"sandbox is {kind!r}; it is bubblewrap, or subprocess for no isolation.")
    if kind == "bubblewrap":
        isolation = find_isolation()
        # A driver cannot write what it compiled, so it would compile itself at every start.
        compileall.compile_dir(INSIDE, quiet=2)
        return BubblewrapBackend(isolation)
    logger.warning(
        "sandbox=subprocess: generated programs run WITHOUT isolation, and read and write "
        "whatever this user may; use it only on a machine that you can lose."
    )
    return SubprocessBackend()


@functools.cache
def find_isolation(way_out: str = "subprocess") -> Bubblewrap:
    """How bubblewrap works here, found out by starting a sandbox.

    Args:
        way_out: value of the task's option `sandbox` that gives up isolation, for the message.

    Raises:
        NoIsolation: where it is missing, too old or not permitted, with the command that helps.
    """
    program = shutil.which("bwrap")
    if program is None:
        raise NoIsolation(_refusal("bubblewrap is not installed", INSTALL, way_out))
    version = _version(program)
    if version < OLDEST:
        found = ".".join(map(str, version))
        problem = f"bubblewrap is {found}, which cannot cap what is written to memory"
        raise NoIsolation(_refusal(problem, "install 0.7 or later", way_out))
    complaint = ""
    for own_proc in (True, False):
        isolation = Bubblewrap(program, version, os.geteuid() == 0, own_proc)
        sandbox = Sandbox(BubblewrapBackend(isolation), Limits(), ())
        try:
            sandbox.wait_until_ready()
            return isolation
        except SandboxError as error:
            complaint = complaint or str(error)
        finally:
            sandbox.close()
    raise NoIsolation(_refusal(complaint, cure(), way_out))


@dataclass(frozen=True)
class SandboxState:
    """What isolation programs get on this machine."""

    isolated: bool
    isolation: str
    """How, or why not and what to do."""
    filtered: bool
    filters: str
    """The same of the filter of system calls."""


def sandbox_state() -> SandboxState:
    """Find out what isolation programs get here; starts a sandbox, once in a process."""
    filters = build_filters()
    told = (
        "system calls are filtered; a program is one process, so the cap on memory is its total"
        if filters
        else "no filter of system calls, and the cap on memory holds for each of a program's "
        f"processes; apt-get install libseccomp2 and {install('code')}"
    )
    try:
        isolation = find_isolation()
    except NoIsolation as refusal:
        return SandboxState(False, str(refusal), filters is not None, told)
    where = "as root, each with a uid of its own" if isolation.as_root else "in user namespaces"
    caps = Limits()
    version = ".".join(map(str, isolation.version))
    text = (
        f"bubblewrap {version} {where}{'' if isolation.own_proc else ', without /proc'}; no "
        f"network, read-only system, {caps.memory_mb} MiB, {caps.cpu_seconds:g} s of processor "
        f"time a test, {caps.processes} threads, {caps.output_mb} MiB of output, "
        f"{caps.scratch_mb} MiB in /tmp"
    )
    return SandboxState(True, text, filters is not None, told)


def cure(root: Path = Path("/")) -> str:
    """What lets bubblewrap make its namespaces.

    Args:
        root: where /proc/sys and the marks of containers are looked for.
    """
    commands = []
    for name, (forbidding, helpful) in SYSCTLS.items():
        file = root / "proc/sys" / name
        if file.is_file() and file.read_text().strip() == forbidding:
            commands.append(f"sysctl -w {name.replace('/', '.')}={helpful} (as root)")
    if any((root / mark.lstrip("/")).exists() for mark in CONTAINER_MARKS):
        commands.append(
            "start the container with --security-opt seccomp=unconfined --security-opt "
            "apparmor=unconfined, and with --cap-add SYS_ADMIN if you are root in it"
        )
    return "; ".join(commands) or (
        "ask for user namespaces to be permitted (docker and podman: --security-opt "
        "seccomp=unconfined --security-opt apparmor=unconfined, and as root --cap-add SYS_ADMIN)"
    )


def _refusal(problem: str, remedy: str, way_out: str) -> str:
    return (
        f"generated programs run isolated only, and {problem}; {remedy}, or give up isolation with "
        f"the task option sandbox={way_out} on a machine that you can lose."
    )


def _version(program: str) -> tuple[int, ...]:
    text = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10).stdout
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])
