"""The options of `scgrpo evaluate`."""

from pathlib import Path
from typing import Annotated

import typer

SAMPLING, ENGINE, EPISODES = "Sampling", "Engine", "Tasks that are played over several turns"


def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            help="Hub id, model folder, run folder, or 'tiny' for the shipped base; with --engine "
            "openai the name that the server knows."
        ),
    ],
    task: Annotated[str, typer.Option(help="Name of a task.")] = "synthetic",
    task_options: Annotated[
        str, typer.Option(help="Options of the task, as YAML: '{steps: 4}'.")
    ] = "{}",
    k: Annotated[int, typer.Option("-k", min=1, help="Samples of each problem.")] = 8,
    pass_at: Annotated[
        str | None, typer.Option(help="Show Pass@k for these, such as 1,4,8; all k by default.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Split of the task; its first evaluation split by default.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first so many problems.")
    ] = None,
    solve_threshold: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Smallest reward that Pass@k counts as solved.")
    ] = 1.0,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="JSON lines file of all samples, resumed from; by default one in runs/eval, "
            "named after model, task and settings.",
        ),
    ] = None,
    temperature: Annotated[
        float,
        typer.Option(min=0.0, help="0 takes the most likely token.", rich_help_panel=SAMPLING),
    ] = 1.0,
    top_p: Annotated[
        float,
        typer.Option(
            help="Share of the probability that is drawn from, likely tokens first.",
            rich_help_panel=SAMPLING,
        ),
    ] = 1.0,
    max_new_tokens: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Longest completion, or turn of an episode; the task's own by default.",
            rich_help_panel=SAMPLING,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the samples.", rich_help_panel=SAMPLING)] = 0,
    system_prompt: Annotated[
        str | None,
        typer.Option(help="In place of the task's; '' for none.", rich_help_panel=SAMPLING),
    ] = None,
    template_options: Annotated[
        str,
        typer.Option(
            help="Arguments of the chat template, as YAML: '{enable_thinking: false}'.",
            rich_help_panel=SAMPLING,
        ),
    ] = "{}",
    engine: Annotated[
        str, typer.Option(help="transformers, vllm or openai.", rich_help_panel=ENGINE)
    ] = "transformers",
    batch_tokens: Annotated[
        int,
        typer.Option(
            min=1,
            help="transformers: padded tokens in one batch; less needs less memory.",
            rich_help_panel=ENGINE,
        ),
    ] = 16384,
    url: Annotated[
        str | None,
        typer.Option(
            help="openai: address of the server; OPENAI_BASE_URL by default. The key is read from "
            "OPENAI_API_KEY.",
            rich_help_panel=ENGINE,
        ),
    ] = None,
    api_model: Annotated[
        str | None,
        typer.Option(help="openai: the server's name of the model.", rich_help_panel=ENGINE),
    ] = None,
    engine_options: Annotated[
        str,
        typer.Option(
            help="vllm: arguments of vllm.LLM; openai: further fields of each request, null leaves "
            "one out; as YAML: '{max_model_len: 16384}'.",
            rich_help_panel=ENGINE,
        ),
    ] = "{}",
    concurrency: Annotated[
        int,
        typer.Option(
            min=1, help="Requests (openai), or episodes, at once.", rich_help_panel=ENGINE
        ),
    ] = 32,
    timeout: Annotated[
        float,
        typer.Option(
            min=0.001, help="openai: seconds that one request may take.", rich_help_panel=ENGINE
        ),
    ] = 1800.0,
    max_turns: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Turns of an episode, as the task's option max_turns says it too.",
            rich_help_panel=EPISODES,
        ),
    ] = None,
    max_episode_tokens: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Tokens that the model may write in an episode; the task's own by default.",
            rich_help_panel=EPISODES,
        ),
    ] = None,
) -> None:
    """Sample a model on a task and show Avg@k and Pass@k with 95 % intervals.

    For example: scgrpo evaluate runs/sc-grpo-synthetic-s0 --task synthetic -k 8 --pass-at 1,4,8

    The same command given again goes on where it was interrupted.
    """
    from scgrpo.cli.evaluate import EvaluationRequest, run_evaluation

    run_evaluation(
        EvaluationRequest(
            model=model, task=task, task_options=task_options, k=k, split=split, limit=limit,
            temperature=temperature, top_p=top_p, max_new_tokens=max_new_tokens,
            batch_tokens=batch_tokens, output=output, seed=seed, engine=engine, url=url,
            api_model=api_model, engine_options=engine_options, concurrency=concurrency,
            timeout=timeout, system_prompt=system_prompt, template_options=template_options,
            max_turns=max_turns, max_episode_tokens=max_episode_tokens,
            solve_threshold=solve_threshold, pass_at=pass_at,
        )
    )  # fmt: skip
