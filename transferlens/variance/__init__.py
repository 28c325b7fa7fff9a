"""What the intervals of a study are made of: seeds of the source, seeds of the transfer, and images."""
