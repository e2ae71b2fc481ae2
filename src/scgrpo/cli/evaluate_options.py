"""The options of `scgrpo evaluate`."""

from pathlib import Path
from typing import Annotated, Any

import typer


def _option(words: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=words, **more)


def _of(panel: str) -> Any:
    def option(words: str, *names: str, **more: Any) -> Any:
        return _option(words, *names, rich_help_panel=panel, **more)

    return option


_sampling, _engine = _of("Sampling"), _of("Engine")
_episodes = _of("Tasks that are played over several turns")

Model = Annotated[
    str,
    typer.Argument(
        help="Hub id, model folder, run folder, 'tiny' or 'tiny-agent' (shipped); with --engine "
        "openai the name that the server knows."
    ),
]
Task = Annotated[str, _option("Name of a task.")]
TaskOptions = Annotated[str, _option("Options of the task, as YAML: '{steps: 4}'.")]
K = Annotated[int, _option("Samples of each problem.", "-k", min=1)]
PassAt = Annotated[str | None, _option("Show Pass@k for these, such as 1,4,8; all k by default.")]
Split = Annotated[str | None, _option("Split of the task; its first evaluation split by default.")]
Limit = Annotated[int | None, _option("Only the first so many problems.", min=1)]
SolveThreshold = Annotated[
    float, _option("Smallest reward that Pass@k counts as solved.", min=0.0, max=1.0)
]
Output = Annotated[
    Path | None,
    _option(
        "JSON lines file of all samples, resumed from; by default one in runs/eval, named after "
        "model, task and settings.",
        "--output",
        "-o",
    ),
]
Temperature = Annotated[float, _sampling("0 takes the most likely token.", min=0.0)]
TopP = Annotated[float, _sampling("Share of the probability that is drawn from, likely first.")]
MaxNewTokens = Annotated[
    int | None,
    _sampling("Longest completion, or turn of an episode; the task's own by default.", min=1),
]
Seed = Annotated[int, _sampling("Seed of the samples.")]
SystemPrompt = Annotated[str | None, _sampling("In place of the task's; '' for none.")]
TemplateOptions = Annotated[
    str, _sampling("Arguments of the chat template, as YAML: '{enable_thinking: false}'.")
]
Engine = Annotated[str, _engine("transformers, vllm or openai.")]
BatchTokens = Annotated[
    int, _engine("transformers: padded tokens in one batch; less needs less memory.", min=1)
]
Url = Annotated[
    str | None,
    _engine(
        "openai: address of the server; OPENAI_BASE_URL by default. The key is read from "
        "OPENAI_API_KEY."
    ),
]
ApiModel = Annotated[str | None, _engine("openai: the server's name of the model.")]
EngineOptions = Annotated[
    str,
    _engine(
        "vllm: arguments of vllm.LLM; openai: further fields of each request, null leaves one "
        "out; as YAML: '{max_model_len: 16384}'."
    ),
]
Concurrency = Annotated[int, _engine("Requests (openai), or episodes, at once.", min=1)]
Timeout = Annotated[float, _engine("openai: seconds that one request may take.", min=0.001)]
MaxTurns = Annotated[
    int | None, _episodes("Turns of an episode, as the task's option max_turns says it too.", min=1)
]
MaxEpisodeTokens = Annotated[
    int | None,
    _episodes("Tokens that the model may write in an episode; the task's own by default.", min=1),
]


def evaluate(
    model: Model,
    task: Task = "synthetic",
    task_options: TaskOptions = "{}",
    k: K = 8,
    pass_at: PassAt = None,
    split: Split = None,
    limit: Limit = None,
    solve_threshold: SolveThreshold = 1.0,
    output: Output = None,
    temperature: Temperature = 1.0,
    top_p: TopP = 1.0,
    max_new_tokens: MaxNewTokens = None,
    seed: Seed = 0,
    system_prompt: SystemPrompt = None,
    template_options: TemplateOptions = "{}",
    engine: Engine = "transformers",
    batch_tokens: BatchTokens = 16384,
    url: Url = None,
    api_model: ApiModel = None,
    engine_options: EngineOptions = "{}",
    concurrency: Concurrency = 32,
    timeout: Timeout = 1800.0,
    max_turns: MaxTurns = None,
    max_episode_tokens: MaxEpisodeTokens = None,
) -> None:
    """Sample a model on a task and show Avg@k and Pass@k with 95 % intervals.

    For example: scgrpo evaluate runs/sc-grpo-synthetic-s0 --task synthetic -k 8 --pass-at 1,4,8

    The same command given again goes on where it was interrupted.
    """
    asked = dict(locals())
    from scgrpo.cli.evaluate import EvaluationRequest, run_evaluation

    run_evaluation(EvaluationRequest(**asked))
