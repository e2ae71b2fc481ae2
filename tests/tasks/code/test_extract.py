"""The program of an answer."""

import pytest

from scgrpo.tasks.code.extract import program_of

FENCE = "```"


@pytest.mark.parametrize(
    ("answer", "program"),
    [
        ("no code at all", None),
        ("print(1)", None),
        ("```python\nprint(1)\n```", "print(1)\n"),
        ("Text\n```python\nprint(1)\n```\nmore `inline` text", "print(1)\n"),
        ("```python\nfirst\n```\n```python\nsecond\n```", "second\n"),
        ("```\nplain\n```", "plain\n"),
        ("```py\na\n```\nOutput:\n```\n42\n```", "a\n"),  # marked before unmarked
        ("```Python3\na\n```", "a\n"),
        ("```cpp\nint main;\n```", None),
        ("```python\na\n```\n```cpp\nb\n```", "a\n"),
        ("```python\nprint(1)", "print(1)"),  # cut
        ("```python\nwhole\n```\n```python\ncut", "cut"),
        ("```python\n```", None),
        ("```python\n   \n```", None),
        ("~~~python\na = '''\n```\n'''\n~~~", "a = '''\n```\n'''\n"),
        ("````python\na\n```\nb\n````", "a\n```\nb\n"),
        ("```python title=x.py\na\n```", "a\n"),
        ("1. Do it:\n   ```python\n   def f():\n       pass\n   ```", "def f():\n    pass\n"),
        ("<think>```python\ndraft\n```</think>\n```python\nreal\n```", "real\n"),
        ("<think>```python\ndraft\n```", None),
        ("<think>a</think> text <think>```python\nb\n```", None),
        ("```python\ndraft\n```</think>no program", None),
        ("</think>\n```python\nx\n```", "x\n"),
        ("```python\r\na\r\n```\r\n", "a\r\n"),
        ("```python\nprint('```')\n```", "print('```')\n"),
        ("Use ```python a``` inline\n```python\nb\n```", "b\n"),
    ],
)
def test_program(answer: str, program: str | None) -> None:
    assert program_of(answer) == program


def test_long_answers_are_read_in_no_time() -> None:
    """Lines that nearly match make no pattern go back and forth."""
    for text in ("`" * 200_000, "```\n" * 50_001, " " * 200_000 + "```", "```python" * 30_000,
                 ("`" * 50 + "\n") * 5_000):  # fmt: skip
        program_of(text)
