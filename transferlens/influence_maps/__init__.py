"""Where in the image influences act."""
