"""Feature dynamics: what changes in a network while it is adapted, when, where, because of which class."""
