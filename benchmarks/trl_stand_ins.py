"""A pytest plugin: TRL's tests under another class, with tiny stand-ins for the hub.

The stand-ins are folders that are called as the hub's repositories are, in the working directory,
where transformers and datasets look first. `trl_suite.py` runs it.
"""

import inspect
import io
import json
import os
import re
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import field, make_dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
import trl
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast
from trl.trainer.base_config import _BaseConfig

OWNER = "trl-internal-testing"
NAME = re.compile(rf"{OWNER}/tiny-([A-Za-z0-9_]+For(?:CausalLM|SequenceClassification))[\w.\-]*")
TEMPLATES = Path(trl.__file__).parent / "chat_templates"
TEMPLATE_OF = {"Qwen3": "qwen3", "Llama": "llama3_2", "Gemma": "gemma", "GptOss": "gptoss"}
"""Chat template of a family, by the start of its name; the others have that of Qwen 2.5."""

VOCABULARY, SMALL = 151936, 4096
"""Size of Qwen's vocabulary, for tests that need it; the others are quicker with a small one."""
NEEDS_ALL = re.compile(r"\b1516\d\d\b|mask_truncated")
"""In the source of a test: tokens as numbers, or an end of text that is all but never sampled."""
PAD, START, END = 151643, 151644, 151645
PIECES = {
    PAD: "<|endoftext|>", START: "<|im_start|>", END: "<|im_end|>",
    151646: "<|finetune_right_pad_id|>", 151657: "<tool_call>", 151658: "</tool_call>",
    151667: "<think>", 151668: "</think>",
    330: ' "', 606: "name", 788: '":', 894: " any", 944: "'t", 1414: " know", 1513: " don",
    4913: '{"', 5212: ' {"', 5392: " tool", 7692: "async", 11248: "}}\n", 16370: "arguments",
    17453: "Done", 22785: "_tool", 64648: "multiply", 93054: "_multiply", 497: '",',
}  # fmt: skip
"""Tokens that TRL's tests write as numbers: those of Qwen's vocabulary."""

WORDS = (4, 2, 3, 1, 4, 3, 1, 4, 3, 3, 2, 6, 4, 3, 3, 5, 5, 4, 3)
"""How many words of each line of the Zen of Python are its prompt."""


def swap_classes(preset: str) -> None:
    """Let `from trl import GRPOTrainer, GRPOConfig` give ours, with the defaults of a preset."""
    from scgrpo import SCGRPOConfig, SCGRPOTrainer
    from scgrpo.presets import load_preset

    defaults = [(name, Any, field(default=value)) for name, value in load_preset(preset).items()]
    trl.GRPOConfig = make_dataclass("GRPOConfig", defaults, bases=(SCGRPOConfig,))
    trl.GRPOConfig.__module__ = __name__
    globals()["GRPOConfig"] = trl.GRPOConfig  # by which a checkpoint names it
    trl.GRPOTrainer = SCGRPOTrainer


def make_stand_ins(folder: Path, tests: str) -> None:
    """Write the models that the text of the tests names, and the data set, for each vocabulary."""
    kinds = {match.group(): match.group(1) for match in NAME.finditer(tests)}
    for size in (SMALL, VOCABULARY):
        for name, kind in kinds.items():
            _make_model(folder / str(size) / name, kind, size)
        _make_prompts(folder / str(size) / OWNER / "zen")


def _make_model(folder: Path, kind: str, vocabulary: int) -> None:
    architecture = getattr(transformers, kind, None)
    if architecture is None:
        return
    sizes = {
        "vocab_size": vocabulary, "hidden_size": 8, "intermediate_size": 32, "head_dim": 4,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "moe_intermediate_size": 16, "num_experts": 4, "num_experts_per_tok": 2,
        "max_position_embeddings": 4096, "initializer_range": 0.1, "num_labels": 1,
        "pad_token_id": _number(PAD, vocabulary), "eos_token_id": _number(END, vocabulary),
        "bos_token_id": None,
    }  # fmt: skip
    torch.manual_seed(0)
    model = architecture(architecture.config_class(**sizes))
    model.save_pretrained(folder)
    start = next((part for part in TEMPLATE_OF if kind.startswith(part)), None)
    template = TEMPLATE_OF.get(start or "", "qwen2_5")
    text = (TEMPLATES / f"{template}.jinja").read_text()
    _tokenizer(text, vocabulary).save_pretrained(folder)


def _number(token: int, vocabulary: int) -> int:
    """Of one of the last tokens of Qwen's vocabulary, in one of another size."""
    return token - VOCABULARY + vocabulary if token >= PAD else token


def _tokenizer(template: str, vocabulary: int) -> PreTrainedTokenizerFast:
    """Bytes, as Qwen numbers them; every other number is a word that is sampled, never read."""
    letters = {chr(value): value for value in [*range(33, 127), *range(161, 173), *range(174, 256)]}
    order = [*letters, *(chr(256 + i) for i in range(256 - len(letters)))]
    words = {number: f"W{number}" for number in range(len(order), _number(PAD, vocabulary))}
    spelled = {
        _number(number, vocabulary): _spelled(text, order, letters)
        for number, text in PIECES.items()
        if number in words or number >= PAD
    }
    pieces = words | dict(enumerate(order)) | spelled
    tokenizer = Tokenizer(BPE({text: number for number, text in pieces.items()}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([PIECES[number] for number in (PAD, START, END, 151646)])
    tokenizer.add_tokens([PIECES[number] for number in (151657, 151658, 151667, 151668)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PIECES[PAD],
        eos_token=PIECES[END],
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = template
    return fast


def _spelled(text: str, order: list[str], letters: dict[str, int]) -> str:
    """A text in the letters that stand for its bytes."""
    others = [value for value in range(256) if value not in letters.values()]
    sign = {value: char for char, value in letters.items()}
    sign |= {value: order[len(letters) + place] for place, value in enumerate(others)}
    return "".join(sign[value] for value in text.encode())


def _make_prompts(folder: Path) -> None:
    """The Zen of Python, cut short: 17 prompts to train on and two held out."""
    with redirect_stdout(io.StringIO()):
        import this
    text = "".join(this.d.get(character, character) for character in this.s)
    lines = text.splitlines()[2:]
    texts = [" ".join(line.split()[:count]) for line, count in zip(lines, WORDS, strict=True)]
    heads = []
    for name in ("standard_prompt_only", "conversational_prompt_only"):
        files = []
        for split, part in (("train", texts[:17]), ("test", texts[17:])):
            path = folder / name / f"{split}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            spoken = name.startswith("conv")
            rows = [[{"role": "user", "content": t}] if spoken else t for t in part]
            path.write_text("".join(json.dumps({"prompt": row}) + "\n" for row in rows))
            files.append({"split": split, "path": f"{name}/{split}.jsonl"})
        heads.append({"config_name": name, "data_files": files})
    # JSON is YAML, in which a data set's card describes it.
    (folder / "README.md").write_text(f"---\nconfigs: {json.dumps(heads)}\n---\n")


def _in_full_precision(post_init: Callable[[_BaseConfig], None]) -> Callable[[_BaseConfig], None]:
    def __post_init__(self: _BaseConfig) -> None:
        self.bf16 = False if self.bf16 is None else self.bf16
        post_init(self)

    return __post_init__


@pytest.fixture(autouse=True)
def hub(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run each test where its stand-ins are."""
    needs_all = NEEDS_ALL.search(inspect.getsource(request.function))
    monkeypatch.chdir(Path(os.environ["TRL_SUITE_HUB"]) / str(VOCABULARY if needs_all else SMALL))


def pytest_configure() -> None:
    """Swap the classes before the tests are imported; without a GPU, TRL's bf16 is off."""
    if not torch.cuda.is_available():
        _BaseConfig.__post_init__ = _in_full_precision(_BaseConfig.__post_init__)
    if preset := os.environ.get("TRL_SUITE_PRESET"):
        swap_classes(preset)
