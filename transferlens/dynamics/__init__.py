"""Feature dynamics: what changes in a network while it is fine-tuned, when, and in which layer."""
