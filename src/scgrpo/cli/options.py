"""Options of a command from the fields of what it asks for."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields
from typing import Annotated, Any, TypeVar, get_origin, get_type_hints

import typer

from scgrpo.mistakes import ConfigError

Request = TypeVar("Request")
Command = Callable[[Request], None]


def asking_for(kind: type[Request]) -> Callable[[Command[Request]], Callable[..., None]]:
    """Make of a function of a request a command with one option for each of its fields.

    A field without a default is an argument, and so is one whose metadata have `is_argument`; a
    mapping is written as YAML. Other metadata are `help`, and maybe `flags`, `panel`, `least` and
    `most`, and for an argument `option`, by which it can be given as well.
    """

    def command_of(command: Command[Request]) -> Callable[..., None]:
        def run(**values: Any) -> None:
            command(read_options(kind, _either(kind, values)))

        run.__name__, run.__doc__ = command.__name__, command.__doc__
        run.__signature__ = inspect.Signature(_parameters(kind))  # type: ignore[attr-defined]
        return run

    return command_of


def read_options(kind: type[Request], values: Mapping[str, Any]) -> Request:
    """The request of what a command line gave.

    Raises:
        ConfigError: for an option that should be a mapping and is none.
    """
    from scgrpo.runs.config_reader import read_mapping

    hints = get_type_hints(kind)
    return kind(
        **{
            name: read_mapping(name.replace("_", "-"), value) if _is_mapping(hints[name]) else value
            for name, value in values.items()
        }
    )


def _parameters(kind: type[Any]) -> list[inspect.Parameter]:
    hints = get_type_hints(kind)
    also = [_also(spec) for spec in fields(kind) if "option" in spec.metadata]
    return [*(_parameter(spec, hints[spec.name]) for spec in fields(kind)), *also]


def _also(spec: "Field[Any]") -> inspect.Parameter:
    """The option by which an argument can be given as well."""
    option = typer.Option(spec.metadata["option"], help=f"The same as {spec.name.upper()}.")
    return inspect.Parameter(
        f"{spec.name}_option",
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[str | None, option],
    )


def _either(kind: type[Any], values: dict[str, Any]) -> dict[str, Any]:
    """The values with each argument from where it was given."""
    for spec in fields(kind):
        if option := spec.metadata.get("option"):
            other = values.pop(f"{spec.name}_option")
            given = [value for value in (values[spec.name], other) if value is not None]
            if len(given) != 1:
                how = f"give it after the command or by {option}" if not given else "keep one"
                count = "no" if not given else "more than one"
                raise ConfigError(
                    f"{count} {spec.name} is given ({', '.join(given)}); {how}.".replace(" ()", "")
                )
            values[spec.name] = given[0]
    return values


def _parameter(spec: "Field[Any]", hint: Any) -> inspect.Parameter:
    more = {"help": spec.metadata["help"], "rich_help_panel": spec.metadata.get("panel")}
    default, option = spec.default, typer.Option
    if _is_mapping(hint):
        default, hint = "{}", str
    elif "option" in spec.metadata:
        default, option, hint = None, typer.Argument, hint | None
    elif default is MISSING:
        default, option = inspect.Parameter.empty, typer.Argument
    elif spec.metadata.get("is_argument"):
        option = typer.Argument
    information = option(
        *spec.metadata.get("flags", ()),
        min=spec.metadata.get("least"),
        max=spec.metadata.get("most"),
        **more,
    )
    return inspect.Parameter(
        spec.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[hint, information],
    )


def _is_mapping(hint: Any) -> bool:
    return get_origin(hint) is dict
