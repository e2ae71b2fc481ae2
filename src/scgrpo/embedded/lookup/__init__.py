"""What the base of the lookup task learns from, and how it reads."""
