"""Still pictures of feature dynamics, and their numbers as a table."""
