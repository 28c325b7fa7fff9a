"""What a memory does to predictions: composites, interference, removal."""
