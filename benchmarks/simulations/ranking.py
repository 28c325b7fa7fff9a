"""Areas under ROC curves over models and images; what distraction adds where it repeats what is known.

Scores of a few models on the same images, of which models and images have a share each, go the way that
`scripts/rank_examples.py` sends them.
"""

from collections.abc import Iterator

import numpy as np

from simulations.row import Row
from transferlens.memories.images import failures
from transferlens.memories.images.failures import Predictor

MODELS, IMAGES = (4, 12), 450
# As many failures as fine-tuned models of the default study have.
FAILURES = 0.1
REPEATED = 0.7  # how much of the trivial score is in a distraction that knows no more


def rows(scale: float) -> Iterator[Row]:
    """The lines of the table."""
    repetitions = max(50, round(300 * scale))
    trivial, distraction = drawn(np.random.default_rng(0), 400, 4000)
    true = failures.area(distraction).value
    error = 2 * np.sqrt(0.05 * 0.95 / repetitions)
    for models in MODELS:
        areas, added = [], []
        for seed in range(repetitions):
            trivial, distraction = drawn(np.random.default_rng([seed, models]), models, IMAGES)
            areas.append(failures.area(distraction))
            if seed % 3 == 0:  # they take their time
                added.append(failures.added({"trivial": trivial}, distraction, seed))
        design = f"{models} pairs, {IMAGES} images"
        covered = float(np.mean([a.low <= true <= a.high for a in areas]))
        measure, nominal = f"coverage of the interval, {design}", ".95 (± .02 and two Monte Carlo errors)"
        yield Row("failures_auc", measure, nominal, covered, 0.93 - error, 0.97 + error, repetitions)
        spread = np.std([a.value for a in areas], ddof=1)
        bias, noise = float(np.mean([a.value for a in areas]) - true) / spread, 2 / np.sqrt(repetitions)
        measure = f"bias in standard errors, {design}"
        yield Row("failures_auc", measure, "0", bias, -0.1 - noise, 0.1 + noise, repetitions)
        found = float(np.mean([a.low > 0 for a in added]))
        measure = f"found above 0 where nothing is added, {design}"
        bound = 0.025 + 2 * np.sqrt(0.025 * 0.975 / len(added))
        yield Row(
            "added_auc", measure, "at most .025 (and two Monte Carlo errors)", found, 0, bound, len(added)
        )


def drawn(rng: np.random.Generator, models: int, images: int) -> tuple[Predictor, Predictor]:
    """A trivial score that tells failures, and a distraction that only repeats a part of it."""
    shared, own = rng.normal(size=images), rng.normal(size=(models, images))
    trivial = shared + 0.7 * own + rng.normal(0, 0.3, (models, 1))
    distraction = REPEATED * trivial + rng.normal(size=images) + 0.5 * rng.normal(size=trivial.shape)
    slope = rng.normal(1, 0.2, (models, 1))
    strength = slope * trivial + rng.normal(size=trivial.shape)
    failed = strength > np.quantile(strength, 1 - FAILURES)
    known = np.ones(images, bool)
    return Predictor(trivial, failed, known), Predictor(distraction, failed, known)
