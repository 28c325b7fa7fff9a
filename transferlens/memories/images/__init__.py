"""On which images memories show."""
