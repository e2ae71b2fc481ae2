"""What people write in YAML or on a command line: bounded, and made to fit the types of fields."""
