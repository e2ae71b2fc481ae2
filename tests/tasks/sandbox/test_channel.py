"""How much a message may hold, told before it is parsed."""

import json

import pytest

from scgrpo.tasks.sandbox.inside.channel import has_more_parts


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        (5, 0),
        ([], 1),
        ([1, 2, 3], 3),
        ({"a": [1], "b": {}}, 4),
        ("[,{" * 100, 0),
        ([",", "\\", '",[', '\\"[', ["x,"] * 3], 8),
        ({'",': '{"a": [1, 2]}'}, 1),
        (["\u00e9,\ud800,", "\n,\t,"], 2),
    ],
)
@pytest.mark.parametrize("margin", ["", '", "'])
def test_parts_are_those_outside_of_texts(value: object, parts: int, margin: str) -> None:
    text = json.dumps([value, margin])
    assert has_more_parts(text, parts + 1)
    assert not has_more_parts(text, max(parts + 2, 16))
    assert not has_more_parts(json.dumps(value), max(parts, 16))


def test_texts_count_where_they_hold_marks() -> None:
    """Else counting the rest could take as long as the message is."""
    assert has_more_parts('""' * 1000 + "," * 101, 100)
    assert has_more_parts(json.dumps(dict.fromkeys(map(str, range(60)), ",")), 100)
    assert not has_more_parts(json.dumps(dict.fromkeys(map(str, range(60)), "x")), 100)


def test_what_is_no_json_is_left_to_the_parser() -> None:
    assert not has_more_parts('"' + "," * 1000, 100)
