"""Why a weight and not a loss, on the smallest case (docs/theory.md): two ways to solve a problem.

    python benchmarks/two_trajectories.py docs/two_trajectories.png

A solution chooses A or C, writes a word, and closes with B after A, or with D after C. The teacher
is shown one of the solutions AB and CD, each half of the time, copies its choice and its closing,
and writes any word. All expectations are exact: there are eight trajectories.
"""

import argparse
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import torch
from torch import Tensor

from scgrpo.method import (
    credit_weight,
    disagreement,
    group_advantage,
    per_token_divergence,
    threshold,
)

CHOICES, WORDS, CLOSINGS = "AC", "uv", "BD"
SOLVED = {("A", "B"), ("C", "D")}
SLIP = 0.02
"""How often the teacher does not copy."""
STEPS, RATE = 400, 0.5


@dataclass
class Student:
    """Logits of the choice `(2)`, of the word `(2, 2)` and of the closing `(2, 2)` after it."""

    choice: Tensor
    word: Tensor
    closing: Tensor

    @classmethod
    def beginner(cls) -> "Student":
        """Chooses A three times in five, and closes rightly four times in five."""
        right, wrong = 0.8, 0.2
        choice = torch.tensor([0.6, 0.4]).log()
        closing = torch.tensor([[right, wrong], [wrong, right]]).log()
        return cls(*(logits.requires_grad_() for logits in (choice, torch.zeros(2, 2), closing)))

    def parameters(self) -> list[Tensor]:
        return [self.choice, self.word, self.closing]

    def logits(self, choice: int) -> Tensor:
        """`(3, 2)` logits along a trajectory that chose so (the word decides nothing)."""
        return torch.stack([self.choice, self.word[choice], self.closing[choice]])

    def mass(self) -> dict[str, float]:
        """Probability of each pair of choice and closing."""
        with torch.no_grad():
            first, last = self.choice.softmax(-1), self.closing.softmax(-1)
        return {
            a + b: float(first[i] * last[i, j])
            for (i, a), (j, b) in product(enumerate(CHOICES), enumerate(CLOSINGS))
        }


def teacher_logits() -> Tensor:
    """`(2, 3, 2)` logits of the teacher shown AB and of that shown CD, whatever the prefix."""
    copies = torch.tensor([1 - SLIP, SLIP]).log()
    any_word = torch.zeros(2)
    shown_ab = torch.stack([copies, any_word, copies])
    return torch.stack([shown_ab, torch.stack([copies.flip(0), any_word, copies.flip(0)])])


def trajectories(student: Student) -> list[tuple[tuple[int, int, int], Tensor]]:
    """All trajectories with their probabilities, which carry no gradient."""
    found = []
    for path in product(range(2), repeat=3):
        log_q = student.logits(path[0]).log_softmax(-1)
        found.append((path, log_q[torch.arange(3), list(path)].sum().exp().detach()))
    return found


def distillation_loss(student: Student) -> Tensor:
    """Expected forward KL along the student's own trajectories, references drawn evenly."""
    teachers = teacher_logits()
    loss = torch.zeros(())
    for path, probability in trajectories(student):
        own = student.logits(path[0]).expand_as(teachers)
        loss = loss + probability * per_token_divergence(teachers, own).mean(0).sum()
    return loss


def weighted_loss(student: Student) -> Tensor:
    """Expected SC-GRPO loss: f(D) times the advantage, for a group that holds all trajectories."""
    teachers = teacher_logits()
    paths = trajectories(student)
    solved = [(CHOICES[p[0]], CLOSINGS[p[2]]) in SOLVED for p, _ in paths]
    advantage = group_advantage(torch.tensor([[float(s) for s in solved]]))[0]
    kl = torch.stack(
        [
            per_token_divergence(teachers, student.logits(p[0]).detach().expand_as(teachers))
            for p, _ in paths
        ]
    )  # (8 trajectories, 2 references, 3 tokens)
    c = threshold(kl, torch.ones_like(kl, dtype=torch.bool))
    weight = credit_weight(kl, c).mean(1)
    loss = torch.zeros(())
    for (path, probability), a, f in zip(paths, advantage, weight, strict=True):
        log_q = student.logits(path[0]).log_softmax(-1)[torch.arange(3), list(path)]
        loss = loss - probability * a * (f * log_q).sum() / 3
    return loss


def descend(loss_of) -> list[dict[str, float]]:
    """Masses after each step of gradient descent from the beginner."""
    student = Student.beginner()
    masses = [student.mass()]
    for _ in range(STEPS):
        gradients = torch.autograd.grad(loss_of(student), student.parameters(), allow_unused=True)
        with torch.no_grad():
            for parameter, gradient in zip(student.parameters(), gradients, strict=True):
                parameter -= RATE * (gradient if gradient is not None else 0)
        masses.append(student.mass())
    return masses


def position_signals() -> dict[str, list[float]]:
    """Disagreement of the teachers, and mean D after A, by position."""
    teachers = teacher_logits()
    own = Student.beginner().logits(0).detach().expand_as(teachers)
    return {
        "teachers' disagreement": disagreement(teachers).tolist(),
        "D of a beginner who chose A": per_token_divergence(teachers, own).mean(0).tolist(),
    }


def draw(output: Path) -> None:
    """The figure of docs/theory.md."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
    runs = {
        "distilled (forward KL)": distillation_loss,
        "weighted gradient (SC-GRPO)": weighted_loss,
    }
    styles = {
        "AB": ("#0072b2", "-"),
        "CD": ("#00795a", "-"),
        "AD": ("#c2500a", "--"),
        "CB": ("#a64d83", ":"),
    }
    for axis, (title, loss_of) in zip(axes, runs.items(), strict=False):
        masses = descend(loss_of)
        for name, (colour, dash) in styles.items():
            label = f"{name}, {'solves' if tuple(name) in SOLVED else 'solves nothing'}"
            axis.plot([m[name] for m in masses], color=colour, linestyle=dash, label=label, lw=2)
        axis.set(title=title, xlabel="gradient step", ylim=(-0.02, 1.02))
    axes[0].set_ylabel("probability")
    axes[0].legend(frameon=False, fontsize=8, loc="upper right")
    places = range(3)
    for offset, (name, values) in zip((-0.2, 0.2), position_signals().items(), strict=True):
        axes[2].bar(
            [p + offset for p in places],
            values,
            width=0.38,
            label=name,
            color="#0072b2" if offset < 0 else "#b4bac4",
        )
    axes[2].set_xticks(list(places), ["choice", "word", "closing"])
    axes[2].set(title="signal by position", ylabel="nats", ylim=(0, 1.0))
    axes[2].legend(frameon=False, fontsize=8)
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(output, dpi=130)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    draw(parser.parse_args().output)
