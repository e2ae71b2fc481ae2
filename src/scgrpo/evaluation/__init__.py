"""Avg@k and Pass@k of a model on a task, with intervals over problems."""
