"""Which recipe is recommended, and how sure that is.

Recipes are ranked by the accuracy of the reporting models on the select half of the target's evaluation
images, and reported by the same models on the report half: images of choice and report differ, models do not.
What choosing gains is therefore told across models: each is given the recipe that the *others* rank first;
and whether the first differs from another is corrected for all pairs of recipes.
Models from scratch are never recommended.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from transferlens.comparison.compared.answers import Compared
from transferlens.comparison.compared.estimates import accuracy
from transferlens.comparison.compared.quantities import SAME, Mean, OfModels, Told
from transferlens.core.seeding import rng_for
from transferlens.core.statistics import bootstrap_counts, holm
from transferlens.pictures.figures import SIGNIFICANT

RESAMPLES = 2000
_AT_ONCE = 100  # resamples; of 5,000 images these are 4 MB


@dataclass(frozen=True)
class Recommendation:
    """What the ranking says; arrays and lists are in the order of the contestants.

    Attributes:
        order: int64[recipes], those that may be recommended, the best first; equal ones in their order.
        chosen_accuracy: float64[contestants], on the select half.
        best_share: float64[contestants], share of resamples of models and select-half images in which it
            ranks first, shared where several do; NaN from scratch.
        ahead: accuracy of the recommended recipe minus that of each contestant, on the report half.
        ahead_holm: float64[contestants], p of that after Holm over all pairs of recipes: as the models that
            report are those that rank, the first is the largest of many, and the others alone are too small
            a family. NaN from scratch.
        chosen_by_others: int64[contestants], reporting models whose others rank it first.
        chosen_gain: accuracy of what the others rank first, model by model, minus that of the plain recipe.
    """

    order: np.ndarray
    chosen_accuracy: np.ndarray
    best_share: np.ndarray
    ahead: list[Told]
    ahead_holm: np.ndarray
    chosen_by_others: np.ndarray
    chosen_gain: Told

    @property
    def best(self) -> int:
        """The contestant that is recommended."""
        return int(self.order[0])

    @property
    def told_apart(self) -> np.ndarray:
        """bool[contestants], whether the recommended recipe differs from it, after Holm."""
        return self.ahead_holm < SIGNIFICANT


def recommend(compared: Compared, seed: int, resamples: int = RESAMPLES) -> Recommendation:
    """Rank by the select half, and tell how sure that is."""
    chosen = np.array([one.accuracy["select"].mean() for one in compared.contestants])
    recipes = np.flatnonzero([not one.from_scratch for one in compared.contestants])
    order = recipes[np.argsort(-chosen[recipes], kind="stable")]
    by_others = chosen_by_others(compared, recipes)
    return Recommendation(
        order,
        chosen,
        best_shares(compared, recipes, seed, resamples),
        [_ahead(compared, order[0], k) for k in range(len(chosen))],
        _of_all_pairs(compared, recipes)[order[0]],
        np.bincount(by_others, minlength=len(chosen)),
        _chosen_gain(compared, by_others),
    )


def _ahead(compared: Compared, best: int, other: int) -> Told:
    """Accuracy of the best minus that of another on the report half, paired by model and image."""
    if other == best:
        return Told(missing="it is recommended")
    told = accuracy(compared.contestants[best], compared).minus(
        accuracy(compared.contestants[other], compared)
    )
    missing = "not one answer differs" if told.missing == SAME else told.missing
    return Told(told.value, told.low, told.high, told.p, missing).within(-1, 1)


def _of_all_pairs(compared: Compared, recipes: np.ndarray) -> np.ndarray:
    """p of differences between recipes on the report half, after Holm over all pairs.

    Returns:
        float64[contestants, contestants]; NaN of a recipe and itself, and from scratch.
    """
    of = [accuracy(one, compared) for one in compared.contestants]
    pairs = list(combinations(recipes, 2))
    p = np.full((len(of), len(of)), np.nan)
    corrected = holm(np.array([of[i].minus(of[j]).p for i, j in pairs], float))
    for (i, j), value in zip(pairs, corrected, strict=True):
        p[i, j] = p[j, i] = value
    return p


def best_shares(compared: Compared, recipes: np.ndarray, seed: int, resamples: int = RESAMPLES) -> np.ndarray:
    """Share of resamples in which each contestant ranks first, float64[contestants]; NaN beside the recipes.

    Models and images of the select half are drawn again, independently; for areas under the ROC curve,
    models alone.
    """
    rng = rng_for(seed, "ranks of recipes")
    shares = np.zeros(len(recipes))
    for _ in range(resamples // _AT_ONCE):
        accuracies = _resampled(compared, recipes, rng)
        first = np.isclose(accuracies, accuracies.max(0), rtol=1e-12, atol=0)
        shares += (first / first.sum(0)).sum(1) / resamples
    found = np.full(len(compared.contestants), np.nan)
    found[recipes] = shares
    return found


def _resampled(compared: Compared, recipes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Accuracies of recipes on drawn models and images of the select half, float64[recipes, resamples]."""
    ones = [compared.contestants[k] for k in recipes]
    models = bootstrap_counts(len(ones[0].accuracy["select"]), _AT_ONCE, rng)
    if compared.metric == "auroc":
        return np.stack([models @ one.accuracy["select"] for one in ones])
    weights = compared.weights("select")
    counted = bootstrap_counts(len(weights), _AT_ONCE, rng) * weights
    return np.stack([((counted @ one.correct["select"].T) * models).sum(1) for one in ones])


def chosen_by_others(compared: Compared, recipes: np.ndarray) -> np.ndarray:
    """The contestant that all reporting models but one rank first on the select half, int64[models]."""
    accuracies = np.stack([compared.contestants[k].accuracy["select"] for k in recipes])
    without = accuracies.sum(1, keepdims=True) - accuracies
    # Sums in another order differ by rounding: of equal recipes the first is taken.
    first = np.isclose(without, without.max(0), rtol=1e-12, atol=0).argmax(0)
    return recipes[first]


def _chosen_gain(compared: Compared, by_others: np.ndarray) -> Told:
    """What each model gains over the plain recipe by the one that the others rank first; report half."""
    plain = accuracy(compared.plain, compared)
    made = [accuracy(compared.contestants[k], compared) for k in by_others]
    own = np.stack([quantity.values[m] for m, quantity in enumerate(made)])
    if isinstance(plain, Mean):
        told = Mean(own, plain.weights).minus(plain)
    else:
        told = OfModels(own, plain.missing).minus(plain)
    missing = (
        "the plain recipe is chosen, or one that answers alike" if told.missing == SAME else told.missing
    )
    return Told(told.value, told.low, told.high, told.p, missing).within(-1, 1)
