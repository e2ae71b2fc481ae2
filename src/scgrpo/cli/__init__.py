"""The command line: `scgrpo` and `python -m scgrpo.cli`."""
