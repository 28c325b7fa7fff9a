"""The published algorithm of task-relatedness, as its programs do it: for comparison, not for guarantees.

Mehra, Zhang and Hamm (NeurIPS 2024), by a description of their programs: squared distances with a large cost
of labels, transported between minibatches; the inverse of the feature map learned beside it; priors drawn
together by a penalty; numbers of images truncated. In float64, as such costs of labels need. What the
programs do for single data sets only (other rates for USPS and CIFAR-10) is a matter of the recipe.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import one_hot

from transferlens.core.errors import DataError
from transferlens.core.imports import pot
from transferlens.relatedness.bound import Heads
from transferlens.relatedness.columns import Columns, Maps, columns, large_tau, small_tau
from transferlens.relatedness.heads import Head
from transferlens.relatedness.penalised import HeadRecipe, fit_penalised
from transferlens.relatedness.tasks import Sample, Task, check_same_dimensions


@dataclass(frozen=True)
class Recipe:
    """Constants of a published program.

    Attributes:
        large: whether of the large-scale program, which takes P_R from the data, and the reference's loss
            from all training images.
        tau: what gradients of heads are drawn below.
        steps: of learning a transform.
        batch: nominal images of either task in a step.
        label_cost: of two images of different labels.
        prior_rate: learning rate of D; of all others it is 1e-2.
        reference_head, target_head: how heads are fitted.
        distance_weight: of the distance in the objective.
    """

    large: bool
    tau: float
    steps: int
    batch: int
    label_cost: float
    prior_rate: float
    reference_head: HeadRecipe
    target_head: HeadRecipe
    distance_weight: float = 2


SMALL = Recipe(
    large=False,
    tau=0.2,
    steps=1001,
    batch=500,
    label_cost=1e8,
    prior_rate=1e-4,
    reference_head=HeadRecipe(large=False, rounds=501, batch=500, rate=1e-4, penalty=1e10),
    target_head=HeadRecipe(large=False, rounds=501, batch=500, rate=1e-4, penalty=1e5),
)
LARGE = Recipe(
    large=True,
    tau=0.02,
    steps=2001,
    batch=1000,
    label_cost=1e6,
    prior_rate=1e-3,
    reference_head=HeadRecipe(large=True, rounds=10_001, batch=1000, rate=1e-4, penalty=1e4),
    target_head=HeadRecipe(large=True, rounds=5001, batch=1000, rate=1e-4, penalty=1e4),
)


def published_heads(reference: Task, target: Task, recipe: Recipe, seed: int) -> Heads:
    """Both heads, with gradients penalised."""
    recipes = (recipe.reference_head, recipe.target_head)
    fitted = [
        fit_penalised(of.train, recipe.tau, r, seed)
        for of, r in zip((reference, target), recipes, strict=True)
    ]
    return Heads(*fitted, recipe.tau)


def published(
    reference: Task, target: Task, head: Head, transform: str, recipe: Recipe, seed: int
) -> tuple[Columns, Maps]:
    """The published line of one reference and target, and the transform behind it.

    Args:
        head: of the reference.
        transform: "FixedAll", "LearnedA" or "LearnedAll".

    Raises:
        DataError: tasks of different numbers of classes, or of features.
    """
    check_same_dimensions(reference, target)
    if reference.classes != target.classes:
        raise DataError(
            "The published algorithm needs as many reference classes as target classes: "
            f"{reference.classes} and {target.classes} were given. Draw as many, or take mode: rigorous."
        )
    rng = np.random.default_rng(seed)
    prior = reference.prior if recipe.large else np.full(reference.classes, 1 / reference.classes)
    learning = Learning(reference.train, target.train, head, prior, transform, recipe, rng)
    for _ in range(recipe.steps if transform != "FixedAll" else 0):
        learning.step()
    maps = learning.maps()
    if recipe.large:
        tau = large_tau(reference.test, target.test, head, maps, rng)
    else:
        tau = small_tau(target.test, head, maps, rng)
    return columns(reference.test, target.test, head, maps, prior, tau), maps


class Learning:
    """The variables of the published algorithm, and its step."""

    def __init__(
        self,
        reference: Sample,
        target: Sample,
        head: Head,
        prior: np.ndarray,
        transform: str,
        recipe: Recipe,
        rng,
    ) -> None:
        self.reference, self.target, self.recipe, self.rng = reference, target, recipe, rng
        self.prior, self.target_prior = (torch.from_numpy(p) for p in (prior, target.frequencies))
        self.losses = head.losses(reference)
        self.classes, d = target.classes, target.features.shape[1]
        self.matrix, self.inverse = torch.eye(d).double(), torch.eye(d).double()
        self.shift = torch.zeros(d).double()
        self.free_labels = transform == "LearnedAll"
        if self.free_labels:
            self.labels = torch.from_numpy(rng.random((self.classes, self.classes)))
            self.prior_logits = self.prior.clone()  # the probabilities themselves, as published
        else:
            self.labels = torch.from_numpy(np.eye(self.classes)[rng.permutation(self.classes)])
        self.optimiser = self._optimiser()

    def _optimiser(self) -> torch.optim.Optimizer:
        groups = [{"params": [self.matrix, self.inverse, self.shift]}]
        if self.free_labels:
            groups += [
                {"params": [self.labels]},
                {"params": [self.prior_logits], "lr": self.recipe.prior_rate},
            ]
        for group in groups:
            for parameter in group["params"]:
                parameter.requires_grad_()
        return torch.optim.Adam(groups, lr=1e-2, eps=1e-7)

    def label_map_and_prior(self) -> tuple[torch.Tensor, torch.Tensor]:
        """B and D."""
        if not self.free_labels:
            return self.labels, self.prior
        return self.labels.softmax(0), self.prior_logits.softmax(0)

    def step(self) -> None:
        """Draw batches, transport one to the other, and follow the slope of the objective."""
        prior = self.label_map_and_prior()[1].detach().numpy()
        batches = self.batch(self.reference, prior), self.batch(self.target, self.target.frequencies)
        loss = sum(self.objective(*batches).values())
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()

    def batch(self, sample: Sample, shares: np.ndarray) -> np.ndarray:
        """Rows of a batch: int(n * share) images of each class, as many as there are, in random order."""
        rows = [
            self.rng.permutation(np.flatnonzero(sample.labels == label))[: int(self.recipe.batch * share)]
            for label, share in enumerate(shares)
        ]
        return self.rng.permutation(np.concatenate(rows))

    def objective(self, of_reference: np.ndarray, of_target: np.ndarray) -> dict[str, torch.Tensor]:
        """Its terms, weighted, by their published names; of batches' rows."""
        label_map, prior = self.label_map_and_prior()
        eye = torch.eye(len(self.shift)).double()
        return {
            "WD": self.recipe.distance_weight * self._distance(of_reference, of_target, label_map),
            "CE": -(prior * torch.special.xlogy(label_map, label_map).sum(0)).sum(),
            "PM": (self.target_prior - label_map @ prior).square().sum(),
            "IC": (self.matrix @ self.inverse - eye).square().sum()
            + (self.inverse @ self.matrix - eye).square().sum(),
            "WS": self._reference_loss(of_reference, prior),
        }

    def _distance(
        self, of_reference: np.ndarray, of_target: np.ndarray, label_map: torch.Tensor
    ) -> torch.Tensor:
        """Squared distances and label costs along the plan that is optimal for the distances themselves."""
        labels = (
            one_hot(torch.from_numpy(self.reference.labels[of_reference]), self.classes).double()
            @ label_map.T
        )
        others = one_hot(torch.from_numpy(self.target.labels[of_target]), self.classes).double()
        features = torch.from_numpy(self.reference.features[of_reference]) @ self.matrix.T + self.shift
        there = torch.from_numpy(self.target.features[of_target])
        with torch.no_grad():
            cost = _distances(features, there) + self.recipe.label_cost * _distances(labels, others)
        row, column, mass = _plan(cost.numpy())
        apart = (features[row] - there[column]).square().sum(1)
        labels_apart = (labels[row] - others[column]).square().sum(1)
        return (mass * (apart + self.recipe.label_cost * labels_apart)).sum()

    def _reference_loss(self, of_reference: np.ndarray, prior: torch.Tensor) -> torch.Tensor:
        """At large scale of all training images; at small scale of as many of each class of the batch."""
        rows = np.arange(len(self.losses)) if self.recipe.large else self._balanced(of_reference)
        by_class = np.bincount(self.reference.labels[rows], self.losses[rows], self.classes) / len(rows)
        return (prior / self.prior * torch.from_numpy(by_class)).sum()

    def _balanced(self, rows: np.ndarray) -> np.ndarray:
        labels = self.reference.labels[rows]
        least = np.bincount(labels, minlength=self.classes).min()
        return np.concatenate([rows[labels == label][:least] for label in range(self.classes)])

    def maps(self) -> Maps:
        """What has been learned."""
        variables = (self.matrix, self.shift, self.inverse, *self.label_map_and_prior())
        return Maps(*(v.detach().numpy() for v in variables))


def _distances(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    return torch.cdist(first, second, compute_mode="donot_use_mm_for_euclid_dist")


def _plan(cost: np.ndarray) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rows, columns and masses of POT's plan with its default iterations, whose warnings nobody sees."""
    even = [np.full(n, 1 / n) for n in cost.shape]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plan = pot().emd(*even, cost)
    row, column = np.nonzero(plan)
    return torch.from_numpy(row), torch.from_numpy(column), torch.from_numpy(plan[row, column])
