"""Where it shows: class maps of examples that a source class hurts, and how faithful such maps are."""
