"""Learning a transform: transport, then better maps for that transport, and again.

The objective is the bound on the training images: prior-weighted reference loss + label mismatch + Lipschitz
constant * Wasserstein distance. Each round solves the transport of every target class exactly; then, with the
plans held, the feature map takes a step that cannot raise the objective; and, with the potentials held, the
label map and the prior take one along the objective's slope (the envelope theorem: plans and potentials have
no slope of their own). The best transform of all rounds is kept.

The published constraint that labels of the transformed reference are as frequent as the target's, B D = P_T,
holds exactly throughout where labels are learned: what is learned is their joint distribution G = B diag(D),
whose rows add up to P_T. Where they are not, the prior gap of the bound is the same for all feature maps, and
not in the objective.
"""

from dataclasses import dataclass, replace

import numpy as np
import scipy

from transferlens.relatedness.feature_maps import FeatureMap, Matched
from transferlens.relatedness.heads import Head
from transferlens.relatedness.label_maps import entropy
from transferlens.relatedness.tasks import Sample
from transferlens.relatedness.transforms import Transform
from transferlens.relatedness.transport import distances, transport

# The share of a target class below which a reference class has no longer any part in it.
_NEGLIGIBLE = 1e-6


@dataclass(frozen=True)
class Round:
    """The objective at a transform, and what its steps need.

    Attributes:
        parts: the objective and its terms, by name.
        matched: the plans of all target classes.
        slopes: of the Wasserstein distance in G, float64[K_T, K_R], up to a constant in each row.
    """

    parts: dict[str, float]
    matched: Matched
    slopes: np.ndarray


@dataclass(frozen=True)
class Lesson:
    """What is learned from.

    Attributes:
        reference, target: training images.
        target_prior: P_T float64[K_T], of all the target's training images.
        head: of the reference.
        class_losses: float64[K_R], of the head on the reference's training images.
    """

    reference: Sample
    target: Sample
    target_prior: np.ndarray
    head: Head
    class_losses: np.ndarray


def learn(
    lesson: Lesson, start: Transform, feature_map: FeatureMap | None, labels: bool, steps: int
) -> tuple[Transform, dict[str, np.ndarray]]:
    """The best transform of `steps` rounds from a start, and the trace of the objective.

    Args:
        feature_map: takes the feature map's step, of `FEATURE_MAPS`; None leaves it as it is.
        labels: whether label map and prior are learned.

    Returns:
        The transform, and each part of the objective at the start and after each step, float64[steps + 1]:
            the same throughout where nothing is learned.
    """
    at = best = start
    rounds = [look(lesson, at, labels)]
    least = rounds[0].parts["objective"]
    for _ in range(steps if feature_map is not None or labels else 0):
        at = _step(lesson, at, rounds[-1], feature_map, labels)
        rounds.append(look(lesson, at, labels))
        if rounds[-1].parts["objective"] < least:
            best, least = at, rounds[-1].parts["objective"]
    rounds += rounds[-1:] * (steps + 1 - len(rounds))
    return best, {name: np.array([r.parts[name] for r in rounds]) for name in rounds[0].parts}


def look(lesson: Lesson, at: Transform, labels: bool) -> Round:
    """Solve the transport of every target class, at a transform; slopes only where `labels` are learned."""
    reference, target = lesson.reference, lesson.target
    moved, weights = at.moved(reference.features), at.class_weights(reference.labels)
    plans, slopes, distance = [], np.zeros(at.label_map.shape), 0.0
    apart = distances(moved, target.features) if labels else None
    for label, share in enumerate(lesson.target_prior):
        members, used = np.flatnonzero(target.labels == label), np.flatnonzero(weights[label])
        cost = apart[np.ix_(used, members)] if labels else distances(moved[used], target.features[members])
        solved = transport(cost, weights[label, used], np.full(len(members), 1 / len(members)))
        row, column = np.nonzero(solved.plan)
        plans.append((used[row], members[column], share * solved.plan[row, column]))
        distance += share * solved.distance
        if labels:
            # Potentials also of images that have no weight as yet: as high as their costs allow.
            slopes[label] = reference.class_means((apart[:, members] - solved.second).min(1))
    rows, columns, mass = (np.concatenate(parts) for parts in zip(*plans, strict=True))
    matched = Matched(reference.features, target.features, rows, columns, mass)
    return Round(_parts(lesson, at, distance), matched, slopes)


def _parts(lesson: Lesson, at: Transform, distance: float) -> dict[str, float]:
    loss = float(at.prior @ lesson.class_losses)
    mismatch, constant = entropy(at.label_map, at.prior), at.head(lesson.head).lipschitz
    return {
        "reference_loss": loss,
        "label_mismatch": mismatch,
        "wasserstein": distance,
        "lipschitz": constant,
        "objective": loss + mismatch + constant * distance,
    }


def _step(
    lesson: Lesson, at: Transform, seen: Round, feature_map: FeatureMap | None, labels: bool
) -> Transform:
    """Both maps after a step, each from the transform as it was seen."""
    after = at
    if feature_map is not None:
        matrix, shift = feature_map(seen.matched, lesson.head.weight, at.matrix, at.shift)
        after = replace(after, matrix=matrix, shift=shift)
    if labels:
        prior, label_map = _better_labels(lesson, at, seen)
        after = replace(after, prior=prior, label_map=label_map)
    return after


def _better_labels(lesson: Lesson, at: Transform, seen: Round) -> tuple[np.ndarray, np.ndarray]:
    """D and B after a step of mirror descent: G exp(-slope), with rows that again add up to P_T.

    The slope of the objective in G_ij is L_j - log B_ij + tau U_ij: loss of the reference class, entropy,
    transport. So the step is G_ij B_ij exp(-L_j - tau U_ij): what is already likely is made likelier, and
    what is cheap.
    """
    with np.errstate(divide="ignore"):
        log = np.log(at.label_map * at.prior) + np.log(at.label_map)
    log -= lesson.class_losses + seen.parts["lipschitz"] * seen.slopes
    shares = scipy.special.softmax(log, axis=1)
    shares[shares < _NEGLIGIBLE] = 0
    return of_joint(shares / shares.sum(1, keepdims=True) * lesson.target_prior[:, None])


def of_joint(joint: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Prior D float64[K_R] and label map B float64[K_T, K_R] of a joint distribution G float64[K_T, K_R].

    A reference class without any mass gets the target's frequencies as its column, which count nothing.
    """
    prior, target = joint.sum(0), joint.sum(1)
    label_map = np.where(prior > 0, joint / np.where(prior > 0, prior, 1), target[:, None])
    return prior, label_map / label_map.sum(0)
