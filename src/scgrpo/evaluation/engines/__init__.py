"""What draws the completions of an evaluation: one interface, three engines."""

ENGINES = ("transformers", "vllm", "openai")
