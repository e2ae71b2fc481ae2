"""Whether programs can be isolated on this machine, and what to do where they cannot."""

import functools
import logging
import os
import re
import shutil
import subprocess
from pathlib import Path

from scgrpo.tasks.code.sandbox.backends import Backend, BubblewrapBackend, SubprocessBackend
from scgrpo.tasks.code.sandbox.bubblewrap import Bubblewrap
from scgrpo.tasks.code.sandbox.limits import Limits
from scgrpo.tasks.code.sandbox.process import Sandbox, SandboxError

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
        return BubblewrapBackend(find_isolation())
    logger.warning(
        "sandbox=subprocess: generated programs run WITHOUT isolation, and read and write "
        "whatever this user may; use it only on a machine that you can lose."
    )
    return SubprocessBackend()


@functools.cache
def find_isolation() -> Bubblewrap:
    """How bubblewrap works here, found out by starting a sandbox.

    Raises:
        NoIsolation: where it is missing, too old or not permitted, with the command that helps.
    """
    program = shutil.which("bwrap")
    if program is None:
        raise NoIsolation(_refusal("bubblewrap is not installed", INSTALL))
    version = _version(program)
    if version < OLDEST:
        found = ".".join(map(str, version))
        raise NoIsolation(
            _refusal(f"bubblewrap is {found}, which cannot cap /tmp", "install 0.7 or later")
        )
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
    raise NoIsolation(_refusal(complaint, cure()))


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


def _refusal(problem: str, remedy: str) -> str:
    return (
        f"generated programs run isolated only, and {problem}; {remedy}, or give up isolation with "
        "the task option sandbox=subprocess on a machine that you can lose."
    )


def _version(program: str) -> tuple[int, ...]:
    text = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10).stdout
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])
