"""The numbers of one evaluation, as a table."""

from collections.abc import Sequence
from functools import partial

from rich.table import Table

from scgrpo.cli.evaluation_progress import EvaluationProgress
from scgrpo.cli.tables import with_interval
from scgrpo.evaluation.compare import Estimate
from scgrpo.evaluation.metrics import Statistic, avg_at_k, bootstrap_interval, pass_at_k
from scgrpo.evaluation.records import Record, reward_matrix


def summary_table(
    title: str,
    records: Sequence[Record],
    ks: Sequence[int],
    solve_threshold: float,
    progress: EvaluationProgress,
) -> Table:
    """Avg@k, Pass@k for each of `ks`, and what the samples were like.

    Args:
        title: of the table.
        records: the same number of samples of each problem.
        ks: tries for which Pass@k is shown.
        solve_threshold: smallest reward that counts as solved.
        progress: what was drawn now, and in which time.
    """
    _, rewards_PK = reward_matrix(records)
    problems, k = rewards_PK.shape
    table = Table("measure", "value", title=title)

    def add(name: str, statistic: Statistic) -> None:
        estimate = Estimate(statistic(rewards_PK), *bootstrap_interval(rewards_PK, statistic))
        table.add_row(f"{name} [95 %]", f"[bold]{with_interval(estimate)}[/]")

    add(f"Avg@{k}", avg_at_k)
    for tries in ks:
        add(f"Pass@{tries}", partial(pass_at_k, k=tries, solve_threshold=solve_threshold))
    if solve_threshold != 1.0:
        table.add_row("solved from a reward of", f"{solve_threshold:g}")
    table.add_row("problems x samples", f"{problems} x {k}")
    for name, text in _lengths(records):
        table.add_row(name, text)
    unscored = sum(record["reward"] is None for record in records)
    if unscored:
        table.add_row("not scored, counted as 0", str(unscored))
    table.add_row("drawn now", f"{progress.drawn} in {progress.seconds:.1f} s")
    return table


def _lengths(records: Sequence[Record]) -> list[tuple[str, str]]:
    """Tokens and turns of a sample, and the share that a limit cut."""
    rows = []
    tokens = [record["tokens"] for record in records if record.get("tokens") is not None]
    if tokens:
        rows.append(("tokens a sample", f"{sum(tokens) / len(tokens):.1f}"))
    turns = [record["turns"] for record in records if record.get("turns") is not None]
    if turns:
        rows.append(("turns an episode", f"{sum(turns) / len(turns):.1f}"))
    ends = [record.get("finish_reason") for record in records]
    for reason, name in (
        ("length", "cut by the limit of tokens"),
        ("turns", "ended by the limit of turns"),
        ("context", "ended by the model's context"),
    ):
        if reason in ends:
            rows.append((name, f"{ends.count(reason) / len(ends):.0%}"))
    return rows
