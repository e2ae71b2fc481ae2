"""What the model is asked."""

Messages = list[dict[str, str]]

SYSTEM = (
    "You write correct and efficient Python programs. Reason about the problem first, then give "
    "one complete program in a single fenced Python block at the end of your answer; only that "
    "block is run."
)
SCRIPT = (
    "Read the input from standard input and write the answer to standard output, in exactly the "
    "format that the problem asks for."
)


def script_prompt(statement: str) -> Messages:
    """For a program that reads standard input."""
    return _messages(f"{statement.strip()}\n\n{SCRIPT}")


def starter_prompt(statement: str, starter: str) -> Messages:
    """For a program that continues starter code."""
    return _messages(
        f"{statement.strip()}\n\nComplete this starter code, with its names and signature as they "
        f"are. The function is called by the tests; read no input.\n\n{fenced(starter)}"
    )


def function_prompt(statement: str) -> Messages:
    """For a function that the statement specifies; it is called by the tests."""
    return _messages(f"{statement.strip()}\n\nThe function is called by the tests; read no input.")


def fenced(code: str) -> str:
    """Code as a Python block."""
    return f"```python\n{code.strip()}\n```"


def _messages(text: str) -> Messages:
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}]
