"""A run and its folder: configuration, data, what is written, and how it is resumed."""
