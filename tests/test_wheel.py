"""The wheel alone, in a new environment and outside of the clone, does what the clone does.

What it depends on is borrowed from the environment of the tests, so that nothing heavy is
downloaded; the package itself is not.
"""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SMALL = [
    "--max_steps", "2", "--per_device_train_batch_size", "8", "--num_generations", "4",
    "--max_completion_length", "16", "--eval_steps", "0", "--rollout_steps", "1", "--name", "two",
]  # fmt: skip

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    done = subprocess.run(
        [*pip, "wheel", "--quiet", "--no-deps", "-w", str(folder), str(ROOT)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (found,) = folder.glob("scgrpo-*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The folder of an environment that has the wheel and borrows the rest."""
    folder = tmp_path_factory.mktemp("new") / "env"
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    (site,) = (folder / "lib").glob("python3.*/site-packages")
    # A path in such a file is searched last, and the files of this kind in it are not read: so the
    # clone, which is installed by one, is not found.
    (site / "borrowed.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps",
         "--force-reinstall", str(wheel)],
        check=True, env=_environment(),
    )  # fmt: skip
    return folder


def _environment():
    return {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {
        "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "COLUMNS": "200",
    }  # fmt: skip


def test_all_of_the_package_is_in_it(wheel):
    tracked = subprocess.run(
        ["git", "ls-files", "src/scgrpo"], cwd=ROOT, capture_output=True, text=True
    )
    if tracked.returncode:
        pytest.skip("no git, or no clone")
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if name.startswith("scgrpo/")}
    assert found == {name.removeprefix("src/") for name in tracked.stdout.split()}


def test_a_user_gets_from_the_wheel_to_a_page(installed, tmp_path):
    def run(program, *arguments):
        done = subprocess.run(
            [str(installed / "bin" / program), *arguments],
            cwd=tmp_path, env=_environment(), capture_output=True, text=True, timeout=200,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = run("python", "-c", "import scgrpo, torch; print(scgrpo.__file__); print(torch)")
    assert where.startswith(str(installed))
    assert "SC-GRPO" in run("scgrpo", "--help")
    assert "trl" in run("scgrpo", "doctor") and "synthetic" in run("scgrpo", "tasks")
    assert "Trained: runs/two/model" in run("scgrpo", "train", *SMALL)
    assert "report.html" in run("scgrpo", "report", "runs/two")
    page = (tmp_path / "runs" / "two" / "report.html").read_text()
    assert "<script" in page and len(page) > 100_000
    assert "Written: mine.py" in run("scgrpo", "tasks", "--new", "mine.py")
    assert not (tmp_path / "scgrpo").exists()
