"""All that one model tells of a reference and a target: bounds by every transform, and what stands beside."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from transferlens.core.seeding import rng_for, seed_for
from transferlens.data.selection import at_most
from transferlens.relatedness import bound
from transferlens.relatedness.bound import Heads, Options, Relation
from transferlens.relatedness.settings import learned
from transferlens.relatedness.tasks import Task, standardised
from transferlens.relatedness.transport import class_distances, wasserstein_floor

# Of a relation: numbers that depend on the test images, so that they have an interval; and those that do not.
_OF_IMAGES = (
    "reference_loss",
    "wasserstein",
    "prior_gap",
    "bound",
    "bound_tight",
    "transformed_loss",
    "transformed_accuracy",
)
_PROBE = ("probe_loss", "probe_accuracy")
_PLAIN = (
    "label_mismatch",
    "lipschitz",
    "label_map",
    "prior",
    "class_wasserstein",
    "class_reference_loss",
    "class_transformed_loss",
    "class_bound",
)
_ENDS = ("low", "high")
# Of a model: values by name.
Values = dict[str, np.ndarray]


@dataclass(frozen=True)
class Images:
    """Which images of a split of a data set enter, and as what.

    Attributes:
        positions: int64[images], among the examples of the split.
        labels: int64[images], positions in the task's classes.
    """

    positions: np.ndarray
    labels: np.ndarray


def images_of(labels: np.ndarray, classes: np.ndarray, most: int, rng: np.random.Generator) -> Images:
    """At most so many images of each of some classes.

    Args:
        labels: int64[examples] of the split.
        classes: int64[chosen], positions of the task's classes among the data set's.
    """
    place = np.full(max(labels.max(), classes.max()) + 1, -1)
    place[classes] = np.arange(len(classes))
    of_task = place[labels]
    inside = np.flatnonzero(of_task >= 0)
    positions = inside[at_most(of_task[inside], most, rng)]
    return Images(positions, of_task[positions])


@dataclass(frozen=True)
class Parts:
    """The images of a task, of either split, and how many classes they are of."""

    train: Images
    test: Images
    classes: int
    name: str

    def task(self, train: np.ndarray, test: np.ndarray, model: str) -> Task:
        """The task as a model sees it, from its features float[examples, features] of either split."""
        given = (train[self.train.positions], self.train.labels, test[self.test.positions], self.test.labels)
        return standardised(*given, self.classes, name=self.name, model=model)


@dataclass(frozen=True)
class Grid:
    """What is tried of every model.

    Attributes:
        taus, transforms, draws: of which every combination is.
        feature_map, label_start, rounds, batch: as of `Options`.
        scale: of the published program whose numbers are made, too; None for none.
        steps: of it; None for its own number.
        seed: of the run; draws are the same for all models, so that they can be compared.
    """

    taus: Sequence[float]
    transforms: Sequence[str]
    draws: int
    feature_map: str
    label_start: str
    rounds: int
    batch: int
    scale: str | None
    steps: int | None
    seed: int

    def draw_seed(self, draw: int) -> int:
        """What draws the permutation and the images of a draw."""
        return seed_for(self.seed, "relatedness", draw)


def measure(reference: Task, target: Task, grid: Grid) -> tuple[Values, list[str]]:
    """Relate a reference to a target, as one model sees them, in every way of a grid.

    Returns:
        Arrays by field of the artefact, without its first dimension; names of the proved inequalities.
    """
    heads = [bound.fit_heads(reference, target, tau) for tau in grid.taus]
    related = [
        [_draws(reference, target, of_tau, grid, name) for name in grid.transforms] for of_tau in heads
    ]
    first = [[draws[0] for draws in of_tau] for of_tau in related]
    values = {
        **_stacked(related, _of_bound),
        **_stacked([of_tau[0] for of_tau in first], _of_probe),
        "head_lipschitz": np.array([of_tau.reference.lipschitz for of_tau in heads]),
        "floor": np.float64(wasserstein_floor(target.test, rng_for(grid.seed, "halves of the target"))),
        "class_distance": class_distances(reference.test, target.train),
        **_traces(grid.transforms, first[0]),
    }
    if grid.scale:
        values["published"] = _published(reference, target, grid)
    return values, [stage.name for stage in first[0][0].stages]


def _draws(reference: Task, target: Task, heads: Heads, grid: Grid, transform: str) -> list[Relation]:
    options = Options(transform, grid.feature_map, grid.label_start, grid.rounds, grid.batch)
    return [
        bound.relate(reference, target, heads, options, grid.draw_seed(draw)) for draw in range(grid.draws)
    ]


def _of_bound(relation: Relation) -> Values:
    """What is stored of a bound."""
    values = {name: np.float64(getattr(relation, name)) for name in _PLAIN}
    values |= _with_ends(relation, _OF_IMAGES)
    for end in ("", *(f"_{end}" for end in _ENDS)):
        values[f"transport{end}"] = relation.lipschitz * values[f"wasserstein{end}"]
    values["slack"] = np.array([stage.slack for stage in relation.stages])
    values["probe_is_better"] = np.bool_(relation.probe_loss <= relation.transformed_loss)
    return values


def _of_probe(relation: Relation) -> Values:
    """What is stored of the probe beside it."""
    return {**_with_ends(relation, _PROBE), "class_probe_loss": relation.class_probe_loss}


def _with_ends(relation: Relation, names: Sequence[str]) -> Values:
    """Numbers with the ends of their intervals."""
    values = {name: np.float64(getattr(relation, name)) for name in names}
    for name in names:
        values |= {f"{name}_{end}": np.float64(getattr(relation.intervals[name], end)) for end in _ENDS}
    return values


def _stacked(nested: Any, pick: Callable[[Relation], Values]) -> Values:
    """Values of nested lists of what was made, as arrays with the lists' dimensions first."""
    if isinstance(nested, Relation):
        return pick(nested)
    inner = [_stacked(part, pick) for part in nested]
    return {name: np.array([part[name] for part in inner]) for name in inner[0]}


def _traces(transforms: Sequence[str], first: Sequence[Relation]) -> Values:
    """The bound on training images, round by round of the first tau and draw, of every learned transform."""
    named = dict(zip(transforms, first, strict=True))
    traces = [named[name].trace["objective"] for name in learned(transforms)]
    return {"trace_bound": np.array(traces)} if traces else {}


def _published(reference: Task, target: Task, grid: Grid) -> np.ndarray:
    """The published algorithm's numbers, float64[taus, transforms, draws, columns]."""
    from transferlens.relatedness import faithful  # torch takes seconds to import

    program = {"small": faithful.SMALL, "large": faithful.LARGE}[grid.scale]
    found = []
    for tau in grid.taus:
        recipe = replace(program, tau=tau, steps=grid.steps or program.steps)
        head = faithful.published_heads(reference, target, recipe, grid.draw_seed(0)).reference
        lines = [
            faithful.published(reference, target, head, transform, recipe, grid.draw_seed(draw))[0]
            for transform, draw in product(grid.transforms, range(grid.draws))
        ]
        found.append([list(vars(line).values()) for line in lines])
    return np.array(found).reshape(len(grid.taus), len(grid.transforms), grid.draws, -1)
