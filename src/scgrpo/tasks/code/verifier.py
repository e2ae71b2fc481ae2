"""Rewards of programs, several at a time, on sandboxes that are kept in store."""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

from scgrpo.tasks.base import FAILURES_METRIC
from scgrpo.tasks.code.judge import Problem, Verdict, judge
from scgrpo.tasks.cores import share_of_cores
from scgrpo.tasks.sandbox import Limits, SandboxError, SandboxPool, choose_backend

logger = logging.getLogger(__name__)

Reward = Literal["all", "share"]
SECONDS = 120.0
"""For all tests of a program: much more than right ones need, and less than ones that hang take."""
NO_PROGRAM = Verdict((), 1, "no program")


class ProgramVerifier:
    """Judges programs in parallel and turns verdicts into rewards.

    The threads only wait and compare: the work is done in the sandboxes, which end what hangs. A
    failure of the verifier itself is a reward of 0, counted in `failures` and logged once a batch:

    - `sandbox`: no sandbox could be started
    - `error`: the problem's tests could not be read, or its own test code fails

    Args:
        name: of the task, for the log.
        sandbox: `bubblewrap`, or `subprocess` for no isolation.
        limits: caps of each program.
        packages: installed packages that programs may import.
        workers: programs judged at a time; by default this process's share of the cores.
        seconds: time on the clock for all tests of a program.
    """

    def __init__(
        self,
        name: str,
        sandbox: str = "bubblewrap",
        limits: Limits | None = None,
        packages: tuple[str, ...] = (),
        workers: int | None = None,
        seconds: float = SECONDS,
    ) -> None:
        if workers is not None and workers < 1:
            raise ValueError(f"workers is {workers}; the {name} task needs at least 1.")
        self.name, self.sandbox, self.packages = name, sandbox, packages
        self.limits, self.seconds = limits or Limits(), seconds
        self.workers = workers or share_of_cores()
        self.failures: Counter[str] = Counter()
        self._pool: SandboxPool | None = None
        self._lock = threading.Lock()

    def prepare(self) -> None:
        """Start the store of sandboxes, if that was not done.

        Raises:
            NoIsolation: where programs cannot be isolated, with the cure.
        """
        with self._lock:
            if self._pool is None or not self._pool.is_mine:
                backend = choose_backend(self.sandbox)
                self._pool = SandboxPool(backend, self.limits, self.packages, warm=self.workers + 1)

    def rewards(
        self,
        items: Sequence[tuple[Callable[[], Problem], str | None]],
        reward: Reward,
        log_metric: Callable[[str, float], None] | None = None,
    ) -> list[float]:
        """Rewards of a batch, in its order.

        Args:
            items: what makes each problem, and the program; None is rewarded with 0.
            reward: `all` gives 1 if every test passes; `share` gives the share that does.
            log_metric: TRL's; gets the share of failures.
        """
        verdicts, failed = self.verdicts(items, stop_early=reward == "all")
        if log_metric is not None and items:
            log_metric(FAILURES_METRIC, len(failed) / len(items))
        return [v.share if reward == "share" else float(v.solved) for v in verdicts]

    def verdicts(
        self,
        items: Sequence[tuple[Callable[[], Problem], str | None]],
        *,
        stop_early: bool = True,
    ) -> tuple[list[Verdict], list[str]]:
        """Verdicts of a batch, and what failed in the verifier itself."""
        self.prepare()
        failed: list[str] = []

        def one(item: tuple[Callable[[], Problem], str | None]) -> Verdict:
            make, source = item
            if source is None:
                return NO_PROGRAM
            assert self._pool is not None
            try:
                problem = make()
                return judge(
                    self._pool, problem, source, stop_early=stop_early, seconds=self.seconds
                )
            except Exception as error:  # whatever fails here must cost its item, not the run
                kind = "sandbox" if isinstance(error, SandboxError) else "error"
                self.failures[kind] += 1
                failed.append(f"{type(error).__name__}: {error}")
                return Verdict((), 1, failed[-1])

        with ThreadPoolExecutor(self.workers, "judge") as threads:
            verdicts = list(threads.map(one, items))
        if failed:
            logger.warning(
                "%s: %d of %d programs got reward 0 because the verifier failed; the first: %s",
                self.name, len(failed), len(items), failed[0],
            )  # fmt: skip
        return verdicts, failed

    def close(self) -> None:
        """End the sandboxes in store; a later batch starts new ones."""
        with self._lock:
            if self._pool is not None:
                self._pool.close()
            self._pool = None
