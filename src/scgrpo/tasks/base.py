"""What a task is: rows, a verifier or an environment, and a proof that it can be trusted."""

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, get_type_hints, runtime_checkable

from scgrpo.mistakes import nearest, shown
from scgrpo.written.plain import plain_keys
from scgrpo.written.values import Misfit, coerce

if TYPE_CHECKING:
    from datasets import Dataset

Options = TypeVar("Options")
FAILURES_METRIC = "reward/verifier_failures"
"""Share of the items of a batch for which the verifier itself failed."""


@dataclass(frozen=True)
class DataState:
    """Whether the rows of a split can be had."""

    state: Literal["present", "downloadable", "missing"]
    """`present` here; `downloadable`: the hub is asked when rows are wanted (it was not asked now);
    `missing`: not to be had without what `detail` says."""
    detail: str
    """Where the rows are, or how to get them."""


@dataclass(frozen=True)
class Disagreement:
    """An answer that the verifier did not score as it should have."""

    problem_id: str
    answer: str
    """What was verified: a written form of the gold answer, or a damaged one."""
    expected: float
    reward: float


@dataclass(frozen=True)
class Validation:
    """What a verifier said of answers that are known to be right or wrong."""

    rows: int
    gold: int
    """Right answers that were verified, all written forms of all rows together."""
    damaged: int
    """Wrong answers that were verified."""
    disagreements: tuple[Disagreement, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether something was verified, and nothing wrongly."""
        return self.gold > 0 and self.damaged > 0 and not self.disagreements


@runtime_checkable
class Task(Protocol):
    """A family of problems with a verifier or an environment.

    A package adds a task by an entry point of the group `scgrpo.tasks` that names its class; the
    task's options are the keyword arguments of the class. A class that inherits from this one need
    only have `name`, `guide`, `rows`, `verify` and `validate`.
    """

    name: str
    guide: str
    """Guide of the teacher: a name of `scgrpo.teachers.guides.GUIDES`, or a text."""
    family: str = "other"
    """Kind of task, such as math, code or agent."""
    training_split: str | None = "train"
    """Split that is trained on; None for a benchmark that is only evaluated on."""
    evaluation_splits: tuple[str, ...] = ("test",)
    """Splits that are evaluated on; `scgrpo evaluate` takes the first by default."""

    environment_scores: bool = True
    """Whether the environment's `get_reward` scores an episode; else `verify` scores what was said
    and done in it, as where the answer is the text of the last turn."""

    @property
    def splits(self) -> tuple[str, ...]:
        """All splits that `rows` knows."""
        first = () if self.training_split is None else (self.training_split,)
        return tuple(dict.fromkeys((*first, *self.evaluation_splits)))

    @property
    def trainer_defaults(self) -> Mapping[str, Any]:
        """SCGRPOConfig fields that suit this task, such as the length of a completion."""
        return {}

    @property
    def environment(self) -> Callable[[], Any] | None:
        """For agent tasks: makes one environment, TRL's `environment_factory`.

        An environment has `reset(**row)`, which may return an observation that is put behind the
        last user message, `get_reward() -> float` in [0, 1], which scores its episode in place of
        `verify` (not with `environment_scores = False`), and public methods with type hints and
        docstrings, which are the tools.
        """
        return None

    @property
    def failures(self) -> Counter[str]:
        """How often the verifier itself failed so far, by kind; each of these got reward 0."""
        return Counter()

    def rows(self, split: str) -> "Dataset":
        """Problems of a split, the same ones in the same order for the same options.

        Returns:
            Columns `prompt` (chat messages), `problem_id` (unique in the split), and what the
            verifier needs, such as `answer`.

        Raises:
            ValueError: for an unknown split, or data that cannot be had.
        """
        ...

    def verify(self, completions: list[Any], **columns: Any) -> list[float]:
        """Rewards in [0, 1], called as TRL calls a reward function.

        Args:
            completions: message lists or texts.
            **columns: the rows' columns, as lists, and whatever else TRL passes.
        """
        ...

    def validate(self, split: str | None = None, limit: int | None = None) -> Validation:
        """Verify gold answers and damaged ones.

        Args:
            split: split whose rows are taken; a task may take its first one, or rows of its own.
            limit: only the first so many rows.
        """
        ...

    def data_state(self, split: str) -> DataState:
        """Whether a split's rows can be had; asks no network."""
        return DataState("present", "made by the package")


def verified(
    task: Task,
    rows: "Dataset",
    right: Callable[[dict[str, Any]], list[str]],
    wrong: Callable[[dict[str, Any]], list[str]],
    limit: int | None = None,
) -> Validation:
    """Ask a task's verifier about answers that are known to be right or wrong.

    Args:
        task: the task.
        rows: whose answers are verified.
        right: texts that must get reward 1, of a row.
        wrong: texts that must get reward 0, of a row.
        limit: only the first so many rows.
    """
    rows = rows.select(range(min(limit or len(rows), len(rows))))
    cases = [
        (row, text, expected)
        for row in rows
        for texts, expected in ((right, 1.0), (wrong, 0.0))
        for text in texts(row)
    ]
    completions = [[{"role": "assistant", "content": text}] for _, text, _ in cases]
    columns = {name: [row[name] for row, _, _ in cases] for name in rows.column_names}
    columns["prompts"] = columns.pop("prompt")
    rewards = task.verify(completions=completions, **columns) if cases else []
    gold = sum(expected == 1 for _, _, expected in cases)
    return Validation(
        len(rows),
        gold,
        len(cases) - gold,
        tuple(
            Disagreement(str(row.get("problem_id")), text, expected, reward)
            for (row, text, expected), reward in zip(cases, rewards, strict=True)
            if reward != expected
        ),
    )


def completion_text(completion: Any) -> str:
    """Text of a completion: of the last message of a conversation, or the text itself."""
    if isinstance(completion, str):
        return completion
    return str(completion[-1].get("content") or "") if completion else ""


def read_options(kind: type[Options], task: str, options: Mapping[str, Any]) -> Options:
    """A task's options from its keyword arguments.

    Args:
        kind: dataclass of the options, which checks its values.
        task: name of the task, for the message.
        options: as they were given.

    Raises:
        ValueError: for an option that the task does not have, or a value of another type.
    """
    known = [spec.name for spec in fields(kind)]  # type: ignore[arg-type]
    hints = get_type_hints(kind)
    fitted = {}
    for option, value in plain_keys(options).items():
        if option not in known:
            near = nearest(option, known)
            meant = f"; did you mean {near!r}?" if near else "."
            raise ValueError(
                f"the {task} task has no option {option!r}; it has {', '.join(known)}{meant}"
            )
        try:
            fitted[option] = coerce(value, hints[option], as_written=True)
        except Misfit as misfit:
            with suppress(TypeError, AttributeError, OverflowError):
                kind(**{option: value})  # whose own check may say more
            raise ValueError(
                f"{option} is {shown(value)}, an option of the {task} task; it must be {misfit}."
            ) from None
    return kind(**fitted)


def check_split(task: Task, split: str) -> None:
    """Refuse a split that the task does not have.

    Raises:
        ValueError: naming those that it has.
    """
    if split not in task.splits:
        raise ValueError(f"split is {split!r}; the {task.name} task has {', '.join(task.splits)}.")
