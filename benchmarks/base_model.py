"""What the tiny base does before any training: Avg@8, Pass@8, routes, and where D lies.

    python benchmarks/base_model.py [MODEL] [--problems 128] [--output FILE]

Samples groups of 8 on held-out problems, routes them and draws references as the trainer does, and
prints D = KL(teacher || student) and the student's entropy by kind of token. The paper's runs have
P75 of D about 0.03 to 0.1, P95 about 0.2 to 0.5, and the bottom half near 0.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from scgrpo.embedded.shipped import SHIPPED
from scgrpo.evaluation.engines.base import Sampling
from scgrpo.evaluation.metrics import avg_at_k, pass_at_k
from scgrpo.evaluation.sample_seeds import sample_seed
from scgrpo.evaluation.sampling import (
    inference_state,
    sample_completions,
    stop_tokens,
    uniforms,
)
from scgrpo.method.advantages import group_advantage
from scgrpo.method.divergence import per_token_divergence
from scgrpo.method.references import NO_REFERENCE, draw_references
from scgrpo.method.routing import Route, route_groups
from scgrpo.method.weights import credit_weight, threshold
from scgrpo.tasks import Task, load_task
from scgrpo.teachers.prompts import TeacherPrompts

GROUP, BATCH = 8, 8
PERCENTILES = (25, 50, 75, 90, 95, 99)


@dataclass
class Tokens:
    """Every active token: its kind, D and entropy in nats."""

    kinds: list[str] = field(default_factory=list)
    kl: list[float] = field(default_factory=list)
    entropy: list[float] = field(default_factory=list)


class Base:
    """A model with its tokenizer and task, asked as the trainer asks."""

    def __init__(self, folder: str, task: Task) -> None:
        self.model = AutoModelForCausalLM.from_pretrained(folder)
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.task = task
        self.length = task.trainer_defaults["max_completion_length"]
        self.teacher = TeacherPrompts(self.tokenizer, task.guide, max_length=512)

    def prompt_ids(self, row: dict[str, Any]) -> list[int]:
        text = self.tokenizer.apply_chat_template(
            row["prompt"], add_generation_prompt=True, tokenize=False
        )
        return list(self.tokenizer(text)["input_ids"])

    def sample(self, rows: Sequence[dict[str, Any]], seed: int) -> list[list[int]]:
        """`GROUP` completions of each row, at temperature 1, group by group."""
        draws = [
            uniforms(sample_seed(seed, row["problem_id"], k), self.length)
            for row in rows
            for k in range(GROUP)
        ]
        prompts = [ids for row in rows for ids in [self.prompt_ids(row)] * GROUP]
        return sample_completions(
            self.model,
            prompts,
            np.stack(draws),
            sampling=Sampling(),
            pad=self.tokenizer.pad_token_id,
            stops=stop_tokens(self.model, self.tokenizer),
        )

    def rewards(self, rows: Sequence[dict[str, Any]], completions: list[list[int]]) -> Tensor:
        """`(N, G)` rewards of the task's verifier."""
        texts = self.tokenizer.batch_decode(completions, skip_special_tokens=True)
        columns = {name: [row[name] for row in rows for _ in range(GROUP)] for name in rows[0]}
        return torch.tensor(self.task.verify(texts, **columns)).view(-1, GROUP)

    def logits(self, prompt: list[int], completion: list[int]) -> Tensor:
        """`(T, V)` logits from which the completion was predicted."""
        ids = torch.tensor([[*prompt, *completion]])
        return self.model(input_ids=ids).logits[0, len(prompt) - 1 : -1]

    def kind(self, token: int) -> str:
        piece = self.tokenizer.decode([token])
        return "routine" if piece.strip().isalpha() else "step"


def score(
    base: Base, rows: Sequence[dict[str, Any]], completions: list[list[int]], reward_NG: Tensor
) -> Tokens:
    """D and entropy of every active token, references drawn as in training."""
    reference_NG = draw_references(reward_NG, route_groups(reward_NG), seed=0, step=0)
    tokens = Tokens()
    for place, reference in enumerate(reference_NG.flatten().tolist()):
        if reference == NO_REFERENCE:
            continue
        group, row, own = place // GROUP, rows[place // GROUP], completions[place]
        prompt, shown = base.prompt_ids(row), completions[group * GROUP + reference]
        taught = base.teacher.build(row["prompt"], prompt, shown, len(own))
        assert taught and not taught.reference_cut
        student_TV, teacher_TV = base.logits(prompt, own), base.logits(taught.ids, own)
        log_q_TV = student_TV.log_softmax(-1)
        tokens.kinds += map(base.kind, own)
        tokens.kl += per_token_divergence(teacher_TV, student_TV).tolist()
        tokens.entropy += (-(log_q_TV.exp() * log_q_TV).sum(-1)).tolist()
    return tokens


def gradient_lines(
    base: Base, rows: Sequence[dict[str, Any]], completions: list[list[int]], reward_NG: Tensor
) -> list[str]:
    """Which part of GRPO's gradient comes from each kind of token, by batches of `BATCH` groups."""
    advantage = group_advantage(reward_NG).flatten().tolist()
    size = BATCH * GROUP
    batches = [range(start, start + size) for start in range(0, len(completions) - size + 1, size)]
    lines = [
        "| gradient of GRPO from | share of the norm | left of it in the mean |",
        "|---|---|---|",
    ]
    parts = {
        kind: torch.stack([_gradient(base, rows, completions, advantage, b, kind) for b in batches])
        for kind in ("routine", "step")
    }
    whole_B = (parts["routine"] + parts["step"]).norm(dim=1)
    for kind, part_BP in parts.items():
        norm_B = part_BP.norm(dim=1)
        left = part_BP.mean(0).norm() / norm_B.mean()
        lines.append(f"| {kind} | {(norm_B / whole_B).mean():.2f} | {left:.2f} |")
    noise = len(batches) ** -0.5
    return [
        *lines,
        "",
        f"{len(batches)} batches of {BATCH} groups. Last column: norm of the mean gradient of all "
        f"batches over the mean norm of one; unrelated gradients would leave {noise:.2f}.",
    ]


def _gradient(
    base: Base,
    rows: Sequence[dict[str, Any]],
    completions: list[list[int]],
    advantage: Sequence[float],
    places: range,
    kind: str,
) -> Tensor:
    base.model.zero_grad()
    for place in places:
        own = completions[place]
        chosen = torch.tensor([base.kind(token) == kind for token in own])
        if advantage[place] == 0 or not chosen.any():
            continue
        logits_TV = base.logits(base.prompt_ids(rows[place // GROUP]), own)
        logp_T = logits_TV.log_softmax(-1).gather(-1, torch.tensor(own)[:, None])[:, 0]
        (advantage[place] * logp_T[chosen].sum() / len(own)).backward()
    return torch.cat([p.grad.flatten() for p in base.model.parameters() if p.grad is not None])


def solved_lines(rows: Sequence[dict[str, Any]], reward_NG: Tensor) -> list[str]:
    """Avg@8 and Pass@8 by level, and the shares of the routes."""
    levels = torch.tensor([row["level"] for row in rows])
    lines = ["| additions | problems | Avg@8 | Pass@8 |", "|---|---|---|---|"]
    for name, chosen in [
        *((str(level), levels == level) for level in sorted(set(levels.tolist()))),
        ("all", levels > 0),
    ]:
        some = reward_NG[chosen].numpy()
        lines.append(f"| {name} | {len(some)} | {avg_at_k(some):.3f} | {pass_at_k(some):.3f} |")
    route_N, solved_N = route_groups(reward_NG), reward_NG.sum(1)
    shares = {
        "partial (2 to 7 verified)": route_N == Route.PARTIAL,
        "none (0 verified)": route_N == Route.NONE,
        "plain, 1 verified": solved_N == 1,
        "plain, 8 verified": solved_N == GROUP,
    }
    lines += ["", "| route of the group | share |", "|---|---|"]
    return lines + [f"| {name} | {mask.float().mean():.2f} |" for name, mask in shares.items()]


def token_lines(tokens: Tokens) -> list[str]:
    """Percentiles of D, entropy and weight by kind of token."""
    kinds, kl, entropy = map(np.array, (tokens.kinds, tokens.kl, tokens.entropy))
    kl_T = torch.tensor(kl)
    c = threshold(kl_T, torch.ones_like(kl_T, dtype=torch.bool))
    weight = credit_weight(kl_T, c).numpy()
    heads = ["tokens", "share", "entropy", *(f"D P{p}" for p in PERCENTILES), "sum of D", "mean f"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name in ("routine", "step", "all"):
        chosen = kinds == name if name != "all" else kinds != ""
        if not chosen.any():
            continue
        at = " | ".join(f"{x:.5f}" for x in np.percentile(kl[chosen], PERCENTILES))
        lines.append(
            f"| {name} | {chosen.mean():.2f} | {entropy[chosen].mean():.2f} | {at} "
            f"| {kl[chosen].sum() / kl.sum():.1%} | {weight[chosen].mean():.2f} |"
        )
    return [*lines, "", f"Threshold c = {float(c):.5f}; {len(kl)} active tokens."]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", default=str(SHIPPED["tiny"]))
    parser.add_argument("--problems", type=int, default=128)
    parser.add_argument("--split", default="heldout")
    parser.add_argument("--routine", type=float, help="share that the model was built for")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    dials = {} if options.routine is None else {"routine": options.routine}
    task = load_task("synthetic", heldout_size=options.problems, ood_size=options.problems, **dials)
    base = Base(options.model, task)
    rows = task.rows(options.split).to_list()[: options.problems]
    with inference_state(base.model):
        completions = base.sample(rows, options.seed)
        reward_NG = base.rewards(rows, completions)
        tokens = score(base, rows, completions, reward_NG)
    gradient = gradient_lines(base, rows, completions, reward_NG)
    lengths = np.array([len(ids) for ids in completions])
    head = f"{options.split}, {len(rows)} problems x {GROUP} samples, seed {options.seed}; "
    head += f"{lengths.mean():.0f} tokens a completion, longest {lengths.max()}."
    body = [head, "", *solved_lines(rows, reward_NG), "", *token_lines(tokens), "", *gradient]
    text = "\n".join([*body, ""])
    print(text)
    if options.output:
        options.output.write_text(text)


if __name__ == "__main__":
    main()
