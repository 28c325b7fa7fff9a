"""Recipes by measures with their intervals, the ranking, and what is recommended."""
