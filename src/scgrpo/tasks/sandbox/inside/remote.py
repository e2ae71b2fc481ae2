"""Functions of a program, called from outside of its interpreter.

`serve` holds the program and does what it is asked; `check` runs test code in another sandbox,
where the program's functions are stand-ins that ask. So the test code and its expected values are
never in the interpreter of the program, and only plain values come back from there.
"""

import builtins
import random
import sys
import types
from collections.abc import Callable
from typing import Any

from inside import guard, values
from inside.channel import Channel

Request = dict[str, Any]


def load(source: str, prelude: str, name: str) -> dict[str, Any]:
    """Run a program's text as the module of this name and return its namespace.

    `random` always starts from the same seed, so that a reward does not depend on luck.
    """
    random.seed(0)
    module = types.ModuleType(name)
    sys.modules[name] = module
    if prelude:
        exec(prelude, module.__dict__)
    exec(compile(source, "program.py", "exec"), module.__dict__)
    return module.__dict__


def serve(link: Channel, job: dict[str, Any]) -> None:
    """Load a program, then call its functions as requests ask, until the other side ends."""
    kept: list[Any] = []
    namespace: dict[str, Any] = {}

    def keep(value: Any) -> int:
        kept.append(value)
        return len(kept) - 1

    def value(tree: values.Tree) -> Any:
        return values.from_tree(tree, kept.__getitem__)

    def act(request: Request) -> Any:
        do = request["do"]
        if do == "load":
            namespace.update(load(job["source"], job["prelude"], "program"))
            return None
        if do == "name":
            if request["name"] not in namespace:
                raise NameError(f"the program defines no {request['name']}")
            return namespace[request["name"]]
        subject = value(request["of"])
        if do == "get":
            return getattr(subject, request["name"])
        if do == "set":
            return setattr(subject, request["name"], value(request["value"]))
        if do == "list":
            return list(subject)
        arguments = [value(tree) for tree in request["arguments"]]
        return subject(*arguments, **{k: value(v) for k, v in request["keywords"].items()})

    request: Request = {"do": "load"}
    while True:
        guard.limit_cpu(job["cpu_seconds"], for_good=False)
        try:
            answer = {"value": values.to_tree(act(request), keep)}
        except BaseException as error:  # whatever the program raises is its answer
            answer = {"raised": [type(error).__name__, _message(error)]}
        try:
            link.send(answer)
        except ValueError as error:
            link.send({"raised": [type(error).__name__, "no value that can be sent"]})
        try:
            request = link.receive()
        except EOFError:
            return


def check(link: Channel, job: dict[str, Any]) -> None:
    """Run test code, in which the program's names stand for what the other sandbox holds."""

    def ask(request: Request) -> Any:
        link.send({"ask": request})
        answer = link.receive()
        if "raised" in answer:
            name, message = answer["raised"]
            kind = getattr(builtins, name, None)
            is_error = isinstance(kind, type) and issubclass(kind, Exception)
            raise (kind if is_error else RuntimeError)(message)
        return values.from_tree(answer["value"], lambda number: Remote(ask, number))

    namespace: dict[str, Any] = {"__name__": "check"}
    try:
        exec(job["helpers"], namespace)
    except Exception as error:
        link.send({"broken": _describe(error)})
        return
    try:
        for name in job["names"]:
            namespace[name] = ask({"do": "name", "name": name})
        exec(job["setup"], namespace)
    except Exception as error:
        link.send({"passed": [False] * len(job["tests"]), "why": _describe(error)})
        return
    results, why = [], ""
    for test in job["tests"]:
        try:
            exec(test, namespace)
            results.append(True)
        except Exception as error:
            results.append(False)
            why = why or _describe(error)
            if job["stop_early"]:
                break
    results += [False] * (len(job["tests"]) - len(results))
    link.send({"passed": results, "why": why})


class Remote:
    """Stands for an object of the program that is no plain value.

    Never equal to anything but itself, whatever the program's own `__eq__` says.
    """

    def __init__(self, ask: Callable[[Request], Any], number: int) -> None:
        object.__setattr__(self, "_ask", ask)
        object.__setattr__(self, "_tree", {"ref": number})

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        return self._ask(
            {
                "do": "call",
                "of": self._tree,
                "arguments": [_tree(item) for item in arguments],
                "keywords": {name: _tree(item) for name, item in keywords.items()},
            }
        )

    def __getattr__(self, name: str) -> Any:
        return self._ask({"do": "get", "of": self._tree, "name": name})

    def __setattr__(self, name: str, value: Any) -> None:
        self._ask({"do": "set", "of": self._tree, "name": name, "value": _tree(value)})

    def __iter__(self) -> Any:
        return iter(self._ask({"do": "list", "of": self._tree}))

    def __len__(self) -> int:
        return int(self.__getattr__("__len__")())

    def __bool__(self) -> bool:
        return True

    def __getitem__(self, place: Any) -> Any:
        return self.__getattr__("__getitem__")(place)


def _tree(value: Any) -> values.Tree:
    return values.to_tree(value, _number)


def _number(value: Any) -> int:
    if isinstance(value, Remote):
        return int(value._tree["ref"])
    raise TypeError(f"a test passes a {type(value).__name__}, which cannot leave its interpreter")


def _message(error: BaseException) -> str:
    try:
        return str(error)[:500]
    except BaseException:  # the program's own exception class
        return ""


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {_message(error)}"
