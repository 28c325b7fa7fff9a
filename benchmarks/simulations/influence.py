"""Influences: errors of single cells whatever classes do together, and of what was chosen among many.

The spread of effects and of models is that of the default study (probability of the true class): means of a
target class differ by .095 between models of one mask, of which the two halves of the images share 95 %;
effects of source classes on them have a standard deviation of .035; on single examples the noise is .25.
"""

from collections.abc import Iterator

import numpy as np

from simulations.row import Row
from transferlens.core.statistics import t_interval
from transferlens.data.artefacts import HALVES
from transferlens.estimation import crossfit, designs, estimators
from transferlens.heatmaps import hurt_examples
from transferlens.influence import extremes

UNITS, CLASSES, EXAMPLES, SHOWN = 20, 10, 120, 12
NOISE, EFFECT, SHARED, EXAMPLE_NOISE = 0.095, 0.035, 0.95, 0.25
# Standard deviation of what classes do together beyond adding up: as large as the noise.
TOGETHER = NOISE
SINGLE = (
    *(("hadamard", models, "least_squares") for models in (56, 64, 128)),
    ("complementary", 64, "least_squares"),
    ("complementary", 48, "difference_of_means"),
    ("bernoulli", 32, "least_squares"),
    ("fixed_size", 64, "difference_of_means"),
)
KINDS = {
    "equal noise": 1,
    "noise that grows with a class": 1,
    "strong interactions of two classes": 2,
    "strong interactions of three classes": 3,
}
CHOSEN = (("hadamard", 128), ("complementary", 48), ("bernoulli", 64), ("fixed_size", 64))


def rows(scale: float) -> Iterator[Row]:
    """Coverage of cells; bias and coverage of extremes and of hurt examples."""
    for design, models, name in SINGLE:
        for kind in KINDS:
            if design != "fixed_size" or "two" not in kind:  # sums of a fixed size have no such truth
                yield _single_cells(design, models, name, kind, max(round(40 * scale), 2))
    for design, models in CHOSEN:
        yield from _extremes(design, models, max(round(120 * scale), 2))
    yield from _hurt_examples(max(round(60 * scale), 2))


def _single_cells(design: str, models: int, name: str, kind: str, repetitions: int) -> Row:
    rng = np.random.default_rng(0)
    hits, cells = 0, 0
    for seed in range(repetitions):
        effects = EFFECT * rng.normal(size=(CLASSES, UNITS))
        effects -= effects.mean(1, keepdims=True)
        masks = designs.draw_masks(design, UNITS, 0.5, seed, range(models))
        outputs = masks @ effects.T + _noise(masks, kind, rng)
        found = estimators.make(name, masks, outputs).effects(outputs)
        wanted = effects * _passed_on(design, name)
        interval = t_interval(found.effect, found.se, found.df)
        hits += int(((interval.low < wanted) & (wanted < interval.high)).sum())
        cells += wanted.size
    # Cells of one repetition share masks and the pattern of interactions: as good as some of them.
    error = np.sqrt(0.95 * 0.05 / (cells / 4))
    measure = f"coverage, {models} models, {design}, {name}, {kind}"
    bounds = (0.93 - 2 * error, 0.97 + 2 * error)
    return Row("class influence", measure, "95 % (+- 2 Monte Carlo s.e.)", hits / cells, *bounds, repetitions)


def _noise(masks: np.ndarray, kind: str, rng: np.random.Generator) -> np.ndarray:
    """What effects do not add up to: float[models, target classes]."""
    if kind == "noise that grows with a class":
        return unequal_noise(masks, rng)
    noise = NOISE * rng.normal(size=(len(masks), CLASSES))
    if KINDS[kind] == 1:
        return noise
    signs = np.where(masks, 1, -1)
    members = np.array([rng.choice(UNITS, KINDS[kind], replace=False) for _ in range(60)])
    return noise + signs[:, members].prod(2) @ rng.normal(0, TOGETHER / np.sqrt(60), (60, CLASSES))


def unequal_noise(masks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Three times as large in models that saw the first class: float[models, target classes]."""
    return NOISE * rng.normal(size=(len(masks), CLASSES)) * np.where(masks[:, :1], 1.5, 0.5)


def _passed_on(design: str, name: str) -> float:
    """Of differences between effects that sum to zero, how much a difference of means shows on average."""
    other_way_round = design == "fixed_size" and name == "difference_of_means"
    return UNITS / (UNITS - 1) if other_way_round else 1.0


def _by_fold(masks: np.ndarray, outputs: np.ndarray) -> list[estimators.Effects]:
    """The effects of each fold, as the script estimates them."""
    folds = crossfit.divide(masks, "least_squares")
    chosen = [folds.of_model == f for f in range(crossfit.FOLDS)]
    return [
        estimators.make(folds.estimator, masks[c], outputs[c]).effects(outputs[c], exact_df=False)
        for c in chosen
    ]


def _extremes(design: str, models: int, repetitions: int) -> Iterator[Row]:
    """Most helpful and most harmful class of every target class, halves of images sharing their models."""
    rng = np.random.default_rng(0)
    effects = EFFECT * rng.normal(size=(CLASSES, UNITS))
    effects -= effects.mean(1, keepdims=True)
    errors, se_told, hits = [], [], []
    for seed in range(repetitions):
        masks = designs.draw_masks(design, UNITS, 0.5, seed, range(models))
        shared = masks @ effects.T + NOISE * np.sqrt(SHARED) * rng.normal(size=(models, CLASSES))
        own = NOISE * np.sqrt(1 - SHARED) * rng.normal(size=(2, models, CLASSES))
        found = _by_fold(masks, np.concatenate([shared + own[0], shared + own[1]], axis=1))
        effect, se = (
            np.stack([getattr(fold, part) for fold in found]).reshape(2, 2, CLASSES, UNITS)
            for part in ("effect", "se")
        )
        df = np.array([fold.df for fold in found])
        for sign in (extremes.HELPFUL, extremes.HARMFUL):
            end = extremes.choose(effect[:, 0], effect[:, 1], se[:, 1], df, sign)
            truth = effects[np.arange(CLASSES), end.classes[:, :, 0]].mean(0)
            errors.append(sign * (end.value[:, 0] - truth))
            se_told.append(end.se[:, 0])
            hits.append((end.low[:, 0] < truth) & (truth < end.high[:, 0]))
    yield from _judged("extreme class influence", f"{models} models, {design}", errors, se_told, hits)


def _hurt_examples(repetitions: int) -> Iterator[Row]:
    """Examples and their most harmful classes, chosen by one fold and told by the other."""
    rng = np.random.default_rng(0)
    effects = EFFECT * rng.normal(size=(EXAMPLES, UNITS))
    halves = np.full(EXAMPLES, HALVES.index("report"))
    errors, se_told, hits = [], [], []
    for seed in range(repetitions):
        masks = designs.draw_masks("hadamard", UNITS, 0.5, seed, range(128))
        noise = np.sqrt(0.1) * rng.normal(size=(128, 1)) + np.sqrt(0.9) * rng.normal(size=(128, EXAMPLES))
        choosing, reporting = _by_fold(masks, masks @ effects.T + EXAMPLE_NOISE * noise)
        hurt = hurt_examples.most_hurt(choosing, reporting, halves, SHOWN)
        truth = effects[hurt.examples, hurt.source_units]
        interval = t_interval(hurt.effect, hurt.se, reporting.df)
        errors.append(hurt.effect - truth)
        se_told.append(hurt.se)
        hits.append((interval.low < truth) & (truth < interval.high))
    yield from _judged("influence on a hurt example", "128 models, hadamard", errors, se_told, hits)


def _judged(quantity: str, of: str, errors: list, se: list, hits: list) -> Iterator[Row]:
    """Bias in standard errors, and coverage, from arrays of cells; Monte Carlo errors are over these."""
    bias = np.mean(errors, axis=1) / np.mean(se)
    error = 2 * bias.std(ddof=1) / np.sqrt(len(bias))
    words = "within .1 standard errors (+- 2 Monte Carlo s.e.)"
    yield Row(quantity, f"bias, {of}", words, bias.mean(), -0.1 - error, 0.1 + error, len(bias))
    coverage = np.mean(hits, axis=1)
    error = 2 * coverage.std(ddof=1) / np.sqrt(len(coverage))
    words = "95 % (+- 2 Monte Carlo s.e.)"
    yield Row(quantity, f"coverage, {of}", words, coverage.mean(), 0.93 - error, 0.97 + error, len(hits))
