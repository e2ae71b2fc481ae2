"""From the choices of a `Method` to the objects that carry them out."""

from collections.abc import Callable
from typing import Any

import torch

from scgrpo.teachers.prompts import TeacherPrompts
from scgrpo.teachers.scoring import Scorer, find_backbone, head_options
from scgrpo.trainer.attach import Credit, TokenWeight, UniformCredit
from scgrpo.trainer.checks import context_length
from scgrpo.trainer.kernels import PolicyHead


def build_credit(trainer: Any) -> Credit:
    """The credit that the trainer's method means.

    Args:
        trainer: a trainer whose TRL part is set up.

    Raises:
        ValueError: for a model that the method cannot work with.
    """
    return CREDITS[trainer.args.method.use](trainer)


def _token_weight(trainer: Any) -> TokenWeight:
    if trainer._is_vlm:
        raise ValueError(
            "the model reads images, and a teacher prompt with images is not supported; use a "
            "text-only model, or preset 'grpo'."
        )
    args, model = trainer.args, trainer.accelerator.unwrap_model(trainer.model)
    prompts = TeacherPrompts(
        trainer._tokenizer,
        args.guide,
        max_length=_teacher_length(args.teacher_max_length, context_length(model)),
        chat_template=trainer.chat_template,
        template_options=trainer.chat_template_kwargs,
    )
    scorer = Scorer(
        model=trainer.model,
        backbone=find_backbone(model),
        head=PolicyHead(model, trainer.temperature),
        forward_options=head_options(model),
        max_tokens=args.score_tokens,
        batches_everywhere=lambda count: _largest(trainer.accelerator, count),
    )
    return TokenWeight(args.method, trainer.accelerator, prompts, scorer)


def _teacher_length(wanted: int | None, context: int | None) -> int:
    if wanted is not None and context is not None and wanted > context:
        raise ValueError(
            f"teacher_max_length is {wanted}, but the model's context is {context} tokens; set it "
            f"to {context} or less, or leave it unset."
        )
    return wanted or context or 2**31


def _largest(accelerator: Any, count: int) -> int:
    if accelerator.num_processes == 1:
        return count
    counts = accelerator.gather(torch.tensor([count], device=accelerator.device))
    return int(counts.max().item())


CREDITS: dict[str, Callable[[Any], Credit]] = {
    "none": lambda trainer: UniformCredit(),
    "weight": _token_weight,
}
"""One entry for each of `scgrpo.config.USES`."""
