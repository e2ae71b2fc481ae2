"""TRL's own GRPO tests, unmodified, under TRL's trainer and under ours.

    python benchmarks/trl_suite.py FOLDER

FOLDER is TRL's `tests/`, of the version that is installed. Only class names change, and the hub's
tiny models and data are replaced by stand-ins (`trl_stand_ins.py`), so that nothing is downloaded.
TRL's `conftest.py` is not read. Prints how many tests pass with TRL here, and how many of these
with each preset.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import transformers
import trl
from trl_stand_ins import make_stand_ins

TEXT_ONLY = "not vlm and not vllm and not liger and not Slow"
TRL, PRESETS = "trl", ("grpo", "sc-grpo")


def outcomes(tests: Path, hub: Path, preset: str | None, options: Sequence[str]) -> dict[str, str]:
    """Outcome of each test, by its name.

    Args:
        tests: TRL's test module.
        hub: folder with the stand-ins.
        preset: of ours that takes the place of TRL's trainer, None for TRL's own.
        options: of pytest.
    """
    report = hub / f"{preset or TRL}.xml"
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path[1:]]),
        "TRL_SUITE_PRESET": preset or "",
        "TRL_SUITE_HUB": str(hub),
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(hub / "cache"),
        "TOKENIZERS_PARALLELISM": "false",
        "TRL_EXPERIMENTAL_SILENCE": "1",
    }
    command = [
        *(sys.executable, "-m", "pytest", "-p", "trl_stand_ins", "--noconftest"),
        *("-p", "no:cacheprovider", "--rootdir", str(tests.parent.parent), "-o", "addopts="),
        *("-q", "--tb=short", f"--junitxml={report}", *options, str(tests)),
    ]
    log = hub / f"{preset or TRL}.log"
    with log.open("w") as stream:
        subprocess.run(command, cwd=hub, env=environment, stdout=stream, stderr=stream, check=False)
    if not report.exists():
        raise SystemExit(
            f"pytest wrote no report; the end of its output:\n{log.read_text()[-3000:]}"
        )
    found = {}
    for case in ElementTree.parse(report).iter("testcase"):
        kinds = {child.tag for child in case} & {"failure", "error", "skipped"}
        found[f"{case.get('classname')}.{case.get('name')}"] = min(kinds, default="passed")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="TRL's tests/")
    parser.add_argument("-k", default=TEXT_ONLY, help="tests, as pytest chooses them")
    parser.add_argument("--presets", nargs="*", default=PRESETS)
    parser.add_argument("--timeout", type=int, default=600, help="seconds for a test")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for stand-ins, logs and reports")
    args = parser.parse_args()
    tests = args.folder.resolve() / "test_grpo_trainer.py"
    with tempfile.TemporaryDirectory() as temporary:
        hub = (args.keep or Path(temporary)).resolve()
        transformers.utils.logging.disable_progress_bar()
        make_stand_ins(hub, tests.read_text())
        options = ["-k", args.k, f"--timeout={args.timeout}", "-n", str(args.workers)]
        theirs = outcomes(tests, hub, None, options)
        passed = {name for name, outcome in theirs.items() if outcome == "passed"}
        print(f"TRL {trl.__version__}: {len(passed)} of {len(theirs)} tests pass", flush=True)
        for preset in args.presets:
            ours = outcomes(tests, hub, preset, options)
            lost = sorted(name for name in passed if ours.get(name) != "passed")
            print(f"preset {preset}: {len(passed) - len(lost)} of these {len(passed)}", flush=True)
            for name in lost:
                print(f"  {ours.get(name, 'missing')}: {name}", flush=True)


if __name__ == "__main__":
    main()
