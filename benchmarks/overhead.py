"""What a step of ours costs beside TRL's GRPO step, on the same rollouts in the same process.

    python benchmarks/overhead.py [--device cuda] [--layers 16 --width 2048] [--quick]
        [--results results.json] [--output table.md]

All trainers share one random Llama and one optimizer and get the same scripted rollouts; their
steps alternate, so that a drift of the machine hits all. Ratios are medians over the rounds of a
method's step by TRL's of the same round. Tokens computed are padded positions through any model, as
a hook on the forwards counts them, three times where there is a gradient (a backward is two
forwards' worth). Memory is what a step adds to weights and optimizer. Scenarios:

worst        all completions equally long, references too, half of each group solved
usual        log-normal lengths, the longest three times the mean; 60 % of the groups partly
             solved, 15 % unsolved, 25 % solved
generation   the same, and transformers' generate up to the longest completion
correction   the same, with the student pass that vLLM's correction has TRL make
scaling      one group of four as in worst, a micro-batch for each, completions of growing length
memory       the same with a vocabulary of 151,936 and little else: what the output heads hold

With --results each scenario is written as soon as it is measured, and one that the file has with
the same options is not measured again, so that an interrupted run goes on.
"""

import argparse
import gc
import json
import math
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from overhead_rollouts import SCENARIOS, Rollouts, random_model, script, tokenizer
from torch import nn
from transformers import PreTrainedTokenizerFast
from transformers.models.llama.modeling_llama import LlamaModel
from trl import GRPOConfig, GRPOTrainer

from scgrpo import SCGRPOConfig, SCGRPOTrainer
from scgrpo.presets import load_preset
from scgrpo.trainer.timing import peak_memory

PRESETS = (
    *("grpo", "sc-grpo", "sc-grpo:previous"),
    *("sc-grpo-signed", "sc-grpo-signed:previous", "sc-grpo-signed-ungated"),
)
"""After a colon the `threshold_scope`."""
OTHERS = ("sc-grpo-mean4", "opsd", "opd", "grpo+fkl", "reinforce++")
"""Of the usual scenario alone."""
FEW = ("grpo", "sc-grpo", "sc-grpo:previous")
"""Where a round takes long."""
TOKENS = {"scaling": (512, 2048, 8192), "memory": (512, 4096)}
QUICK = {"scaling": (512, 2048), "memory": (512,)}
ONE_GROUP = {"groups": 1, "group": 4, "micro_batches": 4}
SPECIAL = {
    "scaling": ONE_GROUP,
    "memory": ONE_GROUP | {"vocabulary": 151936, "layers": 2, "width": 64},
}
PHASES = ("generate", "student_pass", "teacher_pass", "update")
os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")


@dataclass
class Bench:
    """What all trainers share."""

    options: argparse.Namespace
    folder: str
    model: nn.Module
    tokenizer: PreTrainedTokenizerFast
    optimizer: torch.optim.Optimizer

    def trainer(self, method: str, rollouts: Rollouts) -> Any:
        """TRL's trainer, or ours with a preset."""
        if method == "TRL GRPO":
            kind, args = GRPOTrainer, self.arguments(GRPOConfig, rollouts)
        else:
            preset, _, scope = method.partition(":")
            fields = load_preset(preset) | {"guide": "{reference}", "rollout_steps": 0}
            fields |= {"threshold_scope": scope} if scope else {}
            if fields.get("teacher") == "model":
                fields["teacher_model"] = self.folder
                fields["teacher_model_init_kwargs"] = {"dtype": self.options.dtype}
            kind, args = SCGRPOTrainer, self.arguments(SCGRPOConfig, rollouts, **fields)
        built: Any = kind(
            self.model,
            rollouts.reward,
            args,
            Dataset.from_list(rollouts.rows),
            processing_class=self.tokenizer,
            rollout_func=rollouts,
            optimizers=(self.optimizer, None),
        )
        built.current_gradient_accumulation_steps = self.options.micro_batches
        if rollouts.logprob is not None:  # as if vLLM had sampled, with the weights of now
            built.use_vllm, built._last_loaded_step = True, 0
        return built

    def arguments(self, config: type, rollouts: Rollouts, **fields: Any) -> Any:
        options = self.options
        return config(
            self.folder,
            **{
                "loss_type": "grpo",
                **fields,
                "use_cpu": options.device == "cpu",
                "bf16": False,
                "gradient_checkpointing": False,
                "per_device_train_batch_size": len(rollouts.prompts) // options.micro_batches,
                "gradient_accumulation_steps": options.micro_batches,
                "num_generations": options.group,
                "max_completion_length": max(map(len, rollouts.completions)),
                "vllm_importance_sampling_mode": "token_truncate",
                "report_to": "none",
            },
        )


@dataclass
class Measured:
    """What the steps of a method took, round by round."""

    seconds: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    phases: list[dict[str, float]] = field(default_factory=list)

    def phase(self, name: str) -> float:
        return statistics.median(step.get(f"time/{name}", 0.0) for step in self.phases)


@contextmanager
def counted() -> Iterator[list[int]]:
    """Padded positions of each forward of a backbone, three times where there is a gradient."""
    positions: list[int] = []

    def count(module: nn.Module, _: Any, output: Any) -> None:
        if isinstance(module, LlamaModel):
            states = output[0]
            positions.append(states.shape[0] * states.shape[1] * (3 if states.requires_grad else 1))

    handle = nn.modules.module.register_module_forward_hook(count)
    try:
        yield positions
    finally:
        handle.remove()


def begin_memory(device: str) -> float:
    """GiB in use, from which on the peak is taken."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated() / 2**30
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def end_memory(device: str) -> float:
    return peak_memory() if device == "cuda" else _status("VmHWM")


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 2**20


def step(
    trainer: Any, rows: list[dict[str, str]], options: argparse.Namespace, to: Measured
) -> None:
    """One optimizer step, measured."""
    count = options.micro_batches
    begin = begin_memory(options.device)
    with counted() as positions:
        start = time.perf_counter()
        for place in range(count):
            trainer.accelerator.gradient_state._set_sync_gradients(place == count - 1)
            trainer.training_step(trainer.model, rows, None)
        trainer.optimizer.step()
        trainer.optimizer.zero_grad()
        if options.device == "cuda":
            torch.cuda.synchronize()
        to.seconds.append(time.perf_counter() - start)
    to.memory.append(end_memory(options.device) - begin)
    to.tokens.append(sum(positions))
    logged = trainer._metrics["train"]
    to.phases.append({n: v[-1] for n, v in logged.items() if n.startswith("time/") and v})
    trainer._metrics["train"].clear()


def measure(
    bench: Bench, rollouts: Rollouts, methods: Sequence[str], seconds: float
) -> dict[str, Measured]:
    """So many rounds after one to warm up, fewer where the seconds are over, one at least."""
    trainers = {method: bench.trainer(method, rollouts) for method in methods}
    bench.model.train()
    found = {method: Measured() for method in methods}
    end = time.perf_counter() + seconds
    for place in range(bench.options.repeats + 1):
        for method, trainer in trainers.items():
            step(trainer, rollouts.rows, bench.options, found[method] if place else Measured())
        if place and time.perf_counter() > end:
            break
    return found


def lines(name: str, found: dict[str, Measured]) -> Iterator[str]:
    """Rows of the table; the phases that our trainer logs, in seconds."""
    trl = found["TRL GRPO"]
    for method, own in found.items():
        ratio = statistics.median(a / b for a, b in zip(own.seconds, trl.seconds, strict=True))
        tokens, memory = statistics.median(own.tokens), statistics.median(own.memory)
        phases = [f"{own.phase(phase):.2f}" if method != "TRL GRPO" else "" for phase in PHASES]
        cells = [
            *(name, method, f"{statistics.median(own.seconds):.2f}", f"{ratio:.2f}"),
            *(f"{tokens / 1000:.1f}", f"{tokens / statistics.median(trl.tokens):.2f}"),
            *(f"{memory:.2f}", f"{memory / max(statistics.median(trl.memory), 1e-9):.2f}", *phases),
            str(len(own.seconds)),
        ]
        yield f"| {' | '.join(cells)} |"


def head(options: argparse.Namespace) -> list[str]:
    device = "no GPU" if options.device == "cpu" else torch.cuda.get_device_name()
    titles = ["scenario", "method", "step, s", "by TRL's", "tokens computed, thousands"]
    titles += ["by TRL's", "memory, GiB", "by TRL's", *(f"{p}, s" for p in PHASES), "rounds"]
    return [
        f"{platform.machine()}, {torch.get_num_threads()} threads, {device}, torch "
        f"{torch.__version__}; weights in {options.dtype}.",
        "",
        f"| {' | '.join(titles)} |".replace("_", " "),
        "|---" * len(titles) + "|",
    ]


@dataclass(frozen=True)
class Case:
    """A scenario, and what is measured in it."""

    scenario: str
    tokens: int
    options: argparse.Namespace
    methods: tuple[str, ...]

    @property
    def key(self) -> str:
        """Equal for what would be measured alike."""
        names = ("device", "dtype", "layers", "width", "vocabulary", "groups", "group")
        shape = {name: getattr(self.options, name) for name in (*names, "micro_batches")}
        shape |= {"threads": torch.get_num_threads(), "methods": self.methods}
        return f"{self.scenario}, {self.tokens} {json.dumps(shape)}"

    def measured(self, seconds: float) -> dict[str, Measured]:
        """Rounds of all methods, with a model made for them."""
        with tempfile.TemporaryDirectory() as folder:
            model, made = random_model(self.options), tokenizer(self.options.vocabulary)
            if "opd" in self.methods:
                model.save_pretrained(folder)
                made.save_pretrained(folder)
                model.config._name_or_path = folder
            optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6)
            bench = Bench(self.options, folder, model, made, optimizer)
            kind = "worst" if self.scenario in SPECIAL else self.scenario
            rollouts = script(kind, self.options, self.tokens)
            found = measure(bench, rollouts, self.methods, seconds)
        gc.collect()
        return found

    @property
    def caption(self) -> str:
        o = self.options
        return (
            f"{self.scenario}: {o.groups} groups of {o.group} in {o.micro_batches} micro-batches, "
            f"{o.layers} layers of {o.width}, vocabulary {o.vocabulary}."
        )


def cases(options: argparse.Namespace) -> list[Case]:
    found = []
    for scenario in options.scenarios:
        lengths = options.tokens or (QUICK if options.quick else TOKENS).get(scenario, (64,))
        for tokens in lengths:
            own = argparse.Namespace(**vars(options) | SPECIAL.get(scenario, {}))
            long = scenario in (*SPECIAL, "generation", "correction")
            presets = [p for p in options.presets if not long or p in FEW or not options.quick]
            others = options.others if scenario == "usual" else []
            found.append(Case(scenario, tokens, own, ("TRL GRPO", *presets, *others)))
    return found


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--vocabulary", type=int, default=4096)
    parser.add_argument("--dtype", help="of the weights; float32, on a GPU bfloat16")
    parser.add_argument("--tokens", type=int, nargs="+", help="mean of completions, else 64")
    parser.add_argument("--groups", type=int, default=20)
    parser.add_argument("--group", type=int, default=8, help="rollouts of a group")
    parser.add_argument("--micro-batches", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=math.inf, help="for all rounds in sum")
    every = (*SCENARIOS, *SPECIAL)
    parser.add_argument("--scenarios", nargs="+", default=list(every), choices=every)
    parser.add_argument("--presets", nargs="+", default=list(PRESETS))
    parser.add_argument("--others", nargs="*", default=list(OTHERS), help="in usual alone")
    parser.add_argument("--quick", action="store_true", help="fewer methods, 480 s of rounds")
    parser.add_argument("--results", type=Path, help="JSON; what it has is not measured again")
    parser.add_argument("--output", type=Path, help="table")
    options = parser.parse_args()
    options.dtype = options.dtype or ("float32" if options.device == "cpu" else "bfloat16")
    if options.quick:
        options.seconds = min(options.seconds, 480.0)
    return options


def main() -> None:
    options = parsed()
    kept: dict[str, Any] = {}
    if options.results and options.results.exists():
        kept = json.loads(options.results.read_text())
    text = head(options)
    print("\n".join(text), flush=True)
    every = cases(options)
    captions = [""]
    for case in every:
        if case.key not in kept:
            found = case.measured(options.seconds / len(every))
            kept[case.key] = {method: asdict(own) for method, own in found.items()}
            if options.results:
                options.results.write_text(json.dumps(kept, indent=1))
        found = {method: Measured(**own) for method, own in kept[case.key].items()}
        rows = list(lines(f"{case.scenario}, {case.tokens}", found))
        print("\n".join(rows), flush=True)
        text += rows
        captions += [case.caption] if case.caption not in captions else []
    print("\n".join(captions))
    if options.output:
        whole = ["# What a step costs beside TRL's", "", *text, *captions, ""]
        options.output.write_text("\n".join(whole))


if __name__ == "__main__":
    main()
