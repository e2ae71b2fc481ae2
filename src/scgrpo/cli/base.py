"""`scgrpo build-base`."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from scgrpo.cli.quiet import quiet
from scgrpo.embedded.request import BaseRequest


def run_build(request: BaseRequest, console: Console | None = None) -> None:
    """Train the base model of a task and show how far it is.

    Raises:
        ConfigError: for a task without a corpus, or an option of task or corpus that is unknown.
    """
    console = console or Console()
    quiet()
    from scgrpo.embedded.base_model import SUBJECTS, build_base, dials

    task, corpus = dials(request)
    total = request.steps or SUBJECTS[request.task].steps
    columns = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.3f}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as display:
        bar = display.add_task("training", total=total, loss=float("nan"))

        def progress(done: int, steps: int, loss: float) -> None:
            display.update(bar, completed=done, loss=loss)
            if not console.is_terminal and done * 10 // steps > (done - 1) * 10 // steps:
                console.print(f"step {done}/{steps}  loss {loss:.3f}", highlight=False)

        build_base(
            request.output,
            task,
            corpus,
            task=request.task,
            steps=total,
            seed=request.seed,
            width=request.width,
            layers=request.layers,
            start=request.start,
            progress=progress,
        )
    console.print(f"Base model: {request.output}", soft_wrap=True)
