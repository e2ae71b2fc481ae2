"""Runs untrusted Python programs: isolated by bubblewrap, in warm interpreters, each used once."""

from scgrpo.tasks.sandbox.functions import LoadedProgram as LoadedProgram
from scgrpo.tasks.sandbox.functions import Raised as Raised
from scgrpo.tasks.sandbox.functions import TestCode as TestCode
from scgrpo.tasks.sandbox.functions import TestResults as TestResults
from scgrpo.tasks.sandbox.functions import run_tests as run_tests
from scgrpo.tasks.sandbox.limits import Limits as Limits
from scgrpo.tasks.sandbox.pool import SandboxPool as SandboxPool
from scgrpo.tasks.sandbox.probe import NoIsolation as NoIsolation
from scgrpo.tasks.sandbox.probe import choose_backend as choose_backend
from scgrpo.tasks.sandbox.process import ProgramEnded as ProgramEnded
from scgrpo.tasks.sandbox.process import Run as Run
from scgrpo.tasks.sandbox.process import Sandbox as Sandbox
from scgrpo.tasks.sandbox.process import SandboxError as SandboxError
