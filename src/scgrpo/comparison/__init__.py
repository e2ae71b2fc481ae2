"""Many methods, seeds and tasks with the same budget: plan, results, table."""
