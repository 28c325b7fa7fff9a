"""Full fine-tuning: every parameter is trained. Source models are trained so, too, from random weights."""

from transferlens.training.recipes.base import Recipe


class Full(Recipe):
    """Minimises the cross-entropy of the target's training images by every parameter."""
