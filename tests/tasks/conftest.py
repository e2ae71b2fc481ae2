"""Sandboxes for the tests: two pools with small caps, one of them without seccomp."""

import compileall
from collections.abc import Iterator
from pathlib import Path

import pytest

from scgrpo.tasks.sandbox import Limits, NoIsolation, SandboxPool
from scgrpo.tasks.sandbox.backends import BubblewrapBackend
from scgrpo.tasks.sandbox.bubblewrap import INSIDE
from scgrpo.tasks.sandbox.probe import find_isolation

SMALL = Limits(
    memory_mb=200, cpu_seconds=2, wall_seconds=60, processes=8, output_mb=1, scratch_mb=4
)
"""Much more time on the clock than processor time, since the machine of a test may be busy."""


def make_pool(*, seccomp: bool = True, limits: Limits = SMALL, warm: int = 1) -> SandboxPool:
    try:
        isolation = find_isolation()
    except NoIsolation as error:
        pytest.skip(str(error))
    compileall.compile_dir(INSIDE, quiet=2)  # as `choose_backend` does
    return SandboxPool(BubblewrapBackend(isolation, seccomp=seccomp), limits, warm=warm)


@pytest.fixture(scope="session")
def filtered() -> Iterator[SandboxPool]:
    """With seccomp, as users have it."""
    pytest.importorskip("pyseccomp", exc_type=Exception)
    pool = make_pool()
    yield pool
    pool.close()


@pytest.fixture(scope="session")
def unfiltered() -> Iterator[SandboxPool]:
    """Without seccomp: what namespaces and rlimits alone hold."""
    pool = make_pool(seccomp=False)
    yield pool
    pool.close()


@pytest.fixture(params=["filtered", "unfiltered"])
def pool(request: pytest.FixtureRequest) -> SandboxPool:
    """Both in turn."""
    found: SandboxPool = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def fresh() -> Iterator[None]:
    """Nothing is remembered of this machine, before and after."""
    find_isolation.cache_clear()
    yield
    find_isolation.cache_clear()


COMPLAINT = "bwrap: No permissions to create new namespace"
NOT_PERMITTED = (
    f'[ "$1" = --version ] && echo bubblewrap 0.11.0 || {{ echo "{COMPLAINT}" >&2; exit 1; }}'
)
"""A `bwrap` as it is where the kernel forbids it."""


def fake_bwrap(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = folder / "bwrap"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
