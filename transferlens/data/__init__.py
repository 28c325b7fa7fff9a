"""What images exist, and how they reach a network."""
