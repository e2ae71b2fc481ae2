"""The engine for servers against the server of another project: `transformers serve`."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from scgrpo.evaluation.engines.base import Request, Sampling
from scgrpo.evaluation.engines.openai_engine import OpenAIEngine
from scgrpo.evaluation.engines.transformers_engine import TransformersEngine
from scgrpo.evaluation.sample_seeds import sample_seed
from tests.trainer.tiny import tiny_tokenizer

pytest.importorskip("fastapi", reason="transformers serve needs fastapi")
pytest.importorskip("uvicorn", reason="transformers serve needs uvicorn")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PATIENCE = 300.0
"""Seconds that the server has to come up on a busy machine."""


def llama() -> Any:
    """Of a family whose answers this server does not parse again, as it does Qwen3's."""
    tokenizer = tiny_tokenizer()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=256,
        initializer_range=0.1,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    llama().save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(folder)]
    process = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
    )
    try:
        _wait_for(f"http://127.0.0.1:{port}/health", process)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(url: str, process: Any) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        assert process.poll() is None, "transformers serve ended"
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    pytest.fail(f"transformers serve did not come up in {PATIENCE:g} s")


def drawn(engine: Any, requests: list[Request], sampling: Sampling) -> list[Any]:
    engine.check(requests, sampling)
    results = dict(r for batch in engine.generate(requests, sampling) for r in batch)
    return [results[i] for i in range(len(requests))]


def chats(count: int) -> list[Request]:
    return [
        Request([{"role": "user", "content": f"Q{n}"}], sample_seed(0, "p", n))
        for n in range(count)
    ]


def test_greedy_completions_are_those_of_the_model(url: str, folder: Path) -> None:
    greedy = Sampling(temperature=0.0, max_new_tokens=24)
    requests = [*chats(6), Request("plain text", 1)]
    served = drawn(OpenAIEngine(url, str(folder), concurrency=2), requests, greedy)
    own = drawn(TransformersEngine(llama(), tiny_tokenizer()), requests, greedy)
    assert len({result.text for result in own}) > 3
    for theirs, ours in zip(served, own, strict=True):
        assert (theirs.text, theirs.tokens) == (ours.text, ours.tokens)
        assert (theirs.finish_reason, theirs.prompt_tokens) == (
            ours.finish_reason,
            ours.prompt_tokens,
        )


def test_seeds_repeat_and_differ(url: str, folder: Path) -> None:
    # One at a time, since this server sets the seed of its whole process.
    engine = OpenAIEngine(url, str(folder), concurrency=1)
    sampling = Sampling(max_new_tokens=24)
    first = drawn(engine, chats(1) * 2 + chats(4)[1:], sampling)
    assert first[0].text == first[1].text
    assert len({result.text for result in first}) == 4
