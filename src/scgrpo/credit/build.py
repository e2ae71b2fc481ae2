"""From the choices of a `Method` to the objects that carry them out."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from scgrpo.config import Method
from scgrpo.credit.advantages import ADVANTAGES
from scgrpo.credit.credit import Credit, NoUse, Use
from scgrpo.credit.distillation import DistillationLoss
from scgrpo.credit.heads import PolicyHeads
from scgrpo.credit.scoring import Policy, Scorer
from scgrpo.credit.weight import SCORED, TokenWeight
from scgrpo.teachers.lessons import Demonstrations, NoTeacher, OtherModel, OwnRollouts, Teacher
from scgrpo.teachers.memory import TrajectoryMemory
from scgrpo.teachers.models import student_policy, teacher_policy
from scgrpo.teachers.prompts import TeacherPrompts
from scgrpo.trainer.checks import check_demonstrations, context_length


def build_credit(trainer: Any) -> Credit:
    """The credit that the trainer's method means.

    Args:
        trainer: a trainer whose TRL part is set up.

    Raises:
        ValueError: for a model, data or a teacher that the method cannot work with.
    """
    method: Method = trainer.args.method
    if method.teacher != "none" and trainer._is_vlm:
        raise ValueError(
            "the model reads images, and a teacher prompt with images is not supported; use a "
            "text-only model, or preset 'grpo'."
        )
    return Credit(
        ADVANTAGES[method.advantage], TEACHERS[method.teacher](trainer), USES[method.use](trainer)
    )


def _own_rollouts(trainer: Any) -> OwnRollouts:
    method: Method = trainer.args.method
    memory = TrajectoryMemory(method.memory_size, method.memory_age)
    return OwnRollouts(
        method, trainer.accelerator, _prompts(trainer), memory if method.memory_size else None
    )


def _demonstrations(trainer: Any) -> Demonstrations:
    check_demonstrations(trainer.train_dataset, trainer.args.method.demonstration)
    return Demonstrations(trainer.args.method, trainer.accelerator, _prompts(trainer))


def _prompts(trainer: Any) -> TeacherPrompts:
    model = trainer.accelerator.unwrap_model(trainer.model)
    return TeacherPrompts(
        trainer._tokenizer,
        trainer.args.guide,
        max_length=_teacher_length(trainer.args.teacher_max_length, context_length(model)),
        chat_template=trainer.chat_template,
        template_options=trainer.chat_template_kwargs,
    )


def _token_weight(trainer: Any) -> TokenWeight:
    method: Method = trainer.args.method
    weight = method.weight_function()
    student, teacher, heads = _models(trainer)
    scorer = Scorer(
        student,
        teacher,
        replace(heads, kind="forward"),
        signals=frozenset(weight.signals) & frozenset(SCORED),
        max_tokens=trainer.args.score_tokens,
        batches_everywhere=lambda count: _largest(trainer.accelerator, count),
    )
    return TokenWeight(method, trainer.accelerator, scorer, weight)


def _distillation_loss(trainer: Any) -> DistillationLoss:
    return DistillationLoss(trainer.args.method, trainer.accelerator, *_models(trainer))


def _models(trainer: Any) -> tuple[Policy, Policy, PolicyHeads]:
    method, unwrap = trainer.args.method, trainer.accelerator.unwrap_model
    student = student_policy(trainer)
    teacher = teacher_policy(trainer, student)
    heads = PolicyHeads(
        unwrap(student.model),
        unwrap(teacher.model),
        trainer.temperature,
        method.divergence,
        method.divergence_beta,
    )
    return student, teacher, heads


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


TEACHERS: dict[str, Callable[[Any], Teacher]] = {
    "none": lambda trainer: NoTeacher(trainer.args.method),
    "self": _own_rollouts,
    "demonstration": _demonstrations,
    "model": lambda trainer: OtherModel(trainer.args.method),
}
"""One entry for each of `scgrpo.config.TEACHERS`."""

USES: dict[str, Callable[[Any], Use]] = {
    "none": lambda trainer: NoUse(),
    "weight": _token_weight,
    "loss": _distillation_loss,
}
"""One entry for each of `scgrpo.config.USES`."""
