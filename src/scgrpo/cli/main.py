"""The commands of `scgrpo`; each imports what it needs when it runs, so that help is quick."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from scgrpo.cli.errors import INTERRUPTED, Debugging, fail, guarded
from scgrpo.cli.help import EPILOG, TrainCommand
from scgrpo.cli.options import asking_for
from scgrpo.embedded.request import BaseRequest
from scgrpo.evaluation.request import EvaluationRequest
from scgrpo.mistakes import ConfigError
from scgrpo.probe.request import ProbeRequest

app = typer.Typer(
    help="SC-GRPO: token-level credit from the model's own verified rollouts.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "token_normalize_func": lambda name: name.replace("_", "-"),
    },
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from scgrpo import __version__

        typer.echo(f"scgrpo {__version__}")
        raise typer.Exit


@app.callback()
def root(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    Debugging.on = debug


@app.command()
@guarded
def demo(
    steps: Annotated[
        int | None, typer.Option(min=1, help="Optimizer steps of each method.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything that is drawn.")] = 0,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for all results.")] = Path(
        "runs/demo"
    ),
) -> None:
    """Train GRPO and SC-GRPO from the shipped base, at equal steps, and compare them.

    Runs on two CPU cores in a few minutes. Started again with the same options
    it goes on where it stopped.
    """
    from scgrpo.cli.demo import run_demo

    run_demo(steps=steps, seed=seed, output=output)


@app.command(
    cls=TrainCommand,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
@guarded
def train(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="YAML file of keys and values.")
    ] = None,
    list_keys: Annotated[
        bool,
        typer.Option(
            "--list-keys",
            help="Show every key, its type, default in a run and meaning; `--list-keys WORD` those "
            "whose name or meaning has the word.",
        ),
    ] = False,
) -> None:
    """Train one run: scgrpo train --config run.yaml [--key value ...]

    Any key of the file can be given or overridden on the command line. A run
    that was interrupted goes on from its last checkpoint when the same command
    is given again.
    """
    from scgrpo.cli.train import run_training, show_keys

    if list_keys:
        show_keys(" ".join(context.args))
    else:
        run_training(config, context.args)


@app.command()
@guarded
@asking_for(EvaluationRequest)
def evaluate(request: EvaluationRequest) -> None:
    """Sample a model on a task and show Avg@k and Pass@k with 95 % intervals.

    For example: scgrpo evaluate runs/sc-grpo-synthetic-s0 --task synthetic -k 8 --pass-at 1,4,8

    The same command given again goes on where it was interrupted.
    """
    from scgrpo.cli.evaluate import run_evaluation

    run_evaluation(request)


@app.command()
@guarded
def compare(
    records: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Two run folders, records of two evaluations, or a YAML.", show_default=False
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Split of two evaluations; all that they share.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="YAML of methods, tasks and seeds.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Only this method (and the baseline); repeatable.")
    ] = None,
    task: Annotated[list[str] | None, typer.Option(help="Only this task; repeatable.")] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Runs at a time; the number of cores by default.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Resolve and check everything, run nothing.")
    ] = False,
) -> None:
    """Compare two evaluations, or methods x seeds x tasks.

    scgrpo compare runs/A runs/B            their last evaluations: second minus first
    scgrpo compare a.jsonl b.jsonl          the paired difference, second minus first
    scgrpo compare compare.yaml             trains and evaluates all, writes the table

    Started again, it goes on where it stopped; one failure does not stop the rest.
    """
    records = records or []
    if config is None and [path.suffix for path in records] in ([".yaml"], [".yml"]):
        config, records = records[0], []
    of_two = {"two evaluations": records, "--split": split}
    of_many = {"--only": only, "--task": task, "--jobs": jobs, "--dry-run": dry_run}
    unused = [name for name, value in (of_two if config else of_many).items() if value]
    if unused:
        has = "a comparison by a YAML" if config else "one of two evaluations"
        raise ConfigError(f"{unused[0]} is given, of which {has} takes nothing; leave it out.")
    if config is not None:
        from scgrpo.cli.quiet import quiet

        quiet()
        from scgrpo.cli.compare import run_matrix

        run_matrix(config, only or [], task or [], jobs, dry_run=dry_run)
    else:
        from scgrpo.cli.difference import show_difference

        show_difference(records, split)


@app.command()
@guarded
@asking_for(ProbeRequest)
def probe(request: ProbeRequest) -> None:
    """Show what each token weighting is worth on a model and task; nothing is trained.

    scgrpo probe --model tiny --task synthetic        before a run is paid for

    scgrpo probe runs/NAME --steps 0,50,100           along the checkpoints of a run

    The same command given again goes on where it was interrupted, and more
    batches are added to those that are there.
    """
    from scgrpo.cli.probe import run_probe

    run_probe(request)


@app.command()
@guarded
def tasks(
    validate: Annotated[
        str | None,
        typer.Option(help="Verify gold answers and damaged ones of this task's data instead."),
    ] = None,
    new: Annotated[
        Path | None, typer.Option(help="Write a task of your own to begin with: FILE.py.")
    ] = None,
    task_options: Annotated[
        str, typer.Option(help="Options of that task, as YAML: '{data: path}'.")
    ] = "{}",
    split: Annotated[str | None, typer.Option(help="Split to validate on.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many rows.")] = None,
) -> None:
    """Show the tasks that there are, and whether their data is here.

    For example: scgrpo tasks --validate gsm8k --task-options '{data: test.jsonl}'
    A task of your own: scgrpo tasks --new my_task.py, then --task my_task.py:Words
    """
    from scgrpo.cli.tasks import run_validation, show_tasks, write_template

    if new is not None:
        write_template(new)
    elif validate is None:
        show_tasks()
    elif not run_validation(validate, task_options, split, limit):
        raise typer.Exit(1)


@app.command()
@guarded
def presets() -> None:
    """Show the methods that there are, in the terms of the paper."""
    from scgrpo.cli.presets import show_presets

    show_presets()


@app.command()
@guarded
def doctor() -> None:
    """Show what is installed, what is missing, and what that costs."""
    from scgrpo.cli.doctor import run_doctor

    if not run_doctor():
        raise typer.Exit(1)


@app.command()
@guarded
def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders; several are compared.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="HTML file; RUN/report.html by default."),
    ] = None,
) -> None:
    """Write one self-contained HTML page: curves, routes, KL, and tokens shaded by credit.

    For example: scgrpo report runs/demo/grpo runs/demo/sc-grpo -o comparison.html
    """
    from scgrpo.cli.report import write

    typer.echo(f"Report: {write(runs, output)}")


@app.command()
@guarded
def watch(
    runs: Annotated[list[Path], typer.Argument(help="Run folders; several are compared.")],
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port to listen on; 8791, or a free one, by default."),
    ] = None,
) -> None:
    """Show the report in the browser, growing as the runs go, until Ctrl-C.

    For example: scgrpo watch runs/NAME. Only this machine can open it; from
    elsewhere: ssh -L 8791:localhost:8791 HOST
    """
    from scgrpo.cli.watch import run_watch

    run_watch(runs, port)


@app.command("build-base")
@guarded
@asking_for(BaseRequest)
def build_base(request: BaseRequest) -> None:
    """Train a tiny base model again, from scratch, as it ships with the package.

    For example: scgrpo build-base my-base --task-options '{routine: 0.7}', a larger one as
    teacher: scgrpo build-base teacher --width 128 --layers 4 --steps 3600, or that of the agent
    task: scgrpo build-base agent --task lookup
    """
    from scgrpo.cli.base import run_build

    run_build(request)


def main() -> None:
    """Run the command line; `--debug` may stand anywhere."""
    arguments = sys.argv[1:]
    last_or_flag = [
        i for i, a in enumerate(arguments)
        if a == "--debug" and (arguments[i + 1 : i + 2] or ["--"])[0].startswith("--")
    ]  # fmt: skip
    if last_or_flag:
        del arguments[last_or_flag[-1]]
        arguments.insert(0, "--debug")
    try:
        app(arguments, prog_name="scgrpo")
    except KeyboardInterrupt:
        fail("nothing was begun.", INTERRUPTED)


if __name__ == "__main__":
    main()
