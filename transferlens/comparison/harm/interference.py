"""What a source class seen in training takes from target images that are pasted on images of it.

Which classes a model saw was drawn at random. So the mean drop of models that saw the class of the
background, minus that of the others, is the effect of having seen it: no class, model or composite is chosen.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from transferlens.comparison.harm.effects import Told, by_recipe, with_differences
from transferlens.core.crossed import crossed_means
from transferlens.estimation.contributions import free_observations, of_differences


@dataclass(frozen=True)
class Answered:
    """What the models of the study answer to composites, under every recipe.

    Attributes:
        seen: bool[models, composites], whether the model saw the class of the background.
        drops: float[models, composites] of every recipe, the plain one first.
        background, overlay: [composites], the images that a composite is made of.
    """

    seen: np.ndarray
    drops: Sequence[np.ndarray]
    background: Sequence[str]
    overlay: Sequence[str]


def counted(seen: np.ndarray) -> np.ndarray:
    """Composites bool[composites] whose class at least two models saw and two did not."""
    saw = seen.sum(0)
    return np.minimum(saw, len(seen) - saw) >= 2


def compare(answered: Answered, by_pairs: bool) -> Told:
    """Seen minus unseen over all composites, with errors over models, backgrounds and pasted images.

    At least one composite is `counted`, and only these are told.

    Args:
        by_pairs: whether models 2p and 2p + 1 saw complementary classes.
    """
    told = counted(answered.seen)
    seen = answered.seen[:, told]
    parts = [of_differences(seen, drops[:, told], by_pairs) for drops in answered.drops]
    values = with_differences(np.stack(parts))
    factors = [np.unique(of, return_inverse=True)[1][told] for of in (answered.background, answered.overlay)]
    means = crossed_means(values, np.ones(values.shape[1:]), factors, free_observations(seen, by_pairs))
    return by_recipe(means.value, means.se, means.df)
