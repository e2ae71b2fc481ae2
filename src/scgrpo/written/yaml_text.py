"""YAML from people: plain values alone, of bounded depth and size, and faults with their line."""

from collections.abc import Callable
from typing import Any

import yaml
from yaml.constructor import ConstructorError

from scgrpo.mistakes import ConfigError, on_one_line, shown
from scgrpo.written.plain import can_be_written, fits_64_bits

MOST_CHARACTERS = 1_000_000
DEEPEST = 50
MOST_VALUES = 10_000
"""Values of a document, each counted as often as aliases repeat it."""

_TAG = "tag:yaml.org,2002:"


def read_yaml(text: str, place: str) -> Any:
    """The value of a YAML document: mappings, lists, texts, numbers, true, false and null.

    A date stays the text that it is written as.

    Args:
        text: the document.
        place: where it stands, for messages.

    Raises:
        ConfigError: for what is no YAML, has a key twice, another tag, a number or a character that
            nothing can hold, or is too deep, too large or part of itself; with its line.
    """
    if len(text) > MOST_CHARACTERS:
        raise ConfigError(
            f"{place} has {len(text)} characters; at most {MOST_CHARACTERS} are read as YAML: "
            "check that it is what was meant."
        )
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        line, problem = _problem(error, text)
        raise ConfigError(f"{place}, line {line} is no valid YAML: {problem}.") from error
    except (ValueError, OverflowError) as error:  # escapes of characters that there are not
        raise ConfigError(f"{place} is no valid YAML: {on_one_line(error)}.") from error


def _problem(error: Any, text: str) -> tuple[int, str]:
    if isinstance(error, yaml.reader.ReaderError):
        before = text[: error.position]
        return before.count("\n") + 1, f"it holds the control character {error.character:#04x}"
    mark = error.problem_mark or error.context_mark
    return mark.line + 1, on_one_line(error.problem or error.context)


class _Loader(yaml.SafeLoader):
    yaml_constructors: dict[Any, Any] = {}  # noqa: RUF012 -- PyYAML's name
    yaml_implicit_resolvers = {  # noqa: RUF012 -- PyYAML's name
        first: [(tag, regexp) for tag, regexp in resolvers if tag != _TAG + "timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self._depth = self._values = 0
        self._sizes: dict[yaml.Node, int] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        self._depth += 1
        if self._depth > DEEPEST:
            raise _fault(f"values are nested more than {DEEPEST} deep", event.start_mark)
        before = self._values
        node = super().compose_node(parent, index)
        self._depth -= 1
        if isinstance(event, yaml.AliasEvent):
            if node not in self._sizes:
                raise _fault(f"*{event.anchor} is part of itself", event.start_mark)
            self._values += self._sizes[node]
        else:
            self._values += 1
            self._sizes[node] = self._values - before
        if self._values > MOST_VALUES:
            raise _fault(f"it holds more than {MOST_VALUES} values", event.start_mark)
        return node

    def compose_mapping_node(self, anchor: Any) -> Any:
        node = super().compose_mapping_node(anchor)
        keys = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and (key.tag, key.value) in keys:
                raise _fault(f"the key {key.value!r} stands twice in one mapping", key.start_mark)
            keys.add((key.tag, key.value) if isinstance(key, yaml.ScalarNode) else key)
        return node


def _fault(problem: str, mark: Any) -> ConstructorError:
    return ConstructorError(None, None, problem, mark)


def _text(loader: _Loader, node: Any) -> str:
    text = loader.construct_scalar(node)
    if not can_be_written(text):
        raise ValueError
    return text


def _whole_number(loader: _Loader, node: Any) -> int:
    number = loader.construct_yaml_int(node)
    if not fits_64_bits(number):
        raise OverflowError
    return number


def _scalar(construct: Callable[[_Loader, Any], Any], what: str) -> Callable[[_Loader, Any], Any]:
    """The constructor, whose failures say what the text is not, and its line."""

    def constructed(loader: _Loader, node: Any) -> Any:
        try:
            return construct(loader, node)
        except (ValueError, LookupError, OverflowError) as error:
            raise _fault(f"{shown(node.value, 60)} is {what}", node.start_mark) from error

    return constructed


def _unknown(loader: _Loader, node: Any) -> Any:
    tag = node.tag.replace(_TAG, "!!")
    raise _fault(f"{shown(tag)} is no kind of value that is read here", node.start_mark)


for _name, _constructor in {
    "null": yaml.SafeLoader.construct_yaml_null,
    "bool": _scalar(yaml.SafeLoader.construct_yaml_bool, "neither true nor false"),
    "int": _scalar(_whole_number, "no whole number of at most 64 bits"),
    "float": _scalar(yaml.SafeLoader.construct_yaml_float, "no number"),
    "str": _scalar(_text, "no text that a file can hold"),
    "seq": yaml.SafeLoader.construct_yaml_seq,
    "map": yaml.SafeLoader.construct_yaml_map,
}.items():
    _Loader.add_constructor(_TAG + _name, _constructor)
_Loader.add_constructor(None, _unknown)
