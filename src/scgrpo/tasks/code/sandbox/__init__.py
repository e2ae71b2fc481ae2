"""Runs untrusted Python programs: isolated by bubblewrap, in warm interpreters, each used once."""

from scgrpo.tasks.code.sandbox.functions import LoadedProgram as LoadedProgram
from scgrpo.tasks.code.sandbox.functions import Raised as Raised
from scgrpo.tasks.code.sandbox.functions import TestCode as TestCode
from scgrpo.tasks.code.sandbox.functions import TestResults as TestResults
from scgrpo.tasks.code.sandbox.functions import run_tests as run_tests
from scgrpo.tasks.code.sandbox.limits import Limits as Limits
from scgrpo.tasks.code.sandbox.pool import SandboxPool as SandboxPool
from scgrpo.tasks.code.sandbox.probe import NoIsolation as NoIsolation
from scgrpo.tasks.code.sandbox.probe import choose_backend as choose_backend
from scgrpo.tasks.code.sandbox.process import ProgramEnded as ProgramEnded
from scgrpo.tasks.code.sandbox.process import Run as Run
from scgrpo.tasks.code.sandbox.process import Sandbox as Sandbox
from scgrpo.tasks.code.sandbox.process import SandboxError as SandboxError
