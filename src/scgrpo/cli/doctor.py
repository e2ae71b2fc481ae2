"""`scgrpo doctor`: what is installed, what is missing, and what that costs."""

import platform
import re
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, requires, version

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from scgrpo.cli.tables import print_table
from scgrpo.extras import EXTRAS, Extra, install, is_installed
from scgrpo.jobs import cores
from scgrpo.trainer.hooks import problems_in_source

OPTIONAL = {
    "triton": "the divergence is computed in plain torch, slower on a GPU; comes with CUDA torch",
    "deepspeed": "no DeepSpeed ZeRO (FSDP2 comes with torch); pip install deepspeed",
}
GOOD, MISSING, BAD = "[green]ok[/]", "[yellow]missing[/]", "[red]problem[/]"


def run_doctor(console: Console | None = None) -> bool:
    """Show the state of this installation.

    Returns:
        Whether training can work: everything required is there, TRL's hooks are as we know them.
    """
    console = console or Console()
    table = Table("part", "state", Column("what it means", overflow="fold"), title="scgrpo doctor")
    table.add_row("python", GOOD, f"{platform.python_version()} on {platform.platform()}")
    found = {name: _version(name) for name in ("scgrpo", *_required())}
    for name, number in found.items():
        table.add_row(name, GOOD if number else BAD, number or f"pip install {name}")
    problems = _trl_problems() if _version("trl") else ["trl is not installed"]
    known = "; ".join(problems) or "all that the trainer overrides are as it knows them"
    table.add_row("TRL hooks", BAD if problems else GOOD, known)
    table.add_row(*_accelerator())
    for name, cost in OPTIONAL.items():
        present = is_installed(name)
        table.add_row(
            name, GOOD if present else MISSING, (_version(name) or "") if present else escape(cost)
        )
    for name, extra in EXTRAS.items():
        table.add_row(escape(f"scgrpo[{name}]"), *_extra(name, extra))
    for row in _sandbox():
        table.add_row(*row)
    table.add_row(*_tasks())
    print_table(console, table)
    return all(found.values()) and not problems


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _required() -> list[str]:
    """Distributions that the plain install asks for."""
    try:
        lines = requires("scgrpo") or []
    except PackageNotFoundError:
        return []
    plain = (line for line in lines if "extra ==" not in line)
    return [re.split(r"[^\w.-]", line)[0] for line in plain]


def _extra(name: str, extra: Extra) -> tuple[str, str]:
    """Whether an extra is installed, and what it is for."""
    if not extra.missing:
        return GOOD, f"for {extra.purpose}"
    without = ", ".join(extra.missing)
    return MISSING, escape(f"{without}; for {extra.purpose}, {install(name)}")


def _trl_problems() -> list[str]:
    try:
        return problems_in_source()
    except (ImportError, SyntaxError, OSError) as error:
        return [" ".join(str(error).split())]


def _accelerator() -> tuple[str, str, str]:
    """Whether there is a GPU and a torch that can use it, without the seconds of its import."""
    if not (torch := _version("torch")):
        return "CUDA", BAD, "torch is not installed"
    program = shutil.which("nvidia-smi")
    asked = [str(program), "--query-gpu=name", "--format=csv,noheader"]
    try:
        said = subprocess.run(asked, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        said = ""
    names = [name.strip() for name in said.splitlines() if name.strip()]
    if names and "+cpu" in torch:
        return "CUDA", BAD, f"{len(names)} x {names[0]}, but torch {torch} was built without CUDA"
    if names:
        return "CUDA", GOOD, f"{len(names)} x {names[0]}"
    return "CUDA", MISSING, f"training on the CPU ({cores()} cores): tiny models only"


def _sandbox() -> list[tuple[str, str, str]]:
    """Whether generated programs can be run, which only the code tasks need."""
    try:
        from scgrpo.tasks.sandbox.probe import sandbox_state

        state = sandbox_state()
    except Exception as error:  # a machine may refuse processes in any way
        return [("sandbox", BAD, escape(f"{type(error).__name__}: {error}"))]
    return [
        ("sandbox", GOOD if state.isolated else MISSING, escape(state.isolation)),
        ("seccomp", GOOD if state.filtered else MISSING, escape(state.filters)),
    ]


def _tasks() -> tuple[str, str, str]:
    try:
        from scgrpo.tasks import available_tasks

        return "tasks", GOOD, ", ".join(available_tasks())
    except Exception as error:  # tasks are plug-ins, whose import may fail in any way
        return "tasks", BAD, escape(f"{type(error).__name__}: {error}")
