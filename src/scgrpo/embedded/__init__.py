"""The shipped tiny bases, and the corpora that they learn from."""
