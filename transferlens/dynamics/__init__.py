"""Feature dynamics: what changes in a network while it is adapted, when, in which layer, because of which class."""
