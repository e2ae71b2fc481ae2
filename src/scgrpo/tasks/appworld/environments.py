"""AppWorld as an environment: code in fenced blocks, and a tool that executes code."""

import logging
import re
import subprocess
import threading
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from scgrpo.tasks.appworld.jail import Grounds
from scgrpo.tasks.appworld.process import LONGEST_ANSWER, Worker, WorkerError
from scgrpo.tasks.appworld.worker import shorten
from scgrpo.tasks.episodes import Step

START_SECONDS = 300.0
"""Until a new process has begun its task."""
GRACE_SECONDS = 60.0
"""Beyond the limit that AppWorld itself keeps, until a process counts as hung."""
BYTES_PER_CHARACTER = 12
"""Of an output, in JSON, at most."""
LONGEST_CUT = 64
"""Characters that tell of those left out."""
NO_CODE = "There is no code in what you wrote. Write one block that begins with ```python."
OVER = "The episode is over."
HOW_TO_ACT = (
    "Write one block of code a turn, fenced by ```python and ```. You are shown what it prints."
)
_BLOCK = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL)
_log = logging.getLogger(__name__)


class Judge:
    """A process that evaluates what episodes left, one after the other.

    It keeps the same root throughout, since AppWorld remembers where it found a task's data; the
    outputs of the episode in question are linked into it.
    """

    def __init__(self, grounds: Grounds) -> None:
        self._grounds = grounds
        self._folder: Path | None = None
        self._worker: Worker | None = None
        self._lock = threading.Lock()

    def succeeded(self, outputs: Path, task_id: str) -> bool:
        """Whether the state in a folder of outputs passes all tests of its task.

        Raises:
            WorkerError: if it could not be judged.
        """
        with self._lock:
            if self._folder is None or self._worker is None or not self._worker.alive:
                self._folder = self._folder or self._grounds.new_folder()
                self._worker = self._grounds.start_judge(self._folder)
            link = self._folder / "own" / "outputs" / outputs.name
            link.symlink_to(outputs)
            asked: dict[str, Any] = {"task_id": task_id, "experiment": outputs.name}
            try:
                return bool(self._worker.ask("evaluate", START_SECONDS, **asked)["success"])
            except WorkerError:
                self._worker.end()  # what it holds open would stand in the way of the next one
                raise
            finally:
                link.unlink()


@dataclass
class Worlds:
    """What the episodes of a task share: limits, failures, and one process that judges."""

    grounds: Grounds
    options: Mapping[str, Any]
    """Keyword arguments of `appworld.AppWorld`."""
    seconds: float
    """Time limit of one execution, which AppWorld keeps."""
    max_turns: int
    max_output: int
    """Characters of an execution's output that the model is shown."""
    failures: Counter[str] = field(default_factory=Counter)
    judge: Judge | None = None
    """The process that judges; made from `grounds` where none is given."""

    def __post_init__(self) -> None:
        self.judge = self.judge or Judge(self.grounds)

    def succeeded(self, outputs: Path, task_id: str) -> bool:
        """Whether the state that an episode left passes all tests of its task.

        Raises:
            WorkerError: if it could not be judged.
        """
        assert self.judge is not None
        return self.judge.succeeded(outputs, task_id)

    def with_options(self, options: Mapping[str, Any]) -> "Worlds":
        """The same worlds with further options."""
        return replace(self, options={**self.options, **options})

    def fail(self, error: WorkerError, task_id: str) -> None:
        """Count and log a failure that costs an episode its reward."""
        self.failures[error.kind] += 1
        _log.warning("AppWorld task %s gets reward 0: %s: %s", task_id, error.kind, error)


class World:
    """One episode: a process of its own, and a folder of its own, both gone afterwards."""

    def __init__(self, worlds: Worlds) -> None:
        self.worlds = worlds
        self.turns = 0
        self.reward = 0.0
        self.done = False
        self._folder = worlds.grounds.new_folder()
        self._player = worlds.grounds.start_player(self._folder)
        self._experiment = f"scgrpo-{uuid.uuid4().hex}"
        self._task_id = ""

    def open(self, row: Mapping[str, Any]) -> str:
        """Begin a task.

        Returns:
            What the model may use.
        """
        self._task_id = str(row["task_id"])
        try:
            answer = self._player.ask(
                "open",
                START_SECONDS,
                task_id=self._task_id,
                experiment=self._experiment,
                options=dict(self.worlds.options),
            )
        except WorkerError as error:
            self._fail(error)
            return OVER
        apps = "\n".join(f"- {name}: {text}" for name, text in answer["apps"].items())
        return f"Apps:\n{apps}"

    def execute(self, code: str) -> str:
        """Run code; ends the episode where that completed the task, or was the last turn."""
        if self.done:
            return OVER
        output, completed = NO_CODE, False
        if code.strip():
            limit, most = self.worlds.seconds + GRACE_SECONDS, self.worlds.max_output
            longest = BYTES_PER_CHARACTER * most + LONGEST_ANSWER
            try:
                answer = self._player.ask("execute", limit, longest=longest, code=code, most=most)
            except WorkerError as error:
                self._fail(error)
                return OVER
            # An honest process has shortened it already.
            output = _readable(shorten(answer["output"], most + LONGEST_CUT))
            completed = answer["completed"]
        self.turns += 1
        if completed or self.turns >= self.worlds.max_turns:
            self.judge()
        return output

    def judge(self) -> float:
        """End the episode; its reward, 1 where the task's goal is reached."""
        if not self.done:
            self.done = True
            self._player.end()
            try:
                self.reward = float(self.worlds.succeeded(self._outputs, self._task_id))
            except WorkerError as error:
                self.worlds.fail(error, self._task_id)
        return self.reward

    def close(self) -> None:
        """End the process and remove the folder."""
        self.done = True
        self._player.end()
        # A tree of thousands of levels is too deep for shutil.rmtree.
        subprocess.run(["rm", "-rf", "--", str(self._folder)], check=False, capture_output=True)

    @property
    def _outputs(self) -> Path:
        return self._folder / "own" / "outputs" / self._experiment

    def _fail(self, error: WorkerError) -> None:
        self.done = True
        self._player.end()
        self.worlds.fail(error, self._task_id)


class AppWorldText:
    """An episode in plain text: the model writes a fenced block of code a turn."""

    def __init__(self, worlds: Worlds) -> None:
        self._worlds = worlds
        self._world: World | None = None

    def reset(self, row: Mapping[str, Any]) -> str:
        """Begin the task of a row.

        Raises:
            ValueError: for a row without a task.
        """
        self.close()
        _require_task(row)
        self._world = World(self._worlds)
        return f"{self._world.open(row)}\n\n{HOW_TO_ACT}"

    def step(self, action: str) -> Step:
        """Execute the first block of code."""
        assert self._world is not None, "reset comes first"
        output = self._world.execute(find_code(action))
        return Step(output, self._world.reward, self._world.done)

    def close(self) -> None:
        """End the episode's process and remove its folder."""
        if self._world is not None:
            self._world.close()
            self._world = None


class AppWorldTools:
    """An episode with the tool `execute`, as TRL's `environment_factory` makes it."""

    def __init__(self, worlds: Worlds) -> None:
        self._worlds = worlds
        self._world: World | None = None
        self._score: float | None = None
        # A process takes seconds to start, so the next episode's starts before it is needed.
        self._next: World | None = World(worlds)

    def reset(self, **row: Any) -> str:
        """Begin the task of a row.

        Returns:
            The apps that there are, for the end of the last user message.

        Raises:
            ValueError: for a row without a task.
        """
        _require_task(row)
        if self._world is not None:
            self._world.close()
        self._world, self._next = self._next or World(self._worlds), None
        self._score = None
        return self._world.open(row)

    def execute(self, code: str) -> str:
        """
        Execute Python code in the environment where the apps' APIs are. Variables are kept.

        Args:
            code: Python code. Only what it prints is shown.

        Returns:
            What the code printed, or the error that it raised.
        """
        assert self._world is not None, "reset comes first"
        return self._world.execute(str(code))

    def get_reward(self) -> float:
        """Reward of the episode, which this ends: 1 where the task's goal is reached."""
        if self._world is not None and self._score is None:
            self._score = self._world.judge()
            self._world.close()
            self._next = World(self._worlds)
        return self._score or 0.0


def find_code(text: str) -> str:
    """The first fenced block of code outside of thoughts; empty where there is none.

    A block that the end of the text cuts off counts, as a turn may end in it.
    """
    _, end, answer = text.rpartition("</think>")
    if not end and "<think>" in answer:
        return ""
    found = _BLOCK.search(answer)
    return found.group(1) if found else ""


def _readable(text: str) -> str:
    """A text that can be encoded: halves of surrogate pairs, which no tokenizer takes, are `?`."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _require_task(row: Mapping[str, Any]) -> None:
    if not isinstance(row.get("task_id"), str):
        raise ValueError(
            f"the row's task_id is {row.get('task_id')!r}; take the rows of the appworld task."
        )
