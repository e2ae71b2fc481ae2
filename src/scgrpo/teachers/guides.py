"""What the teacher is told about the reference, per domain (section 2)."""

PLACEHOLDER = "{reference}"

GUIDES = {
    "math": (
        "An attempt at the user's problem is shown below for orientation. It may take another or "
        "a longer path than the best one, so do not copy it: think the problem through in your "
        "own way, step by step, and state the final answer in the form that is asked for.\n\n"
        "<reference_attempt>\n{reference}\n</reference_attempt>"
    ),
    "code": (
        "A program written for the user's task is shown below for orientation. Another design may "
        "be better, so do not copy it: reason about inputs, edge cases and cost in your own way, "
        "then write one complete program in the form that is asked for.\n\n"
        "<reference_attempt>\n{reference}\n</reference_attempt>"
    ),
    "agent": (
        "The record of an earlier episode on the user's task is shown below for orientation: what "
        "was done and what came back. Another sequence of actions may be better, and what you "
        "observe may differ, so act on your own observations and finish the task in your own "
        "way.\n\n<reference_episode>\n{reference}\n</reference_episode>"
    ),
    "synthetic": "{reference}",
}
"""Guide instructions by domain; `{reference}` stands for the reference trajectory."""


def resolve_guide(guide: str) -> str:
    """The text of a guide given by name, or the text itself.

    Raises:
        ValueError: for a text without a place for the reference.
    """
    text = GUIDES.get(guide, guide)
    if PLACEHOLDER not in text:
        raise ValueError(
            f"guide is {guide!r}, which is none of {', '.join(GUIDES)} and has no "
            f"{PLACEHOLDER}; put {PLACEHOLDER} where the reference trajectory belongs."
        )
    return text
