"""TRL's vLLM, asked what it thinks of tokens that it did not draw (`prompt_logprobs`)."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from scgrpo.world import World

SCORERS = ("model", "vllm")


@dataclass(frozen=True)
class EngineLogps:
    """Log-probs of completions behind prompts, by the engine that draws the rollouts.

    TRL hands it the policy's weights before it draws, so that they are the current ones. It does
    not divide the logits of a prompt by the temperature.
    """

    engine: Any
    """TRL's `VLLMGeneration`."""
    world: World

    @property
    def max_length(self) -> int:
        """Longest sequence in tokens: the engine draws one behind each."""
        if self.engine.mode == "colocate":
            longest = self.engine.llm.llm_engine.model_config.max_model_len
        else:
            is_main = self.world.process_index == 0
            info = self.engine.vllm_client.get_server_info() if is_main else None
            told = self.world.gather_objects([info and info["model_config"]["max_model_len"]])
            longest = told[0]
        return int(longest) - 1

    def fitting(self, wanted: int | None, longest: int) -> int:
        """Longest teacher sequence that the engine takes too.

        Args:
            wanted: as it was asked for, None for as long as can be.
            longest: that the policy can read.

        Raises:
            ValueError: for more than the engine takes.
        """
        fits = self.max_length
        if wanted is not None and wanted > fits:
            raise ValueError(
                f"teacher_max_length is {wanted}, but the engine of teacher_scorer='vllm' takes "
                f"{fits} tokens (one less than its context); set it to {fits} or less, or raise "
                "vllm_max_model_length."
            )
        return min(longest, fits)

    def __call__(
        self, prompts: Sequence[Sequence[int]], completions: Sequence[Sequence[int]]
    ) -> list[list[float]]:
        """Log-probs of each completion's tokens, nats; of a server, the first process asks for all.

        Raises:
            RuntimeError: where the engine leaves one out.
        """
        sequences = [[*p, *c] for p, c in zip(prompts, completions, strict=True)]
        starts = [len(p) for p in prompts]
        if self.engine.mode == "colocate":
            return _finite(self._by_engine(sequences, starts))
        asked = self.world.gather_objects([(sequences, starts)])
        answers = None
        if self.world.process_index == 0:
            answers = [self._by_server(*own) for own in asked]
        (told, *_) = self.world.gather_objects([answers])
        return _finite(told[self.world.process_index])

    def _by_engine(self, sequences: list[list[int]], starts: list[int]) -> list[list[float]]:
        if not sequences:
            return []
        from vllm import SamplingParams

        options = SamplingParams(max_tokens=1, prompt_logprobs=0, detokenize=False)
        prompts = [{"prompt_token_ids": ids} for ids in sequences]
        outputs = self.engine.llm.generate(prompts, sampling_params=options, use_tqdm=False)
        return [
            [
                told[token].logprob
                for told, token in zip(output.prompt_logprobs[start:], ids[start:], strict=True)
            ]
            for output, ids, start in zip(outputs, sequences, starts, strict=True)
        ]

    def _by_server(self, sequences: list[list[int]], starts: list[int]) -> list[list[float]]:
        if not sequences:
            return []
        client = self.engine.vllm_client
        told = client.get_sequence_logprobs(sequences, starts, top_logprobs=0)["actual_logprobs"]
        return [[value for (value,) in own] for own in told]


def _finite(logps: list[list[float]]) -> list[list[float]]:
    for own in logps:
        for value in own:
            if not math.isfinite(value):
                raise RuntimeError(
                    f"vLLM gave a sampled token the log-probability {value}; set "
                    "teacher_scorer='model', with which the trainer makes the teacher's pass."
                )
    return logps


_RULES: tuple[tuple[Callable[[Any], bool], str], ...] = (
    (
        lambda a: a.teacher_scorer not in SCORERS,
        "teacher_scorer is {teacher_scorer!r}; choose one of model, vllm.",
    ),
    (
        lambda a: a.teacher_scorer == "vllm" and not a.use_vllm,
        "teacher_scorer='vllm' asks the engine that draws the rollouts, but use_vllm is false; set "
        "use_vllm=true, or teacher_scorer='model'.",
    ),
    (
        lambda a: a.teacher_scorer == "vllm" and not _needs_logps_alone(a),
        "teacher_scorer='vllm' knows the log-probabilities of the sampled tokens alone, but "
        "use={use!r} with weight={weight!r} and reference_set={reference_set!r} needs the "
        "teacher's whole distribution; set use='weight', weight='signed' (or 'reversed', 'rlrt', "
        "'rlcsd', 'cscr', 'signed-contrast') and reference_set='any-partial', or "
        "teacher_scorer='model'.",
    ),
    (
        lambda a: a.teacher_scorer == "vllm" and a.teacher_weights != "current",
        "teacher_scorer='vllm' has the policy's current weights, but teacher_weights is "
        "{teacher_weights!r}; set it to 'current', or teacher_scorer='model'.",
    ),
    (
        lambda a: a.teacher_scorer == "vllm" and a.temperature != 1,
        "teacher_scorer='vllm' gives the teacher's log-probabilities at temperature 1, but "
        "temperature is {temperature}; set it to 1, or teacher_scorer='model'.",
    ),
    (
        lambda a: a.teacher_scorer == "vllm" and a.vllm_enable_sleep_mode,
        "teacher_scorer='vllm' asks an engine that vllm_enable_sleep_mode has put to sleep, "
        "without its weights; set vllm_enable_sleep_mode=false, or teacher_scorer='model'.",
    ),
    (
        lambda a: (
            a.teacher_scorer == "vllm"
            and a.vllm_mode == "colocate"
            and a.vllm_tensor_parallel_size > 1
        ),
        "teacher_scorer='vllm' asks each process's own engine, but vllm_tensor_parallel_size is "
        "{vllm_tensor_parallel_size}; set it to 1, or vllm_mode='server', or "
        "teacher_scorer='model'.",
    ),
)
"""What refuses a scorer, and the sentence that says so; in braces the arguments."""


def _needs_logps_alone(args: Any) -> bool:
    if args.use != "weight" or args.teacher not in ("self", "demonstration"):
        return False
    whole = args.needs_divergence or args.asks_for("contrast_kl") or args.asks_for("disagreement")
    return not whole


def check_scorer(args: Any) -> None:
    """Refuse a teacher's pass that the engine cannot make.

    Raises:
        ValueError: naming the values and the cure.
    """
    for refused, why in _RULES:
        if refused(args):
            raise ValueError(why.format(**vars(args)))
