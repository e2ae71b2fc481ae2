"""From the choices of a `Method` to the objects that carry them out."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor
from transformers import PreTrainedTokenizerBase

from scgrpo.config import Method
from scgrpo.credit.advantages import (
    EntropyShaped,
    Estimator,
    GroupInGroup,
    Whitened,
    group_normalised,
    no_advantage,
)
from scgrpo.credit.aggregation import Aggregation
from scgrpo.credit.credit import Credit
from scgrpo.credit.distillation import DistillationLoss
from scgrpo.credit.heads import PolicyHeads
from scgrpo.credit.in_update import WeightInUpdate
from scgrpo.credit.scoring import SCORED, Scorer
from scgrpo.credit.served import Served, ServedScorer
from scgrpo.credit.student import StudentPass, StudentWeight
from scgrpo.credit.trust import Trust
from scgrpo.credit.use import NoUse, Use
from scgrpo.credit.weight import TokenWeight
from scgrpo.rollouts import Batch
from scgrpo.teachers.demonstrations import Demonstrations
from scgrpo.teachers.memory import TrajectoryMemory
from scgrpo.teachers.models import ModelHost, teacher_policy
from scgrpo.teachers.own_rollouts import OwnRollouts
from scgrpo.teachers.policy import Policy
from scgrpo.teachers.prompts import TeacherPrompts
from scgrpo.teachers.teacher import NoTeacher, OtherModel, Teacher
from scgrpo.world import World


@dataclass(frozen=True)
class Host:
    """What the method needs of whoever trains: TRL's trainer, or another."""

    method: Method
    world: World
    policy: Policy
    tokenizer: PreTrainedTokenizerBase
    models: ModelHost
    aggregation: Aggregation
    """Of the loss to which a term may be added."""
    sampling_logps: Callable[[Batch], Tensor]
    """Log-probs `(B, T)` of the policy that sampled a batch, in nats."""
    autocast: Callable[[], AbstractContextManager[Any]]
    temperature: float = 1.0
    guide: str = "math"
    max_length: int = 2**31
    """Longest teacher sequence in tokens."""
    chat_template: str | None = None
    template_options: dict[str, Any] = field(default_factory=dict)
    reference_thinking: str = "template"
    score_tokens: int = 16384
    share_prompts: bool = True
    prompts_are_given: bool = False
    """Whether somebody else than the chat template may make the student's prompts."""
    heads_in_float32: bool = False
    """Whether mixed precision ends before the output heads."""
    offloads_states: bool = False
    """Whether states that wait for the update do so on the CPU."""
    served: Served | None = None
    """Who makes the teacher's pass for weights of log-probs alone; None for the models here."""


def build_credit(host: Host) -> Credit:
    """The credit that the host's method means.

    Raises:
        ValueError: for a model or a teacher that the method cannot work with.
    """
    method = host.method
    return Credit(
        method,
        host.world,
        ADVANTAGES[method.advantage](host),
        TEACHERS[method.teacher](host),
        USES[method.use](host),
        Trust(method, host.world),
    )


def new_memory(method: Method) -> TrajectoryMemory | None:
    """The memory that a run begins with, None for a method that remembers nothing."""
    if not method.memory_size:
        return None
    return TrajectoryMemory(method.memory_size, method.memory_age)


def prompts_of(host: Host) -> TeacherPrompts:
    """What makes the prompts that a teacher of this host is shown."""
    return TeacherPrompts(
        host.tokenizer,
        host.guide,
        max_length=host.max_length,
        chat_template=host.chat_template,
        template_options=host.template_options,
        reference_thinking=host.reference_thinking,
        ids_are_given=host.prompts_are_given,
    )


def _models(host: Host) -> tuple[Policy, PolicyHeads]:
    """The teacher, and the heads of student and teacher."""
    method = host.method
    teacher = teacher_policy(method, host.policy, host.tokenizer, host.models)
    heads = PolicyHeads(
        host.policy.module,
        teacher.module,
        host.temperature,
        method.divergence,
        method.divergence_beta,
        method.divergence_clip,
        method.divergence_clip_of,
        in_float32=host.heads_in_float32,
    )
    return teacher, heads


def _student_pass(host: Host) -> StudentPass:
    module = host.policy.module
    heads = PolicyHeads(module, module, host.temperature, in_float32=host.heads_in_float32)
    return StudentPass(host.policy, heads, host.world, host.score_tokens, host.share_prompts)


def _token_weight(host: Host) -> TokenWeight | StudentWeight:
    weight = host.method.weight_function()
    if host.method.teacher == "none":
        return StudentWeight(host.method, host.world, _student_pass(host), weight)
    teacher, heads = _models(host)
    scorer = Scorer(
        host.policy,
        teacher,
        replace(heads, kind="forward"),
        host.world,
        # d of every teacher is known, by which it is judged.
        signals=(frozenset(weight.signals) & frozenset(SCORED)) | {"log_ratio"},
        divergence=host.method.needs_divergence,
        max_tokens=host.score_tokens,
        shares_prompts=host.share_prompts,
        offloads_states=host.offloads_states,
    )
    if host.served is not None:
        scorer = ServedScorer(**vars(scorer), served=host.served)
    kind = WeightInUpdate if host.method.weighs_in_update else TokenWeight
    return kind(host.method, host.world, scorer, weight)


def _distillation_loss(host: Host) -> DistillationLoss:
    return DistillationLoss(
        host.method,
        host.world,
        host.policy,
        *_models(host),
        host.aggregation,
        host.autocast,
        host.score_tokens,
        host.share_prompts,
    )


def _whitened(host: Host) -> Whitened:
    return Whitened(host.method.reward_kl, host.method.discount, host.sampling_logps)


def _entropy_shaped(host: Host) -> EntropyShaped:
    return EntropyShaped(host.method.solve_threshold, _student_pass(host).columns)


ADVANTAGES: dict[str, Callable[[Host], Estimator]] = {
    "group": lambda host: group_normalised,
    "whitened": _whitened,
    "gtpo": _entropy_shaped,
    "gigpo": lambda host: GroupInGroup(host.method.discount),
    "none": lambda host: no_advantage,
}
"""One entry for each of `scgrpo.limits.ADVANTAGES`."""

TEACHERS: dict[str, Callable[[Host], Teacher]] = {
    "none": lambda host: NoTeacher(host.method),
    "self": lambda host: OwnRollouts(host.method, prompts_of(host), host.method.contrasts),
    "demonstration": lambda host: Demonstrations(host.method, prompts_of(host)),
    "model": lambda host: OtherModel(host.method),
}
"""One entry for each of `scgrpo.limits.TEACHERS`."""

USES: dict[str, Callable[[Host], Use]] = {
    "none": lambda host: NoUse(),
    "weight": _token_weight,
    "loss": _distillation_loss,
}
"""One entry for each of `scgrpo.limits.USES`."""
