"""Influences of source classes: which subsets to train on, and what they tell."""
