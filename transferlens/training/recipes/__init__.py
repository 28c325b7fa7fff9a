"""Recipes: how a source model is adapted to a target, one family a file."""
