"""The interactive page: similarities of all layers and steps to look up, and units to see."""
