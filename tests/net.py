"""A net under refactorings that must not change what is computed: digests of many short runs.

`make` writes them to a file, `compare` runs all again and says what differs; a file holds for one
machine and its versions only, since others round otherwise."""

import argparse
import hashlib
import io
import itertools
import json
import os
import re
import shlex
import shutil
import tempfile
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")
os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")

import pyarrow.parquet as pq
import torch
import yaml
from peft import LoraConfig
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback, set_seed
from trl import GRPOConfig
from typer.testing import CliRunner

import scgrpo
from scgrpo import SCGRPOConfig, SCGRPOTrainer
from scgrpo.cli.main import app
from scgrpo.presets import PRESETS, load_preset
from scgrpo.tasks import load_task

Fields = dict[str, Any]
Outcome = dict[str, Any]
"""`rows`: what was logged, names and values; `digests`: of weights and of everything else."""

MEASURED = re.compile(r"time|memory/peak|per_second|flos|seconds|date|version|git|path|model")
"""Names of what two equal runs need not have in common."""
SHORT: Fields = yaml.safe_load("""{use_cpu: true, bf16: false, gradient_checkpointing: false,
report_to: none, disable_tqdm: true, save_strategy: "no", max_steps: 4, logging_steps: 1, seed: 0,
per_device_train_batch_size: 8, gradient_accumulation_steps: 2, num_generations: 4,
max_completion_length: 24, learning_rate: 0.0003, temperature: 0.9}""")
OWN = """
def praised(credit, advantage):
    return credit * (advantage > 0) + 0.5
def surprise(kl, logp, scale):
    return kl / (kl + 2 * scale(kl)) * (-logp).clamp(max=1)
def judge(completions, answer, **_):
    return [float(a in c[0]["content"]) for c, a in zip(completions, answer)]
"""

RUNS = """
sc-grpo,grpo+fkl | loss_type: bnpo; loss_type: dr_grpo; loss_type: dapo, steps_per_generation: 4
sc-grpo,grpo+fkl | num_iterations: 2; gradient_checkpointing: true; teacher_max_length: 38
sc-grpo,grpo+fkl | beta: 0.05; dynamic_sampling: true; teacher_weights: initial
sc-grpo,grpo+fkl | teacher: model, teacher_model: FOLDER/teacher
sc-grpo | threshold_scope: micro_batch; threshold_min: 1.0; teacher: demonstration
sc-grpo | threshold_scope: previous, rollout_steps: 0; threshold_fixed: 0.2, rollout_steps: 0
sc-grpo | weight: entropy; weight: FOLDER/own.py:surprise; weight: FOLDER/own.py:praised
sc-grpo | weight: disagreement, references: 2, reference_set: any-partial; guide: "{reference} so"
sc-grpo | steps_per_generation: 4; steps_per_generation: 1, threshold_scope: micro_batch
sc-grpo | steps_per_generation: 2, gradient_accumulation_steps: 3, threshold_scope: micro_batch
sc-grpo | dynamic_sampling: true, steps_per_generation: 1, threshold_scope: micro_batch
sc-grpo | advantage: whitened, discount: 0.95; overlong_tokens: 8; top_entropy_quantile: 0.5
sc-grpo | advantage: whitened, reward_kl: 0.05, weight: FOLDER/own.py:praised; score_tokens: 100
sc-grpo | importance_sampling_level: sequence, num_iterations: 2; scale_rewards: batch
sc-grpo | mask_truncated_completions: true, max_completion_length: 17; scale_rewards: none
sc-grpo six | dynamic_sampling: true, resample_rounds: 2; dynamic_sampling: true, memory_size: 2
sc-grpo few | memory_size: 2, reference_set: all, references: 3
sc-grpo,sc-grpo-disagreement,grpo+fkl few | memory_size: 2, memory_age: 2
sc-grpo few once | memory_size: 2, top_k: 1
sc-grpo few once | memory_size: 2; memory_size: 2, references: 2, weight: disagreement
grpo+fkl | divergence: jsd, divergence_beta: 0.3; divergence: bidirectional, divergence_beta: 0.2
grpo+fkl | divergence_clip: 0.01; loss_coefficient_start: 0.03, loss_warmup_steps: 2
grpo+fkl | reference_set: any-partial; steps_per_generation: 1; advantage: whitened, reward_kl: 0.05
reinforce++ | reward_kl: 0.3, discount: 0.9, num_iterations: 2
opd | teacher_model: FOLDER/teacher
opsd | teacher_weights: current, divergence_clip: null
sc-grpo,dapo,reinforce++ several | verifier: verify, reward_weights: [0.5, 1, 0.25]
sc-grpo several | verifier: verify, reward_weights: [0.5, 1, 0.25], overlong_tokens: 8
sc-grpo several | verifier: verify, multi_objective_aggregation: normalize_then_sum
sc-grpo,reinforce++ graded | ; solve_threshold: 0.6
sc-grpo,opsd,reinforce++ adapter |
sc-grpo adapter | teacher_weights: initial
sc-grpo,grpo+rkl dropout | num_iterations: 2
sc-grpo,opsd texts |
sc-grpo system |
sc-grpo held-out | eval_strategy: steps, eval_steps: 2, per_device_eval_batch_size: 8
grpo,sc-grpo,grpo+fkl agent |
sc-grpo-memory few agent |
sc-grpo agent | teacher_max_length: 90
sc-grpo agent scoring |
sc-grpo agent tools |
GRPOConfig |
"""
"""Each line: presets, ingredients | fields; fields of the next case; ..."""
OTHERS = """
resume: sc-grpo-memory few | num_iterations: 2, save_strategy: steps, save_steps: 2
resume: opsd six | save_strategy: steps, save_steps: 2
train: --preset=sc-grpo
train: --preset=grpo
train: --preset=grpo+fkl
train: --preset=opsd --eval_steps=0
train: --preset=sc-grpo-disagreement --eval_steps=0
train: --preset=sc-grpo-memory --eval_steps=0 --task_options='{steps: 2, train_size: 4}'
train: --lora='{r: 2}' --dtype=bfloat16 --eval_steps=0 --max_steps=2
train: --dataset=FOLDER/rows.jsonl --reward=FOLDER/own.py:judge --guide='so {reference}'
train: --task=lookup --model=tiny-agent --task_options='{names: 2}' --max_completion_length=80
evaluate: tiny --task synthetic --task-options '{steps: 1}'
evaluate: tiny-agent --task lookup --task-options '{names: 2}'
"""


async def even(completions: list[Any], **_: Any) -> list[float | None]:
    return [n % 2 * 0.5 if n % 3 else None for n in lengths(completions)]


def graded(completions: list[Any], **_: Any) -> list[float | None]:
    return [n % 4 / 3 if n % 5 else None for n in lengths(completions)]


def lengths(completions: list[Any]) -> list[int]:
    return [len(c if isinstance(c, str) else c[-1]["content"] or "") for c in completions]


def once(task: Any) -> list[Any]:
    tries: dict[str, Iterator[int]] = defaultdict(itertools.count)
    return [lambda prompts, **_: [float(next(tries[str(p)]) < 2) for p in prompts]]


def scoring(task: Any) -> Fields:
    number = itertools.count()
    rewarded = {"get_reward": lambda self: float(next(number) % 3 == 0)}
    return {"environment_factory": type("Scoring", (task.environment,), rewarded)}


def tools(task: Any) -> Fields:
    environment = task.environment()
    environment.reset(**task.rows("train")[0])
    return {"tools": [environment.look]}


INGREDIENTS: dict[str, Fields] = {
    "few": {"rows": 4, "tokens": 40, "steps": 2},
    "six": {"rows": 6},
    "several": {"rewards": lambda task: [graded, task.verify, even]},
    "graded": {"rewards": lambda task: [graded]},
    "once": {"rewards": once},
    "adapter": {"lora": {"r": 4, "init_lora_weights": False}},
    "dropout": {"lora": {"r": 4, "init_lora_weights": False, "lora_dropout": 0.1}},
    "texts": {"prompt": lambda p: f"<|user|>{p[0]['content']}<|end|><|assistant|>"},
    "system": {"prompt": lambda p: [{"role": "system", "content": "so "}, *p]},
    "held-out": {"more": lambda task: {"eval_dataset": task.rows("heldout").select(range(8))}},
    "agent": {"tokens": 80, "more": lambda task: {"environment_factory": task.environment}},
    "scoring": {"rewards": lambda task: [], "more": scoring},
    "tools": {"rewards": lambda task: [graded], "more": tools},
}


def build(line: str, folder: Path) -> SCGRPOTrainer:
    words, _, written = line.partition("|")
    preset, *ingredients = words.split()
    made = {k: v for name in ingredients for k, v in INGREDIENTS[name].items()}
    agent = "agent" in ingredients
    dial = {"names": 2} if agent else {"steps": made.get("steps", 1)}
    task = load_task("lookup" if agent else "synthetic", train_size=made.get("rows", 24), **dial)
    fields = SHORT | {"max_completion_length": made.get("tokens", 24)}
    fields |= yaml.safe_load(f"{{{written.replace('FOLDER', str(folder))}}}")
    make_files(folder, teacher="teacher_model" in fields)
    own = {} if preset == "GRPOConfig" else load_preset(preset) | {"guide": task.guide}
    args = (SCGRPOConfig if own else GRPOConfig)(str(folder), **own | fields)
    rows = task.rows("train")
    if "prompt" in made:
        prompts = [made["prompt"](row["prompt"]) for row in rows]
        rows = rows.remove_columns("prompt").add_column("prompt", prompts)
    set_seed(0)
    model, tokenizer = load_base("tiny-agent" if agent else "tiny-base")
    trainer = SCGRPOTrainer(
        model,
        made["rewards"](task) if "rewards" in made else [task.verify],
        args,
        rows,
        processing_class=tokenizer,
        peft_config=LoraConfig(task_type="CAUSAL_LM", **made["lora"]) if "lora" in made else None,
        **(made["more"](task) if "more" in made else {}),
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def load_base(name: str) -> tuple[Any, Any]:
    folder = next(Path(scgrpo.__file__).parent.rglob(name))
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model, AutoTokenizer.from_pretrained(folder, padding_side="left")


def make_files(folder: Path, *, teacher: bool = False) -> None:
    (folder / "own.py").write_text(OWN)
    rows = load_task("synthetic", steps=1, train_size=24).rows("train")
    rows.select_columns(["prompt", "answer"]).to_json(folder / "rows.jsonl")
    if teacher:
        set_seed(1)
        model, tokenizer = load_base("tiny-base")
        with torch.no_grad():
            for weight in model.parameters():
                weight += 0.02 * torch.randn_like(weight)
        model.save_pretrained(folder / "teacher")
        tokenizer.save_pretrained(folder / "teacher")


def run(line: str, folder: Path, resume: str | None = None) -> Outcome:
    trainer = build(line, folder)
    trainer.train(resume_from_checkpoint=resume)
    weights = digest_of_weights(dict(trainer.model.named_parameters()))
    rows = [reproducible(row) for row in trainer.state.log_history]
    return {"rows": rows, "digests": {"weights": weights}}


def resume(line: str, folder: Path) -> Outcome:
    whole = run(line, folder)
    resumed = run(line, folder, resume=f"{folder}/checkpoint-2")
    resumed["digests"]["as the whole run"] = str(resumed["digests"] == whole["digests"])
    return resumed


def train(line: str, folder: Path) -> Outcome:
    """What `scgrpo train` leaves behind; with memory, after it went on from its first half."""
    make_files(folder)
    fields = SHORT | {"rollout_steps": 1, "eval_steps": 2, "eval_problems": 3, "eval_k": 2}
    fields |= {"save_strategy": "steps", "save_steps": 2, "output_dir": folder, "name": "run"}
    written = " ".join(f"--{name}={value}" for name, value in fields.items())
    written += " --task_options='{steps: 1, train_size: 24}'"
    made = folder / "run"
    call(f"train {written} {line}", folder)
    if "memory" in line:
        for name in ("model", "checkpoints/checkpoint-4"):
            shutil.rmtree(made / name)
        call(f"train {written} {line}", folder)
    digests = {"weights": digest_of_weights(load_file(next(made.glob("model/*.safetensors"))))}
    for file in sorted(made.glob("rollouts/*.parquet")):
        for column, values in pq.read_table(file).to_pydict().items():
            digests[f"{file.name} {column}"] = hashlib.sha256(repr(values).encode()).hexdigest()
    logged = [made / "metrics.jsonl", *sorted(made.glob("eval/*.jsonl"))]
    return {"rows": [row for file in logged for row in read_rows(file)], "digests": digests}


def evaluate(line: str, folder: Path) -> Outcome:
    call(f"evaluate {line} -k 2 --limit 4 -o FOLDER/samples.jsonl", folder)
    return {"rows": read_rows(folder / "samples.jsonl"), "digests": {}}


def call(command: str, folder: Path) -> None:
    set_seed(0)
    result = CliRunner().invoke(app, shlex.split(command.replace("FOLDER", str(folder))))
    if result.exit_code:
        raise RuntimeError(f"exit code {result.exit_code}: {result.output}") from result.exception


def digest_of_weights(weights: dict[str, torch.Tensor]) -> str:
    sha = hashlib.sha256()
    for name, weight in sorted(weights.items()):
        sha.update(f"{name} {weight.dtype} {tuple(weight.shape)}".encode())
        sha.update(weight.detach().contiguous().view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()


def reproducible(row: Fields) -> dict[str, str]:
    return {name: repr(value) for name, value in row.items() if not MEASURED.search(name)}


def read_rows(file: Path) -> list[dict[str, str]]:
    return [reproducible(json.loads(line)) for line in file.read_text().splitlines()]


def cases() -> Iterator[tuple[str, Callable[[str, Path], Outcome], str]]:
    for text in [f"{','.join(p for p in PRESETS if p != 'opd')} |", *RUNS.strip().split("\n")]:
        words, _, alternatives = text.partition(" |")
        presets, *ingredients = words.split()
        for preset, fields in itertools.product(presets.split(","), alternatives.split(";")):
            line = f"{' '.join([preset, *ingredients])} | {fields.strip()}"
            yield f"run: {line}".rstrip(" |"), run, line
    functions = {"resume": resume, "train": train, "evaluate": evaluate}
    for name in OTHERS.strip().split("\n"):
        kind, _, line = name.partition(": ")
        yield name, functions[kind], line


def run_cases(only: list[str]) -> Iterator[tuple[str, float, Outcome]]:
    for name, function, line in cases():
        if only and not any(part in name for part in only):
            continue
        start, silence = time.monotonic(), io.StringIO()
        with tempfile.TemporaryDirectory() as folder:
            try:
                with redirect_stdout(silence), redirect_stderr(silence):
                    outcome = function(line, Path(folder))
            except Exception as error:  # one case that fails does not stop the others
                traceback.print_exc()
                outcome = {"rows": [], "digests": {"error": repr(error)}}
        yield name, time.monotonic() - start, outcome


def differences(old: Outcome, new: Outcome) -> Iterator[str]:
    for name in old["digests"] | new["digests"]:
        if old["digests"].get(name) != new["digests"].get(name):
            yield f"{name} differs"
    for before, after in itertools.zip_longest(old["rows"], new["rows"], fillvalue={}):
        for name in before | after:
            if before.get(name) != after.get(name):
                place = f"{name} at step {after.get('step')}"
                yield f"{place}: {before.get(name)} -> {after.get(name)}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.net", description=__doc__)
    parser.add_argument("action", choices=("make", "compare"))
    parser.add_argument("file", type=Path)
    parser.add_argument("--only", action="append", default=[], metavar="SUBSTRING")
    asked = parser.parse_args()
    making = asked.action == "make"
    kept: dict[str, Outcome] = {} if making else json.loads(asked.file.read_text())
    made, bad = {}, 0
    for name, seconds, outcome in run_cases(asked.only):
        made[name] = outcome
        old = kept.get(name, {"rows": [], "digests": {}})
        found = [] if making else list(differences(old, outcome))
        found += [f"failed: {e}" for key, e in outcome["digests"].items() if key == "error"]
        bad += bool(found)
        print(f"{'DIFFERS' if found else 'ok':8}{seconds:5.1f} s  {name}", flush=True)
        for difference in found[:6]:
            print(f"{'':17}{difference}")
    for name in [] if asked.only else kept.keys() - made:
        bad += 1
        print(f"GONE              {name}")
    print(f"{len(made)} cases, of which {bad} differ or fail")
    if making:
        asked.file.write_text(json.dumps(made, indent=1) + "\n")
    return min(bad, 1)


if __name__ == "__main__":
    raise SystemExit(main())
