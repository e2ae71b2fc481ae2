"""Files of YAML that hold a mapping."""

from pathlib import Path
from typing import Any

from scgrpo.mistakes import ConfigError, on_one_line
from scgrpo.written.yaml_text import MOST_CHARACTERS, read_yaml


def read_mapping_file(path: Path, what: str) -> dict[str, Any]:
    """A YAML file that holds a mapping; an empty one holds nothing.

    Args:
        path: the file.
        what: it is, for messages, such as "config file".

    Raises:
        ConfigError: for a file that is missing or no text, or what is no YAML of a mapping.
    """
    content = read_yaml(_text_of(path, what), str(path))
    return mapping({} if content is None else content, str(path))


def mapping(content: Any, place: str) -> dict[str, Any]:
    """The content of YAML, if it is a mapping.

    Raises:
        ConfigError: for anything else.
    """
    if not isinstance(content, dict):
        raise ConfigError(
            f"{place} holds no mapping of keys to values; write lines such as 'seed: 1'."
        )
    return content


def _text_of(path: Path, what: str) -> str:
    try:
        if not path.exists():
            raise ConfigError(f"{what} {path} does not exist; check the path.")
        if not path.is_file():
            raise ConfigError(f"{what} {path} is no file that can be read as YAML; check the path.")
        with path.open("rb") as file:
            return file.read(4 * MOST_CHARACTERS + 1).decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{what} {path} is no text in UTF-8; save it as such.") from error
    except OSError as error:
        raise ConfigError(f"{what} {path} cannot be read ({on_one_line(error)}).") from error
