"""Recipes compared, by the functions that the script calls: copies of plain fine-tuning under other names.

What a model answers on an image follows from a latent margin: what the source model has of its own (shared by
all recipes), what training it again by a recipe adds, how hard the image is (for all models alike), what a
model has of its own on an image, and noise. Their sizes give accuracies the standard deviations that the
default study has by full fine-tuning (`simulations.variance`): .008 between source models, .04 between
transfers. Linear probes likewise.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from simulations.row import Row, bias_row, coverage_row
from transferlens.comparison.compared import estimates, recommended
from transferlens.comparison.compared.answers import Compared, Contestant
from transferlens.comparison.compared.artefacts import MEASURES
from transferlens.comparison.compared.quantities import Told
from transferlens.comparison.measures.calibration import calibration_error
from transferlens.core.seeding import rng_for
from transferlens.core.statistics import Interval

MODELS, IMAGES, PROBED = 5, 400, 300
# Standard deviations of the latent margin's parts.
SOURCE, TRANSFER, IMAGE, OWN, NOISE = 0.05, 0.25, 1.5, 0.5, 0.8
LEVEL, SCRATCH_LEVEL, PROBE_LEVELS = 1.5, 0.3, (1.2, 0.8)
_PLACE = {name: i for i, name in enumerate(MEASURES)}
_TOLD = (
    "accuracy",
    "negative_transfer",
    "forgetting_source",
    "brier",
    "calibration_error",
    "corruption_drop",
)


def rows(scale: float) -> Iterator[Row]:
    """Every property of this family, with its bounds."""
    for copies in (2, 8):
        yield from _placebo(copies, round(250 * scale))
    yield from _effects(round(250 * scale))


@dataclass(frozen=True)
class World:
    """One study: images, and source models with what they bring to every recipe.

    Attributes:
        hard: float64[images] of each half.
        source: float64[models].
    """

    rng: np.random.Generator
    hard: dict[str, np.ndarray]
    source: np.ndarray

    @classmethod
    def drawn(cls, *seed: str | int) -> "World":
        """Another study."""
        rng = rng_for("comparison", *seed)
        hard = {half: rng.normal(0, IMAGE, IMAGES) for half in ("select", "report")}
        return cls(rng, hard | {"probed": rng.normal(0, IMAGE, PROBED)}, rng.normal(0, SOURCE, MODELS))

    def margins(self, level: float, source: np.ndarray) -> dict[str, np.ndarray]:
        """Latent margins [models, images] of models trained once more, by half."""
        own = level + source + self.rng.normal(0, TRANSFER, len(source))
        return {half: own[:, None] + self.hard[half] + self._values(half, len(source)) for half in self.hard}

    def _values(self, half: str, models: int) -> np.ndarray:
        """What a model has of its own on an image, and noise."""
        return self.rng.normal(0, np.hypot(OWN, NOISE), (models, len(self.hard[half])))

    def contestant(self, name: str, level: float, before: np.ndarray, scratch: bool = False) -> Contestant:
        """A recipe with its own training of every model; from scratch with other models, too.

        Args:
            before: [models, images], whether probes were right before.
        """
        source = self.rng.normal(0, SOURCE, MODELS) if scratch else self.source
        margins = self.margins(level, source)
        correct = {half: (margins[half] > 0).astype(float) for half in ("select", "report")}
        probes = self.margins(PROBE_LEVELS[1], source)["probed"] > 0
        return Contestant(
            name,
            name,
            scratch,
            correct,
            {half: right.mean(1) for half, right in correct.items()},
            self.measures(margins["report"]),
            {} if scratch else {"source": probes.astype(float) - before},
        )

    def measures(self, margins: np.ndarray) -> xr.Dataset:
        """What is measured of models with these margins on the report half; nothing of the source's head."""
        of_images = ("model", "example")
        harder = margins[:, None, None] - np.array([0.5, 1.5])[:, None]
        kept = np.ones((len(margins), 4), bool)
        return xr.Dataset(
            {
                "correct": (of_images, margins > 0),
                "confidence": (of_images, confidence(margins)),
                "corrupted_correct": (("model", "corruption", "severity", "example"), harder > 0),
                "source_correct": (("model", "source_example"), kept),
                "retained": (("model", "source_example"), kept),
            }
        )


def confidence(margins: np.ndarray) -> np.ndarray:
    """Of the answer given: from a half up, and too much of it."""
    return 1 / (1 + np.exp(-1.5 * np.abs(margins)))


def study(seed: int, levels: np.ndarray) -> tuple[World, Compared]:
    """Recipes of these levels, the first of them plain, and models from scratch."""
    world = World.drawn(seed, len(levels))
    before = world.margins(PROBE_LEVELS[0], world.source)["probed"] > 0
    ones = [world.contestant(f"copy {i}", level, before) for i, level in enumerate(levels)]
    scratch = world.contestant("scratch", SCRATCH_LEVEL, before, scratch=True)
    labels = {half: np.arange(IMAGES) % 10 for half in ("select", "report")}
    return world, Compared([*ones, scratch], labels, [str(i) for i in range(10)], "global", "source")


def _placebo(copies: int, repetitions: int) -> Iterator[Row]:
    """Copies of plain fine-tuning: what is claimed of them, and what intervals cover."""
    found, chosen, truths = [], [], []
    for seed in range(repetitions):
        world, of = study(seed, np.full(copies, LEVEL))
        found.append(estimates.compare(of))
        chosen.append(recommended.recommend(of, seed, resamples=100))
        truths.append(_calibration(world))
    design = f"{copies} copies"
    yield _claimed("some copy differs in accuracy", design, [of.holm[1:-1, 0] for of in found])
    for name in ("negative_transfer", "forgetting_source", "calibration_error"):
        yield _claimed(f"some copy differs in {name}", design, [of.holm[1:-1, _PLACE[name]] for of in found])
    yield _claimed("recommended told apart from a copy", design, [of.ahead_holm for of in chosen])
    yield _claimed("chosen gain, p", design, [np.array([of.chosen_gain.p]) for of in chosen])
    gains = _stacked([of.chosen_gain for of in chosen])
    # Where all others choose the plain recipe the gain is exactly nothing, and right.
    yield replace(coverage_row("chosen gain", design, gains, 0.0), nominal=".95 or more", high=1)
    for name in _TOLD:
        differences = [of.differences[1][_PLACE[name]] for of in found]
        yield coverage_row(f"difference in {name}", design, _stacked(differences), 0.0)
    yield from _values(design, found, np.array(truths))


def _values(design: str, found: list[estimates.Estimates], calibration: np.ndarray) -> Iterator[Row]:
    """Numbers themselves: of other models and images; the calibration error of other models alone."""
    truth = _truths()
    for name, true in {**truth, "calibration_error": calibration}.items():
        told = _stacked([of.told[0][_PLACE[name]] for of in found])
        yield coverage_row(name, design, told, true)
    floor = _stacked([of.told[-1][_PLACE["negative_transfer"]] for of in found])
    yield coverage_row("negative transfer, floor from scratch", design, floor, _floor())


def _claimed(what: str, design: str, p: list[np.ndarray]) -> Row:
    """In how many repetitions any of some p-values is below .05: .05, and the chance of the simulation."""
    rate = np.mean([bool((of < 0.05).any()) for of in p])
    bound = 0.05 + 2 * np.sqrt(0.05 * 0.95 / len(p))
    return Row(what, f"claimed by chance: {design}", "at most .05", float(rate), 0, bound, len(p))


def _stacked(told: list[Told]) -> Interval:
    """Intervals; a number without one (nothing was chosen but the plain recipe) stands for itself."""
    value, low, high = (np.array([getattr(one, end) for one in told]) for end in ("value", "low", "high"))
    return Interval(value, *(np.where(np.isnan(end), value, end) for end in (low, high)))


def _calibration(world: World) -> float:
    """The mean calibration error of other models, on the images of a study."""
    margins = world.margins(LEVEL, world.rng.normal(0, SOURCE, 60))["report"]
    return float(calibration_error(confidence(margins), margins > 0).mean())


def _truths() -> dict[str, float]:
    """Means over ever so many models and images."""
    rng = rng_for("comparison", "truth")
    count = 1_000_000
    hard, source = rng.normal(0, IMAGE, count), rng.normal(0, SOURCE, count)
    spread = np.sqrt(TRANSFER**2 + OWN**2 + NOISE**2)

    def right(level: float, of: np.ndarray) -> np.ndarray:
        return level + of + hard + rng.normal(0, spread, count) > 0

    tuned, scratch = right(LEVEL, source), right(SCRATCH_LEVEL, rng.normal(0, SOURCE, count))
    before, after = (right(level, source).mean() for level in PROBE_LEVELS)
    return {
        "accuracy": float(tuned.mean()),
        "negative_transfer": float((scratch & ~tuned).mean()),
        "forgetting_source": float(after - before),
    }


def _floor() -> float:
    """How often a model from scratch is right where another one is wrong."""
    rng, count = rng_for("comparison", "floor"), 1_000_000
    hard = rng.normal(0, IMAGE, count)
    spread = np.sqrt(SOURCE**2 + TRANSFER**2 + OWN**2 + NOISE**2)
    one, other = (SCRATCH_LEVEL + hard + rng.normal(0, spread, count) > 0 for _ in range(2))
    return float((one & ~other).mean())


def _effects(repetitions: int) -> Iterator[Row]:
    """Recipes that differ: what choosing gains is told for what the models chose."""
    gains, truths = [], []
    offsets = np.array([0, -0.3, 0.15, 0.3, -0.15])
    true = _accuracy_of(LEVEL + offsets) - _accuracy_of(np.array([LEVEL]))
    for seed in range(repetitions):
        _, of = study(seed, LEVEL + offsets)
        made = recommended.recommend(of, seed, resamples=100)
        gains.append(made.chosen_gain)
        truths.append(float((made.chosen_by_others[:-1] * true).sum() / MODELS))
    told = _stacked(gains)
    yield coverage_row("chosen gain", "5 recipes that differ", told, np.array(truths))
    yield bias_row("chosen gain", "5 recipes that differ", told.value - np.array(truths))


def _accuracy_of(levels: np.ndarray) -> np.ndarray:
    """Of ever so many models and images, float64[levels]: margins are normal."""
    from scipy.stats import norm

    spread = np.sqrt(SOURCE**2 + TRANSFER**2 + IMAGE**2 + OWN**2 + NOISE**2)
    return norm.cdf(levels / spread)
