"""The sandbox's first process: a warm interpreter that runs one program on request.

Started as a script with the file descriptor of its channel. It knows programs, inputs and
arguments; expected results never come here. A program may take this process over: all that it can
do then is to answer otherwise, and every answer is judged outside.
"""

import builtins
import gc
import os
import sys
from _sitebuiltins import Quitter
from contextlib import suppress
from typing import Any

from inside import endings, guard, remote
from inside.channel import Channel
from inside.scripts import Scripts

MOST_DIGITS = 50_000
"""Of whole numbers that are read or printed; LiveCodeBench's limit, Python's own is 4,300."""


def main() -> None:
    """Set the caps, warm up, then do the jobs that come over the channel."""
    link = Channel(int(sys.argv[1]))
    config = link.receive()
    guard.enter(config)
    for module in config["preload"]:
        with suppress(ImportError):
            __import__(module)
    gc.freeze()
    sys.set_int_max_str_digits(MOST_DIGITS)
    builtins.exit, builtins.quit = Quitter("exit", "eof"), Quitter("quit", "eof")
    scripts = Scripts(config)
    link.send({"ready": True})
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    while True:
        try:
            job = link.receive()
        except EOFError:
            return
        if job["job"] == "run":
            link.send(scripts.run(job))
            continue
        scripts.end()
        if job["job"] == "serve":
            os.chdir(config["scratch"])
            guard.confine(config)
            remote.serve(link, job)
        else:
            _check(link, job, config)


def _check(link: Channel, job: dict[str, Any], config: dict[str, Any]) -> None:
    """Run test code in a process of its own, so that this sandbox can be used for other tests."""
    mode = os.stat(config["scratch"]).st_mode
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.chdir(config["scratch"])
            guard.confine(config)
            remote.check(link, job)
            code = 0
        finally:
            os._exit(code)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    status, _ = endings.end(child, config["isolated"])
    endings.clear(config["scratch"], mode)
    if status != 0:
        link.send({"broken": f"nothing, but end their interpreter (status {status})"})


if __name__ == "__main__":
    main()
