"""Similarities over layers and steps, with intervals, null levels and references."""
