"""What changes in a network while it is fine-tuned: when, in which layer, because of which source class."""
