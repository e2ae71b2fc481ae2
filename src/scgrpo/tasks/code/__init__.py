"""Programming problems, judged by running the programs in a sandbox."""

from scgrpo.tasks.code.code_contests import CodeContestsTask as CodeContestsTask
from scgrpo.tasks.code.codeforces import CodeforcesTask as CodeforcesTask
from scgrpo.tasks.code.humaneval import HumanEvalTask as HumanEvalTask
from scgrpo.tasks.code.livecodebench import LiveCodeBenchTask as LiveCodeBenchTask
from scgrpo.tasks.code.mbpp import MBPPTask as MBPPTask
