"""Which recipe, on this target: all tuned alike, chosen by some models and reported by others."""
