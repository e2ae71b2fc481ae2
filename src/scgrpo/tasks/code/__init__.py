"""Programming problems, judged by running the programs in a sandbox."""
