"""Functions that a user names in a config."""

import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any


def import_function(name: str, what: str) -> Callable[..., Any]:
    """The function that `package.module:function` or `path.py:function` names.

    Modules of the working directory can be imported, by the function's module as well, but none of
    them takes the place of an installed one.

    Args:
        name: as written in the config.
        what: what the function is for, for the message.

    Raises:
        ValueError: if there is no such module or function, or the module itself fails, with the
            file and the line.
    """
    module_name, _, function = name.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    how = "write it as package.module:function or path.py:function"
    try:
        module = _import(module_name)
    except (Exception, SystemExit) as error:  # the user's file may raise anything
        raise ValueError(f"{what} {name!r} cannot be imported ({_told(error)}); {how}.") from error
    found = getattr(module, function, None)
    if found is None:
        there = [key for key, value in vars(module).items() if key[0] != "_" and callable(value)]
        raise ValueError(
            f"{what} {name!r} cannot be imported ({module_name} has no {function!r}; it has "
            f"{', '.join(there) or 'no function'}); {how}."
        )
    if not callable(found):
        raise ValueError(f"{what} {name!r} is a {type(found).__name__}, no function; {how}.")
    return found  # type: ignore[no-any-return]


def _import(name: str) -> ModuleType:
    if not name.endswith(".py"):
        return importlib.import_module(name)
    spec = importlib.util.spec_from_file_location(Path(name).stem, name)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _told(error: BaseException) -> str:
    """What an error says, and the line of the user's code that it comes from."""
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f"SyntaxError in {error.filename}, line {error.lineno}: {error.msg}"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if _is_of_user(f.filename)]
    said = " ".join(str(error).split())
    if not frames:
        return said or type(error).__name__
    last = frames[-1]
    return f"{type(error).__name__} in {last.filename}, line {last.lineno}: {said}"


def _is_of_user(file: str) -> bool:
    return file != __file__ and not file.startswith("<frozen") and file != importlib.__file__
