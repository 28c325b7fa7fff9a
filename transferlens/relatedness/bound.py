"""A bound on the loss that a target task has by a head of a reference task, and what it is made of.

After Mehra, Zhang and Hamm, "Understanding the Transferability of Representations via Task-Relatedness"
(NeurIPS 2024), with what a bound needs to hold: the true inverse of the feature map, the Lipschitz constant
in closed form, soft labels as weights, and a term for classes that are not as frequent as the target's.
`faithful` holds the published algorithm.
"""

from dataclasses import dataclass

import numpy as np

from transferlens.core.statistics import Interval
from transferlens.relatedness.evaluation import Evaluation, evaluate
from transferlens.relatedness.feature_maps import FEATURE_MAPS
from transferlens.relatedness.heads import Head, fit_head
from transferlens.relatedness.intervals import intervals
from transferlens.relatedness.label_maps import entropy, learnable_map, paired_map
from transferlens.relatedness.learning import Lesson, learn, of_joint
from transferlens.relatedness.stages import Stage, check
from transferlens.relatedness.tasks import Sample, Task, check_same_dimensions, part_of
from transferlens.relatedness.transforms import Transform


@dataclass(frozen=True)
class Options:
    """How a reference is turned into something like the target.

    Attributes:
        transform: "FixedAll" (nothing is learned), "LearnedA" (the feature map) or "LearnedAll" (labels and
            prior too).
        feature_map: "identity", "orthogonal" or "affine"; what is not learned is the identity.
        label_start: "random", "hungarian" or "uniform".
        steps: of learning.
        batch: training images of either task that transforms are learned from, at most.
    """

    transform: str = "LearnedAll"
    feature_map: str = "orthogonal"
    label_start: str = "hungarian"
    steps: int = 20
    batch: int = 400


@dataclass(frozen=True)
class Heads:
    """Heads of one encoder on both tasks, shared by all transforms.

    Attributes:
        reference, target: each held to `tau`.
        tau: the Lipschitz constant they were held to; None where it was only measured.
    """

    reference: Head
    target: Head
    tau: float | None


@dataclass(frozen=True)
class Relation:
    """The bound and all that stands beside it. Every number is of the test images; losses are in nats.

    Attributes:
        reference_loss: of the reference head, classes weighted by `prior`.
        label_mismatch: conditional entropy H(Y_R''|Y_R').
        wasserstein: distance of the transformed reference and the target, mean over target classes.
        lipschitz: of the transformed head (tau''').
        prior_gap: what classes that are not as frequent as the target's cost or save.
        bound: reference_loss + label_mismatch + lipschitz * wasserstein + prior_gap.
        bound_tight: loss of the transformed reference, classes as frequent as the target's, + lipschitz *
            wasserstein.
        transformed_loss, transformed_accuracy: of the transformed head on the target; the loss is what the
            bound bounds.
        probe_loss, probe_accuracy: of the target's own head.
        log_classes: loss of guessing, log K_T.
        label_map: B float64[K_T, K_R], columns sum to 1.
        prior: D float64[K_R], of the reference classes after the transform.
        feature_map: (A float64[d, d], b float64[d]).
        class_wasserstein, class_reference_loss, class_transformed_loss, class_probe_loss, class_prior,
            class_bound: float64[K_T] each. class_reference_loss is the loss of the transformed reference
            given the target class; class_bound = class_reference_loss + lipschitz * class_wasserstein.
        intervals: over test images drawn anew within classes, by the names of the terms above
            (but label_mismatch and lipschitz, which no test image decides).
        trace: of the objective on training images at the start and after each step, by part, float64[steps +
            1].
        stages: the proved inequalities.
        warnings: assumptions that do not hold, a sentence each.
    """

    reference_loss: float
    label_mismatch: float
    wasserstein: float
    lipschitz: float
    prior_gap: float
    bound: float
    bound_tight: float
    transformed_loss: float
    transformed_accuracy: float
    probe_loss: float
    probe_accuracy: float
    log_classes: float
    label_map: np.ndarray
    prior: np.ndarray
    feature_map: tuple[np.ndarray, np.ndarray]
    class_wasserstein: np.ndarray
    class_reference_loss: np.ndarray
    class_transformed_loss: np.ndarray
    class_probe_loss: np.ndarray
    class_prior: np.ndarray
    class_bound: np.ndarray
    intervals: dict[str, Interval]
    trace: dict[str, np.ndarray]
    stages: tuple[Stage, ...]
    warnings: tuple[str, ...]


def fit_heads(reference: Task, target: Task, tau: float | None) -> Heads:
    """Both heads, each fitted on its task's training images."""
    of_reference, of_target = (fit_head(task.train, task.classes, tau) for task in (reference, target))
    return Heads(of_reference, of_target, tau)


def relate(reference: Task, target: Task, heads: Heads, options: Options, seed: int) -> Relation:
    """Transform the reference towards the target, and bound the target's loss.

    Args:
        seed: of the training images that are learned from and of random label maps; nothing else is random.

    Raises:
        DataError: the tasks do not have the same features.
        NumericalError: a solver did not reach its optimum, or a proved inequality does not hold.
    """
    check_same_dimensions(reference, target)
    transform, trace = fit_transform(reference, target, heads.reference, options, seed)
    return bound(reference.test, target.test, transform, heads, trace)


def fit_transform(
    reference: Task, target: Task, head: Head, options: Options, seed: int
) -> tuple[Transform, dict[str, np.ndarray]]:
    """The transform that the options ask for, from training images only, and its trace."""
    rng = np.random.default_rng(seed)
    samples = [part_of(task.train, options.batch, rng) for task in (reference, target)]
    losses = reference.train.class_means(head.losses(reference.train))
    learned = options.transform == "LearnedAll"
    priors = reference.prior, target.prior
    start = _start(priors, samples, options.label_start, learned, rng)
    feature_map = None if options.transform == "FixedAll" else FEATURE_MAPS[options.feature_map]
    return learn(Lesson(*samples, target.prior, head, losses), start, feature_map, learned, options.steps)


def _start(
    priors: tuple[np.ndarray, np.ndarray],
    samples: list[Sample],
    label_start: str,
    learned: bool,
    rng: np.random.Generator,
) -> Transform:
    """Features as they are, labels as the start says, classes as frequent as in the reference.

    Where labels are learned, reference classes are weighted such that they make the target's as frequent as
    these are.
    """
    of_reference, of_target = priors
    make = learnable_map if learned else paired_map
    label_map = make(label_start, *samples, of_target, rng)
    if learned:
        joint = label_map * of_reference
        of_reference, label_map = of_joint(joint * (of_target / joint.sum(1))[:, None])
    d = samples[0].features.shape[1]
    return Transform(of_reference, label_map, np.eye(d), np.zeros(d))


def bound(
    reference: Sample, target: Sample, transform: Transform, heads: Heads, trace: dict[str, np.ndarray]
) -> Relation:
    """The bound by a transform, on test images."""
    seen = evaluate(reference, target, transform, heads.reference, heads.target)
    mismatch = entropy(transform.label_map, transform.prior)
    terms = _whole(seen, mismatch) | _of_classes(seen)
    stages = _stages(seen, terms, mismatch)
    check(stages)
    return Relation(
        **terms,
        label_mismatch=mismatch,
        lipschitz=seen.lipschitz,
        log_classes=float(np.log(target.classes)),
        label_map=transform.label_map,
        prior=transform.prior,
        feature_map=(transform.matrix, transform.shift),
        class_prior=target.frequencies,
        intervals=intervals(seen, terms),
        trace=trace,
        stages=stages,
        warnings=_warnings(terms),
    )


def _whole(seen: Evaluation, mismatch: float) -> dict[str, float]:
    share, made = seen.target.frequencies, seen.transform.target_prior
    loss = float(seen.transform.prior @ seen.reference.class_means(seen.reference_losses))
    distance, gap = float(share @ seen.distances), float((share - made) @ seen.class_reference_losses)
    return {
        "reference_loss": loss,
        "wasserstein": distance,
        "prior_gap": gap,
        "bound": loss + mismatch + seen.lipschitz * distance + gap,
        "bound_tight": float(share @ seen.class_reference_losses) + seen.lipschitz * distance,
        "transformed_loss": float(seen.own(seen.transformed_losses).mean()),
        "transformed_accuracy": float(seen.correct(seen.transformed_losses).mean()),
        "probe_loss": float(seen.own(seen.probe_losses).mean()),
        "probe_accuracy": float(seen.correct(seen.probe_losses).mean()),
    }


def _of_classes(seen: Evaluation) -> dict[str, np.ndarray]:
    return {
        "class_wasserstein": seen.distances,
        "class_reference_loss": seen.class_reference_losses,
        "class_transformed_loss": seen.class_losses(seen.transformed_losses),
        "class_probe_loss": seen.class_losses(seen.probe_losses),
        "class_bound": seen.class_reference_losses + seen.lipschitz * seen.distances,
    }


def _stages(seen: Evaluation, terms: dict, mismatch: float) -> tuple[Stage, ...]:
    """What is proved: the chain from the reference's loss to the target's, stage by stage."""
    mixed = float(seen.transform.target_prior @ seen.class_reference_losses)
    worst = (terms["class_bound"] - terms["class_transformed_loss"]).argmin()
    return (
        Stage("label map", mixed, terms["reference_loss"] + mismatch),
        Stage("feature map there and back", abs(seen.returned_loss - mixed), 0),
        Stage("distribution shift", terms["transformed_loss"], terms["bound_tight"]),
        Stage(
            "distribution shift of the worst class",
            float(terms["class_transformed_loss"][worst]),
            float(terms["class_bound"][worst]),
        ),
        Stage("all", terms["transformed_loss"], terms["bound"]),
    )


def _warnings(terms: dict) -> tuple[str, ...]:
    """What is assumed of the target's own head: that it is at least as good as the transformed one."""
    probe, transformed = terms["probe_loss"], terms["transformed_loss"]
    if probe <= transformed:
        return ()
    return (f"The probe's loss {probe:.4g} is above that of the transformed head, {transformed:.4g}.",)
