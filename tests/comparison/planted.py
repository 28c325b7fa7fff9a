"""Comparisons with planted answers."""

import numpy as np
import xarray as xr

from transferlens.comparison.compared.answers import Compared, Contestant

CLASSES = ["a", "b", "c"]


def measures(correct, seed=0, corruptions=("contrast",)):
    """Measures of models that are right as given [models, images], and half as often on corrupted images."""
    rng, shape = np.random.default_rng(seed), np.shape(correct)
    corrupted = correct[:, None, None].astype(bool) & (
        rng.random((shape[0], len(corruptions), 2, shape[1])) < 0.5
    )
    of_images = ("model", "example")
    return xr.Dataset(
        {
            "correct": (of_images, correct.astype(bool)),
            "confidence": (of_images, rng.uniform(0.5, 1, shape).astype(np.float32)),
            "corrupted_correct": (("model", "corruption", "severity", "example"), corrupted),
            "source_correct": (("model", "source_example"), rng.random((shape[0], 40)) < 0.9),
            "retained": (("model", "source_example"), rng.random((shape[0], 40)) < 0.6),
        },
        coords={"corruption": list(corruptions), "severity": [1, 5]},
    )


def cost(ratio, rounds=8):
    """A step that takes a multiple of the plain recipe's time and memory."""
    plain = np.linspace(1, 1.1, rounds)
    return xr.Dataset(
        {
            "seconds": ("round", ratio * plain),
            "plain_seconds": ("round", plain),
            "peak": ((), 3.0 * ratio),
            "plain_peak": ((), 3.0),
        },
        attrs={"note": ""},
    )


def contestant(name, select, report, forgetting=None, from_scratch=False, ratio=1.0):
    """A recipe whose models are right as given, [models, images] of each half, by the metric `global`."""
    correct = {"select": np.asarray(select, float), "report": np.asarray(report, float)}
    accuracy = {half: right.mean(1) for half, right in correct.items()}
    models = len(correct["report"])
    changes = {"source": np.zeros((models, 30)), "other": np.zeros((models, 20)), **(forgetting or {})}
    return Contestant(
        f"{name}+{'scratch' if from_scratch else 'tuned'}",
        name,
        from_scratch,
        correct,
        accuracy,
        measures(correct["report"]),
        {} if from_scratch else changes,
        None if from_scratch else cost(ratio),
    )


def compared(contestants, labels=None, metric="global"):
    """Contestants on images of three classes in turn, or of the labels of each half."""
    labels = labels or {half: np.arange(v.shape[1]) % 3 for half, v in contestants[0].correct.items()}
    return Compared(contestants, labels, CLASSES, metric, "source")


def drawn(rng, share, models=5, images=300):
    """Answers of either half, right with this probability."""
    return [(rng.random((models, images)) < share).astype(float) for _ in range(2)]


def study(shares, models=5, images=300, seed=0, scratch=0.5):
    """Recipes that are right with these probabilities, and forget as many times less; last from scratch."""
    rng = np.random.default_rng(seed)
    made = []
    for i, (name, share) in enumerate(shares.items()):
        lost = {
            key: -(rng.random((models, n)) < 0.1 * i).astype(float)
            for key, n in (("source", 30), ("other", 20))
        }
        made.append(contestant(name, *drawn(rng, share, models, images), lost, ratio=1 + i / 2))
    return compared([*made, contestant("full", *drawn(rng, scratch, models, images), from_scratch=True)])


def settings(of, **more):
    """Settings of the step that compares."""
    probed = list(of.plain.forgetting)
    return {"seed": 0, "left_out": {}, "probed": probed, "train_images": 100, **more}
