"""Whatever stands in a config, it is read, or refused in one sentence that says where to look."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from accelerate.state import AcceleratorState, PartialState
from datasets import Dataset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scgrpo.runs.adapter import adapter_of
from scgrpo.runs.arguments import trainer_arguments
from scgrpo.runs.config_reader import all_keys, load_run_config
from scgrpo.runs.data import Source
from scgrpo.runs.run import run_folder
from scgrpo.tasks import load_task

STALL = 10_000
"""Milliseconds after which an example counts as a stall."""
KEYS = sorted(all_keys())
VALID: dict[str, Any] = {
    "preset": "grpo",
    "task": "synthetic",
    "task_options": {"steps": 3, "routine": 0.5, "seed": 1},
    "lora": {"r": 8, "target_modules": ["q_proj", "v_proj"]},
    "name": "a/b",
    "seed": 3,
    "max_steps": 20,
    "learning_rate": "1e-6",
    "report_to": ["none"],
    "lr_scheduler_type": "cosine",
    "accelerator_config": {"split_batches": False},
    "model_init_kwargs": {"attn_implementation": "eager"},
    "num_generations": 4,
    "per_device_train_batch_size": 8,
    "trainer": {"temperature": 0.9, "bf16": False},
}
BOMB = "&a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"x{one}: &{one} [{','.join([f'*{other}'] * 10)}]\n"
    for one, other in zip("bcdefghijk", "abcdefghij", strict=True)
)
PIECES = [
    "!!timestamp x", "!!bool maybe", "!!int x", "!!float ''", "!!python/name:os.system",
    "!!set {a}", "&a [*a]", "&a {b: *a}", "&a {<<: *a}", BOMB, "[" * 3000, "{a: " * 3000,
    "- " * 3000, "1" * 400, "-" + "9" * 5000, "1e999", ".inf", "-.inf", ".nan", "0x_",
    "1:30", "2001-99-99", "2001-01-01", '"a\\0b"', '"a\\nb"', '"\\ud800"', '"\\UFFFFFFFF"',
    "a/../../b", "/", "~", "null", "[]", "{}", "[1, a]", "{a: 1}", "{1: 2}", "{[a]: b}",
    "{? {a: 1} : 2}", "''", "a" * 5000, "true", "0", "-1", "1.5", "*a", "<<: ", "? ", ": ",
    "- ", "\t", "\n", "  ", "#", "'", '"', "|\n", ">", "%", "@", "`", "\x00", "\u2028",
    "---\n", "...", "%YAML 9.1\n---\n", "seed: 1\n", "trainer:\n", "{", "]",
]  # fmt: skip
ODD = st.recursive(
    st.sampled_from([yaml.safe_load("2001-01-01"), b"a", 10**30, -1, 0, 2**62, 1.5, float("inf")])
    | st.sampled_from([None, True, "", "a", "\0", "a\nb", "/etc/passwd", "no", "x" * 300, "1e-3"])
    | st.integers()
    | st.floats()
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


@st.composite
def changed_mappings(draw: st.DrawFn) -> str:
    """A valid config with other values here and there, and keys that it did not have."""
    config = {key: VALID[key] for key in draw(st.sets(st.sampled_from(list(VALID))))}
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(["", "", "trainer", "task_options", "lora"]))
        inner = dict(config.get(place, {})) if place else config
        inner[draw(st.sampled_from([*(VALID.get(place) or KEYS), *KEYS]))] = draw(ODD)
        if place:
            config[place] = inner
    return yaml.safe_dump(config, allow_unicode=draw(st.booleans()))


@st.composite
def changed_texts(draw: st.DrawFn) -> str:
    """A valid config with a piece of YAML put into it, or in place of a value or a part."""
    text = yaml.safe_dump({key: VALID[key] for key in draw(st.sets(st.sampled_from(list(VALID))))})
    for _ in range(draw(st.integers(1, 2))):
        piece = draw(st.sampled_from(PIECES))
        places = [match.span() for match in re.finditer(r"(?<=: ).+", text)]
        if draw(st.booleans()) and places:
            start, end = draw(st.sampled_from(places))
        elif draw(st.booleans()):
            text, piece = f"{text}{draw(st.sampled_from(KEYS))}: {piece}\n", ""
            start = end = len(text)
        else:
            start, end = sorted(draw(st.tuples(*[st.integers(0, len(text))] * 2)))
        text = text[:start] + piece + text[end:]
    return text


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """Overrides with odd values."""
    words = []
    for _ in range(draw(st.integers(1, 2))):
        key = draw(
            st.sampled_from([*KEYS, "task_options.steps", "lora.r", "trainer", "seed.x", "-"])
        )
        words += [f"--{key}", *draw(st.lists(st.sampled_from(PIECES) | st.text(), max_size=2))]
    return words


@pytest.fixture(scope="module", autouse=True)
def _state_as_before() -> Iterator[None]:
    """Arguments of transformers set environment variables and accelerate's shared state."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)
    AcceleratorState._reset_state(reset_partial_state=True)
    PartialState._reset_state()


def outcome(file: Path, overrides: list[str]) -> str | None:
    """What a config is refused with, before data and weights are loaded; None where it is not."""
    nothing = Dataset.from_list([])
    try:
        config = load_run_config(file, overrides)
        if config.task in ("synthetic", "lookup"):
            load_task(config.task, **config.task_options)
        adapter_of(config.lora)
        source = Source(nothing, {}, len, "math")
        trainer_arguments(config, source, run_folder(config))
    except ValueError as error:
        return str(error)
    return None


def check(file: Path, text: str, overrides: list[str]) -> None:
    file.write_bytes(text.encode(errors="surrogatepass"))
    sentence = outcome(file, overrides)
    if sentence is None:
        return
    assert sentence.endswith((".", "?")) and len(sentence.splitlines()) == 1
    assert len(sentence) < 3000
    written = re.findall(r"\w+", text + " ".join(overrides))
    places = [
        str(file),
        "command line",
        *set(written).intersection([*KEYS, *VALID["task_options"]]),
    ]
    assert any(place in sentence for place in places), sentence


bounded = settings(
    max_examples=int(os.environ.get("CONFIGS", "100")),
    derandomize="CONFIGS" not in os.environ,
    deadline=STALL,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@bounded
@given(changed_mappings())
def test_any_values(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    check(tmp_path_factory.getbasetemp() / "any.yaml", text, [])


@bounded
@given(changed_texts())
def test_any_text(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    check(tmp_path_factory.getbasetemp() / "any.yaml", text, [])


@bounded
@given(command_lines())
def test_any_command_line(tmp_path_factory: pytest.TempPathFactory, words: list[str]) -> None:
    check(tmp_path_factory.getbasetemp() / "any.yaml", "seed: 1\n", words)
