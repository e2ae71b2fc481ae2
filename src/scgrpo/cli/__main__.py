import os
import sys

# `python -m` looks for modules in the working directory first, where a folder may be named as one.
if not sys.flags.safe_path and sys.path[:1] in ([""], [os.getcwd()]):
    del sys.path[0]

from scgrpo.cli.main import main

if __name__ == "__main__":
    main()
