"""The visual half: receptive fields, strips, dead units, images that move units most."""
