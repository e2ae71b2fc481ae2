"""What the base of the synthetic task learns from, and how it reads."""
