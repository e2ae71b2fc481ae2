"""Filters of system calls: what Python programs never need, compiled by libseccomp."""

import errno
import functools
import tempfile
from dataclasses import dataclass
from typing import Any

CLONE_THREAD = 0x00010000
AF_UNIX = 1
NEW_NAMESPACES = {
    "mount": 0x00020000,
    "cgroup": 0x02000000,
    "uts": 0x04000000,
    "ipc": 0x08000000,
    "user": 0x10000000,
    "pid": 0x20000000,
    "net": 0x40000000,
}
TERMINAL_INPUT = (0x5412, 0x541C)
"""The ioctls TIOCSTI and TIOCLINUX, which type into a terminal."""

DENIED = (
    # other namespaces and mounts
    *("unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "open_tree", "move_mount"),
    *("fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "name_to_handle_at"),
    "open_by_handle_at",
    # other processes
    *("ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp", "process_madvise"),
    # memory that no cap of ours counts
    *("memfd_create", "memfd_secret", "shmget", "shmat", "msgget", "semget", "mq_open"),
    # corners of the kernel with a record of holes
    *("bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter"),
    *("io_uring_register", "keyctl", "add_key", "request_key", "fanotify_init", "personality"),
    *("modify_ldt", "vmsplice", "move_pages", "migrate_pages", "mbind", "set_mempolicy"),
    # the machine itself
    *("kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "reboot"),
    *("swapon", "swapoff", "acct", "quotactl", "syslog", "settimeofday", "clock_settime"),
    *("adjtimex", "clock_adjtime", "sethostname", "setdomainname", "iopl", "ioperm", "vhangup"),
)
DENIED_TO_PROGRAMS = ("fork", "vfork", "execve", "execveat")


@dataclass(frozen=True)
class Filters:
    """Compiled filters, in the kernel's form."""

    sandbox: bytes
    """For every process of the sandbox."""
    program: bytes
    """For the program's process on top: one process, so that the memory cap is its total."""

    @property
    def both(self) -> list[str]:
        """Both in hexadecimal, as `inside.guard` installs them in one process."""
        return [self.sandbox.hex(), self.program.hex()]


@functools.cache
def build_filters() -> Filters | None:
    """The filters for this machine; None where libseccomp or its binding is missing."""
    try:
        import pyseccomp
    except (ImportError, OSError, RuntimeError):
        return None
    return Filters(_sandbox_filter(pyseccomp), _program_filter(pyseccomp))


def _sandbox_filter(seccomp: Any) -> bytes:
    deny = seccomp.ERRNO(errno.EPERM)
    rules = seccomp.SyscallFilter(seccomp.ALLOW)
    for name in DENIED:
        _add(rules, deny, name)
    # clone3 hides its flags behind a pointer; glibc falls back to clone where there is none.
    _add(rules, seccomp.ERRNO(errno.ENOSYS), "clone3")
    for flag in NEW_NAMESPACES.values():
        _add(rules, deny, "clone", seccomp.Arg(0, seccomp.MASKED_EQ, flag, flag))
    _add(rules, deny, "socket", seccomp.Arg(0, seccomp.NE, AF_UNIX))
    for request in TERMINAL_INPUT:
        _add(rules, deny, "ioctl", seccomp.Arg(1, seccomp.MASKED_EQ, 0xFFFFFFFF, request))
    return _compile(rules)


def _program_filter(seccomp: Any) -> bytes:
    deny = seccomp.ERRNO(errno.EPERM)
    rules = seccomp.SyscallFilter(seccomp.ALLOW)
    for name in DENIED_TO_PROGRAMS:
        _add(rules, deny, name)
    _add(rules, deny, "clone", seccomp.Arg(0, seccomp.MASKED_EQ, CLONE_THREAD, 0))
    return _compile(rules)


def _add(rules: Any, action: Any, name: str, *arguments: Any) -> None:
    try:
        rules.add_rule(action, name, *arguments)
    except OSError:
        return  # a call that this machine's libseccomp or architecture does not know


def _compile(rules: Any) -> bytes:
    with tempfile.TemporaryFile() as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()
