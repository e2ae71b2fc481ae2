"""A probe from its request to its page: resumed, along a run, and by its command."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

from scgrpo.cli.main import app
from scgrpo.cli.probe import _Shown
from scgrpo.embedded.loading import load_policy
from scgrpo.mistakes import ConfigError
from scgrpo.probe.request import ProbeRequest
from scgrpo.probe.results import read_results
from scgrpo.probe.run import Progress, probe
from scgrpo.probe.store import Store, StoredBatch
from scgrpo.reports.probe import write_probe
from scgrpo.run_folder import RunFolder
from scgrpo.runs.run_config import RunConfig
from tests.trainer.strategies import ENVIRONMENT

SMALL = ProbeRequest(
    task_options={"steps": 2},
    batches=3,
    groups=1,
    layers="last:1",
    signals="credit,credit-failed,shuffled,signed,signed-failed",
)


def timeless(folder: Path):
    """The results without how long they took and where they lie."""
    results = read_results(folder / "probe.json")
    for policy in results["policies"]:
        del policy["seconds_a_batch"]
    return {key: results[key] for key in ("model", "task", "policies")}


@pytest.fixture(scope="module")
def probed(tmp_path_factory):
    return probe(replace(SMALL, output=tmp_path_factory.mktemp("probe") / "p"))


@pytest.mark.slow
def test_resumed_it_finds_the_same(probed, tmp_path):
    """A batch that was lost is drawn again, and those after it are not."""
    shutil.copytree(probed, tmp_path / "p")
    batches = tmp_path / "p" / "policy" / "batches"
    (batches / "00002.npz").unlink()
    kept = (batches / "00001.npz").stat().st_mtime_ns
    probe(replace(SMALL, output=tmp_path / "p"))
    assert (batches / "00001.npz").stat().st_mtime_ns == kept
    assert timeless(tmp_path / "p") == timeless(probed)


def test_what_it_finds(probed):
    (policy,) = read_results(probed / "probe.json")["policies"]
    assert policy["rollouts"] == 8 and policy["update_rollouts"] == 64
    for form in ("adam", "sgd"):
        own = policy["forms"][form]["weightings"]
        assert own["uniform"]["r"]["value"] == 1 and own["uniform"]["k"]["value"] == 1
        assert len(set(policy["forms"][form]["widths"])) == 9
    kinds = policy["kinds"].values()
    assert sum(kind["tokens"] for kind in kinds) == pytest.approx(1)
    assert sum(kind["gradient"] for kind in kinds) == pytest.approx(1, abs=1e-3)
    assert policy["weights"]["uniform"]["mean"] == 1
    assert 0 < policy["weights"]["credit"]["mean"] < 1
    assert policy["weights"]["credit"]["by_kind"]["code"] is None
    assert set(policy["verdict"]) >= {"worth"}


def test_stored_gradients_are_those_of_the_weights(probed):
    """Kinds of tokens part the uniform gradient, in half precision."""
    gradients = Store(probed / "policy").gradients(range(3))
    kinds = {name for rows in gradients.rows for name in rows if name.startswith("only:")}
    columns = slice(0, gradients.coordinates)
    whole = gradients.read("uniform", columns)
    parts = sum(gradients.read(name, columns) for name in kinds)
    assert (np.linalg.norm(whole, axis=1) > 0).all()
    assert np.linalg.norm(parts - whole) < 1e-3 * np.linalg.norm(whole)


def test_another_probe_in_its_folder_is_refused(probed):
    with pytest.raises(ConfigError, match="groups: 1 -> 2"):
        probe(replace(SMALL, groups=2, output=probed))
    # Names and not what was written: what `all` means may grow.
    with pytest.raises(ConfigError, match=r"signals: 'uniform, credit, .* 'uniform, credit'"):
        probe(replace(SMALL, signals="credit", output=probed))


def test_the_page(probed, tmp_path):
    page = write_probe(probed / "probe.json", tmp_path / "page.html").read_text()
    assert "</script" not in re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1]
    assert "only:" not in page and "None" not in re.sub(r"<script.*", "", page, flags=re.DOTALL)


def test_the_command(probed):
    """On what is there already: the table, the sentences, and where the page is."""
    request = [
        *("--task-options", json.dumps(SMALL.task_options), "--batches", "3", "--groups", "1"),
        *("--layers", "last:1", "--signals", SMALL.signals, "-o", str(probed)),
    ]
    result = CliRunner().invoke(app, ["probe", *request], env={"COLUMNS": "100"})
    assert result.exit_code == 0, result.output
    assert "policy: batch 3/3" in result.output and "signed-failed" in result.output
    assert (probed / "probe.html").exists()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"task": "syntetic"}, "unknown task 'syntetic'; did you mean 'synthetic'"),
        ({"task_options": {"stepz": 2}}, "no option 'stepz'.* did you mean 'steps'"),
        ({"model": "runs/empty"}, "runs/empty holds no model"),
        ({"config": Path("lora.yaml")}, "lora is {'rank': 3}, which peft.LoraConfig refuses"),
        ({"output": Path("lora.yaml")}, "output is lora.yaml, which is a file; name a folder"),
    ],
)
def test_what_is_misspelt_leaves_no_folder(changed, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("lora.yaml").write_text("lora: {rank: 3}")
    Path("runs/empty").mkdir(parents=True)
    with pytest.raises(ValueError, match=words):
        probe(replace(SMALL, **changed))
    assert [path.name for path in Path("runs").iterdir()] == ["empty"]


def test_the_line_of_progress_fits_a_narrow_terminal():
    """One that wraps would not be written over."""
    console = Console(file=io.StringIO(), force_terminal=True, width=40)
    for done in (0, 1, 3):
        _Shown(console)(Progress("a policy of a long name", done, 3, 0, 4.0))
    first, second, last = console.file.getvalue().rstrip("\n").split("\r")
    assert len(first) == len(second) == 39 and "batch 1/3" in second
    assert last == "a policy of a long name: batch 3/3, 4.0 s each, 0:00 left"


@pytest.mark.slow
def test_along_a_run(probed, tmp_path):
    """Step 0 is the policy that the run begins with, later ones are its checkpoints."""
    run = RunFolder(tmp_path / "run")
    config = RunConfig(task="synthetic", task_options=SMALL.task_options, preset="dapo")
    run.write_config({"run": asdict(config)})
    model, _ = load_policy("tiny")
    checkpoint = run.checkpoints / "checkpoint-5"
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.02)
    model.save_pretrained(checkpoint)
    (checkpoint / "trainer_state.json").write_text(json.dumps({"global_step": 5}))
    asked = replace(SMALL, task_options={}, run=run.path)
    with pytest.raises(ConfigError, match=r"no checkpoint of step 7 \(it has 5\)"):
        probe(replace(asked, steps="0,7"))
    folder = probe(asked)
    assert folder == run.path / "probe"
    results = read_results(folder / "probe.json")
    assert [policy["step"] for policy in results["policies"]] == [0, 5]
    first, later = results["policies"]
    assert first["forms"] != later["forms"]
    page = write_probe(folder / "probe.json", tmp_path / "page.html").read_text()
    assert "Does the teacher know?" in page and "Step 5" in page


@pytest.mark.slow
def test_two_processes_share_the_batches(tmp_path):
    """Each draws its own, and the first one puts them together."""
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "--")
    options = ("--batches", "4", "--groups", "1", "--layers", "last:1", "--signals", "credit")
    options += ("--task-options", json.dumps(SMALL.task_options))
    root = Path(__file__).parents[2]
    environment = os.environ | ENVIRONMENT | {"PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}"}
    script = str(Path(__file__).with_name("process_probe.py"))
    subprocess.run(
        [sys.executable, *launcher, script, "probe", *options, "-o", str(tmp_path / "p")],
        env=environment,
        check=True,
        capture_output=True,
        timeout=300,
    )
    store = Store(tmp_path / "p" / "policy")
    prompts = [store.read(number).told["rollouts"][0]["prompt"] for number in range(4)]
    assert len(set(prompts)) == 4 and not store.has(4)
    settings = json.loads((tmp_path / "p" / "policy" / "settings.json").read_text())
    assert settings["processes"] == 2
    (policy,) = read_results(tmp_path / "p" / "probe.json")["policies"]
    assert policy["batches"] == 4 and policy["update_rollouts"] == 128


def test_a_run_has_its_own_model(tmp_path):
    for more, said in (
        ({"run": tmp_path, "model": "tiny"}, "leave out --model"),
        ({"steps": "0"}, "no run is given"),
        ({"run": tmp_path}, "no run folder"),
        ({"run": tmp_path, "steps": "a"}, "steps is 'a'"),
        ({"batches": 2}, "batches"),
        ({"layers": "first"}, "layers is 'first'"),
        ({"signals": "nothing"}, "unknown signal 'nothing'"),
    ):
        with pytest.raises(ConfigError, match=said):
            probe(ProbeRequest(**more))


def test_settings_without_a_batch_bind_nobody(tmp_path):
    """A command with a slip in it does not keep the right one out."""
    store = Store(tmp_path)
    store.begin({"model": "tny"})
    store.begin({"model": "tiny"})
    store.write(0, np.ones((1, 2)), ["a"], StoredBatch({}, {}))
    store.begin({"model": "tiny"})
    with pytest.raises(ConfigError, match="model: 'tiny' -> 'tny'"):
        store.begin({"model": "tny"})


def test_a_batch_that_was_not_written_whole_is_not_there(tmp_path):
    store = Store(tmp_path)
    store.write(0, np.eye(2, 3), ["a", "b"], StoredBatch({"x": np.ones(2)}, {"solved": []}))
    assert store.has(0) and not store.has(1)
    (tmp_path / "gradients" / "00001.npy").write_bytes(b"half")
    assert not store.has(1)
    found = store.gradients([0])
    np.testing.assert_allclose(found.read("b", slice(0, 3)), [[0, 1, 0]], rtol=1e-3)
    assert found.read("none", slice(1, 3)).tolist() == [[0, 0]]
