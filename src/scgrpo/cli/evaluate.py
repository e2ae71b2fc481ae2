"""`scgrpo evaluate`: what is shown of an evaluation."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from rich.console import Console

from scgrpo.cli.errors import Debugging, Failure
from scgrpo.cli.evaluation_progress import EvaluationProgress
from scgrpo.cli.evaluation_table import summary_table
from scgrpo.cli.quiet import quiet
from scgrpo.cli.tables import print_table
from scgrpo.evaluation.compare import Summary, summarise
from scgrpo.evaluation.engines.base import EngineError
from scgrpo.evaluation.request import EvaluationRequest


def run_evaluation(request: EvaluationRequest, console: Console | None = None) -> Summary:
    """Evaluate and show the result.

    Raises:
        ValueError: for a model, task or file that cannot be used.
        Failure: where samples are missing in the end, or the engine cannot be used.
    """
    console = console or Console()
    quiet()
    from scgrpo.evaluation.prepare import find_task, prepare, with_split
    from scgrpo.runs.models import as_in_training, find_model

    request = request.or_as(as_in_training(request.model))
    request.check()
    task = find_task(request.task_name, request.options_of_task)
    request = with_split(request, task)
    path = request.model if request.engine == "openai" else find_model(request.model)
    title = f"{request.model} on {getattr(task, 'title', request.task_name)}, {request.split}"
    with EvaluationProgress(console) as progress:
        evaluation = prepare(request, task, path, lambda: _loading(console), progress.token)
        progress.announce(f"evaluating {title}", evaluation)
        make = evaluation.engine

        def engine() -> Any:
            made = make()
            progress.start()
            return made

        evaluation.engine = engine
        try:
            evaluation.draw(progress.update, progress.observe)
        except EngineError as error:
            raise Failure(str(error)) from error
    scores = evaluation.scores()
    table = summary_table(title, scores, request.tries, request.solve_threshold, progress)
    print_table(console, table)
    for kind, count in getattr(task, "failures", {}).items():
        console.print(f"The verifier itself failed ({kind}) {count} times now; each counts as 0.")
    console.print(f"Samples: {evaluation.output}", soft_wrap=True, highlight=False)
    return summarise(scores, solve_threshold=request.solve_threshold)


@contextmanager
def _loading(console: Console) -> Iterator[None]:
    if not Debugging.on:
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    with console.status("loading the model ...") if console.is_terminal else nullcontext():
        yield
