"""Where AppWorld and its data are, and how to get them where they are not."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from scgrpo.extras import install

COMMANDS = f"{install('appworld')} && appworld install && appworld download data"
SANDBOXES = ("bubblewrap", "process")

# Run under the interpreter in question: where the package is, and what Python needs.
_PROBE = """
import importlib.util, json, os, sys, sysconfig
spec = importlib.util.find_spec("appworld")
folder = os.path.dirname(spec.origin) if spec and spec.origin else None
paths = [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), *sys.path, folder]
paths.append(os.path.join(sys.prefix, "pyvenv.cfg"))
paths.append(os.path.join(*(sysconfig.get_config_var(v) or "" for v in ("LIBDIR", "INSTSONAME"))))
program = sys.executable
while True:
    paths.append(os.path.dirname(program))
    if not os.path.islink(program):
        break
    program = os.path.normpath(os.path.join(os.path.dirname(program), os.readlink(program)))
print(json.dumps({
    "folder": folder,
    "apps": bool(folder) and os.path.isdir(os.path.join(folder, "apps", "supervisor")),
    "paths": [os.path.abspath(path) for path in paths if path and os.path.exists(path)],
}))
"""


@dataclass(frozen=True)
class Installation:
    """An interpreter that has AppWorld, and the data."""

    python: str
    root: Path
    """Folder that holds `data`, as AppWorld's APPWORLD_ROOT does."""

    @property
    def data(self) -> Path:
        """The downloaded data."""
        return (self.root / "data").resolve()

    def missing(self) -> str | None:
        """What is missing and how to get it; None where all is there."""
        if not (self.data / "tasks").is_dir() or not (self.data / "datasets").is_dir():
            return (
                f"AppWorld's data is not in {self.data}; run `{COMMANDS}` in {self.root}, or set "
                "root to the folder in which you ran it."
            )
        try:
            found = probe(self.python)
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            return f"python is {self.python!r}, which does not run ({error}); give an interpreter."
        if found["folder"] is None:
            return (
                f"the interpreter {self.python} has no package appworld; run `{COMMANDS}`, or, "
                "where its versions do not suit, the same with `pip install appworld` in an "
                "environment of its own, and set python to that environment's interpreter."
            )
        if not found["apps"]:
            return f"AppWorld's apps are not unpacked in {found['folder']}; run `appworld install`."
        return None

    def task_ids(self, split: str) -> list[str]:
        """Tasks of an official split, in its order.

        Raises:
            ValueError: if the data has no such split.
        """
        path = self.data / "datasets" / f"{split}.txt"
        if not path.is_file():
            raise ValueError(
                f"{path} does not exist; run `{COMMANDS}` in {self.root}, or set root to the "
                "folder in which you ran it."
            )
        lines = path.read_text(encoding="utf-8").splitlines()
        return [line.partition(":")[0].strip() for line in lines if line.strip()]

    def specification(self, task_id: str) -> dict[str, Any]:
        """What a task says: instruction, supervisor, date.

        Raises:
            ValueError: if the data has no such task.
        """
        path = self.data / "tasks" / task_id / "specs.json"
        try:
            content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ValueError(
                f"{path} cannot be read ({error}); download the data again: `appworld download "
                "data`."
            ) from error
        return content

    def difficulty(self, task_id: str) -> int | None:
        """Difficulty of a task, 1 to 3; None where the data does not say it."""
        path = self.data / "tasks" / task_id / "ground_truth" / "metadata.json"
        if not path.is_file():
            return None
        difficulty: int | None = json.loads(path.read_text(encoding="utf-8")).get("difficulty")
        return difficulty

    def solution(self, task_id: str) -> str | None:
        """The official solution's code; only the splits train and dev have it."""
        path = self.data / "tasks" / task_id / "ground_truth" / "compiled_solution.py"
        return path.read_text(encoding="utf-8") if path.is_file() else None

    def truths(self) -> Iterator[Path]:
        """The folders that hold the tasks' answers and tests."""
        for folder in sorted((self.data / "tasks").iterdir()):
            if (folder / "ground_truth").is_dir():
                yield folder / "ground_truth"


def find_installation(python: str | None, root: str | None) -> Installation:
    """The interpreter and the data that the options mean.

    Args:
        python: interpreter; the running one by default.
        root: folder that holds `data`; by default APPWORLD_ROOT, or the working directory.
    """
    folder = root or os.environ.get("APPWORLD_ROOT") or os.getcwd()
    # Not resolved: the interpreter of a virtual environment is known by its own path.
    interpreter = os.path.expanduser(python or sys.executable)
    return Installation(interpreter, Path(folder).expanduser().resolve())


@lru_cache(maxsize=8)
def probe(python: str) -> dict[str, Any]:
    """What an interpreter says of AppWorld and of itself; imports nothing of it.

    Raises:
        OSError, subprocess.SubprocessError, ValueError: if it does not run.
    """
    done = subprocess.run(
        [python, "-c", _PROBE], capture_output=True, text=True, check=True, timeout=60
    )
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer
