"""The AppWorld task: its options, rows and environments, and its two measures."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from scgrpo.tasks.appworld.environments import AppWorldText, AppWorldTools, World, Worlds
from scgrpo.tasks.appworld.installation import SANDBOXES, find_installation
from scgrpo.tasks.appworld.jail import Grounds
from scgrpo.tasks.base import (
    DataState,
    Disagreement,
    Task,
    Validation,
    check_split,
    read_options,
)
from scgrpo.tasks.episodes import EpisodeTask, TextEnvironment

if TYPE_CHECKING:
    from datasets import Dataset

SYSTEM = (
    "You act for a person, the supervisor, by writing Python code that calls the APIs of the "
    "person's apps, as apis.APP.API(...). Look up what there is before you use it: "
    "apis.api_docs.show_app_descriptions(), apis.api_docs.show_api_descriptions(app_name=...) and "
    "apis.api_docs.show_api_doc(app_name=..., api_name=...). The person's passwords and addresses "
    "come from apis.supervisor. Variables are kept from turn to turn; only what you print is "
    "shown. Finish with apis.supervisor.complete_task(), with answer=... if the task asks for "
    "one. You have {turns} turns and no one to ask."
)
USER = (
    "My name is {first_name} {last_name}, my email is {email}, my phone number is {phone_number}, "
    "and it is {datetime}.\n\nTask: {instruction}\n\n"
)


@dataclass(frozen=True)
class AppWorldOptions:
    """The dials of AppWorld."""

    root: str | None = None
    """Folder that holds AppWorld's `data`; by default APPWORLD_ROOT, or the working directory."""
    python: str | None = None
    """Interpreter that has the package appworld; by default the one that runs scgrpo."""
    sandbox: str = "bubblewrap"
    """`bubblewrap`, or `process`: only what AppWorld itself forbids the model's code."""
    max_turns: int = 40
    """Turns of the model after which an episode ends."""
    seconds: int = 100
    """Time limit of one execution."""
    max_output: int = 20_000
    """Characters of an execution's output that the model is shown."""
    memory: int = 4096
    """Most memory of one world, in MiB of address space."""
    disk: int = 512
    """Most that an episode writes to disk, in MiB."""
    difficulty: int | None = None
    """Only tasks of this difficulty, 1 to 3."""
    world: Mapping[str, Any] = field(default_factory=dict)
    """Further keyword arguments of `appworld.AppWorld`, such as random_seed."""

    def __post_init__(self) -> None:
        if self.sandbox not in SANDBOXES:
            raise ValueError(f"sandbox is {self.sandbox!r}; choose {' or '.join(SANDBOXES)}.")
        for name in ("max_turns", "seconds", "max_output", "memory", "disk"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1.")


@dataclass(frozen=True)
class GoalCompletion:
    """AppWorld's measures, in [0, 1]."""

    tasks: float
    """Task goal completion (TGC): share of episodes that reached their task's goal."""
    scenarios: float
    """Scenario goal completion (SGC): share of scenarios all of whose tasks were reached."""


class AppWorldTask(Task, EpisodeTask):
    """Act in a person's apps by code, until the task's goal is reached."""

    name = "appworld"
    family = "agent"
    guide = "agent"
    evaluation_splits = ("test_normal", "test_challenge", "dev")

    def __init__(self, **options: Any) -> None:
        self.options = read_options(AppWorldOptions, self.name, options)
        self.max_turns = self.options.max_turns
        self.installation = find_installation(self.options.python, self.options.root)
        self._failures: Counter[str] = Counter()
        self._worlds: Worlds | None = None

    @property
    def trainer_defaults(self) -> Mapping[str, Any]:
        """SCGRPOConfig fields that suit episodes of code turns."""
        return {
            "num_generations": 8,
            "max_completion_length": 12_288,
            "max_tool_calling_iterations": self.max_turns,
        }

    @property
    def environment(self) -> Callable[[], AppWorldTools]:
        """Makes an environment with the tool `execute`.

        Raises:
            ValueError: with the commands that install what is missing.
        """
        return partial(AppWorldTools, self._open_worlds())

    @property
    def text_environment(self) -> Callable[[], TextEnvironment]:
        """Makes an environment in which the model writes fenced blocks of code.

        Raises:
            ValueError: with the commands that install what is missing.
        """
        return partial(AppWorldText, self._open_worlds())

    @property
    def failures(self) -> Counter[str]:
        """How many episodes got reward 0 since their world died, hung or failed."""
        return self._failures

    def rows(self, split: str) -> "Dataset":
        """Tasks of an official split; needs the data, but not the package.

        Returns:
            Columns `prompt`, `problem_id`, `task_id`, `scenario` and `instruction`.

        Raises:
            ValueError: for an unknown split, or data that is missing.
        """
        from datasets import Dataset

        check_split(self, split)
        ids = self.installation.task_ids(split)
        if self.options.difficulty is not None:
            wanted = self.options.difficulty
            ids = [i for i in ids if self.installation.difficulty(i) == wanted]
        if not ids:
            raise ValueError(
                f"split {split!r} has no tasks of difficulty {self.options.difficulty}; choose 1 "
                "to 3, or leave difficulty unset."
            )
        return Dataset.from_list([self._row(task_id) for task_id in ids])

    def verify(self, completions: list[Any], **columns: Any) -> list[float]:
        """Rewards of the environments in which the episodes were played.

        Raises:
            ValueError: without environments: what AppWorld's apps hold is not in a transcript.
        """
        environments = columns.get("environments")
        if not environments:
            raise ValueError(
                "an AppWorld episode is scored by the environment in which it was played; train "
                "with the task's environment, and evaluate with its text_environment."
            )
        return [environment.get_reward() for environment in environments]

    def validate(self, split: str | None = None, limit: int | None = None) -> Validation:
        """Play the official solutions, and two episodes that solve nothing.

        Args:
            split: `train` (the default) or `dev`; the other splits have no solutions.
            limit: only the first so many tasks.

        Raises:
            ValueError: for a split without solutions, or what is not installed.
        """
        rows = self.rows(split or "train")
        rows = rows.select(range(min(limit or len(rows), len(rows))))
        # As AppWorld's own check runs them: some solutions try what may fail.
        gold = self._open_worlds({"raise_on_failure": False})
        plain = self._open_worlds()
        tried: list[tuple[str, str, float, float]] = []
        for row in rows:
            task_id = row["task_id"]
            solution = self.installation.solution(task_id)
            if solution is None:
                raise ValueError(
                    f"task {task_id} comes without a solution; validate on train or dev."
                )
            for what, code, expected, worlds in (
                ("the official solution", f"{solution}\nsolution(apis, requester)", 1.0, gold),
                ("nothing done", "print(1)", 0.0, plain),
                ("only marked as complete", "apis.supervisor.complete_task()", 0.0, plain),
            ):
                tried.append((task_id, what, expected, _play(worlds, row, code)))
        wrong = tuple(Disagreement(*case) for case in tried if case[2] != case[3])
        return Validation(len(rows), len(rows), 2 * len(rows), wrong)

    def data_state(self, split: str) -> DataState:
        """Whether package and data are there."""
        check_split(self, split)
        missing = self.installation.missing()
        if missing is not None:
            return DataState("missing", missing)
        return DataState("present", str(self.installation.data))

    def goal_completion(self, records: Iterable[Mapping[str, Any]]) -> GoalCompletion:
        """AppWorld's two measures of evaluation records.

        Args:
            records: with `problem_id`, `sample` and `reward`; of several samples each counts as a
                run of the benchmark, and the measures are means over them.
        """
        return goal_completion(records)

    def _open_worlds(self, options: Mapping[str, Any] | None = None) -> Worlds:
        if self._worlds is None:
            missing = self.installation.missing()
            if missing is not None:
                raise ValueError(missing)
            self._worlds = self._new_worlds()
        return self._worlds if options is None else self._worlds.with_options(options)

    def _new_worlds(self) -> Worlds:
        options = self.options
        return Worlds(
            Grounds(self.installation, options.sandbox, options.memory, options.disk),
            {"timeout_seconds": options.seconds, **options.world},
            options.seconds,
            options.max_turns,
            options.max_output,
            self._failures,
        )

    def _row(self, task_id: str) -> dict[str, Any]:
        said = self.installation.specification(task_id)
        person = said.get("supervisor") or said.get("main_user") or {}
        user = USER.format(
            **{k: person.get(k, "") for k in ("first_name", "last_name", "email", "phone_number")},
            datetime=said.get("datetime", ""),
            instruction=said["instruction"],
        )
        return {
            "prompt": [
                {"role": "system", "content": SYSTEM.format(turns=self.max_turns)},
                {"role": "user", "content": user},
            ],
            "problem_id": task_id,
            "task_id": task_id,
            "scenario": scenario_of(task_id),
            "instruction": said["instruction"],
        }


def goal_completion(records: Iterable[Mapping[str, Any]]) -> GoalCompletion:
    """Task and scenario goal completion, means over the samples.

    Raises:
        ValueError: without records.
    """
    runs: dict[int, dict[str, list[bool]]] = {}
    for record in records:
        scenarios = runs.setdefault(int(record.get("sample", 0)), {})
        reached = record["reward"] == 1
        scenarios.setdefault(scenario_of(str(record["problem_id"])), []).append(reached)
    if not runs:
        raise ValueError("there are no records; evaluate first.")
    by_task = [reached for run in runs.values() for all_ in run.values() for reached in all_]
    by_scenario = [_mean([all(all_) for all_ in run.values()]) for run in runs.values()]
    return GoalCompletion(_mean(by_task), _mean(by_scenario))


def scenario_of(task_id: str) -> str:
    """The scenario of a task: `82e2fac` of `82e2fac_1`."""
    return task_id.partition("_")[0]


def _play(worlds: Worlds, row: Mapping[str, Any], code: str) -> float:
    world = World(worlds)
    try:
        world.open(row)
        world.execute(code)
        return world.judge()
    finally:
        world.close()


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
