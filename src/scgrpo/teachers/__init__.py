"""The self-conditioned teacher: its prompts, and its passes over the student's completions."""
