"""Networks by name, and stacks of their states."""
