"""Functions that a user names in a config."""

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def import_function(name: str, what: str) -> Callable[..., Any]:
    """The function that `package.module:function` or `path.py:function` names.

    Modules of the working directory can be imported, by the function's module as well, but none of
    them takes the place of an installed one.

    Args:
        name: as written in the config.
        what: what the function is for, for the message.

    Raises:
        ValueError: if there is no such module or function.
    """
    module_name, _, function = name.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        if module_name.endswith(".py"):
            spec = importlib.util.spec_from_file_location(Path(module_name).stem, module_name)
            assert spec is not None and spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        else:
            module = importlib.import_module(module_name)
        return getattr(module, function)  # type: ignore[no-any-return]
    except (ImportError, OSError, AttributeError, ValueError) as error:
        raise ValueError(
            f"{what} {name!r} cannot be imported ({error}); write it as package.module:function "
            "or path.py:function."
        ) from error
