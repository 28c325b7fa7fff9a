"""Features of models of a study on two data sets, and an arithmetic of bounds whose numbers are known."""

from pathlib import Path

import numpy as np

from transferlens.core import artefacts, studies
from transferlens.core.statistics import Interval
from transferlens.core.studies import FULL, SCRATCH, Rows
from transferlens.data.artefacts import write_example_columns
from transferlens.data.index import SPLITS, Examples, Index
from transferlens.relatedness import bound, columns, faithful, measured
from transferlens.relatedness.bound import Heads, Options, Relation, Stage
from transferlens.relatedness.heads import Head
from transferlens.training.artefacts import FEATURES

REFERENCE = [f"r{i}" for i in range(6)]
TARGET = ["t0", "t1", "r3"]
FEATURE_COUNT, IMAGES = 4, 10  # images a class, in either split
GRID = measured.Grid(
    taus=[0.2, 1.0],
    transforms=["FixedAll", "LearnedA", "LearnedAll"],
    draws=2,
    feature_map="orthogonal",
    label_start="hungarian",
    rounds=2,
    batch=20,
    scale="small",
    steps=5,
    seed=0,
)
TOLD = {"mode": "faithful", "reference_dataset": "source"}


def rows(repeats: int) -> Rows:
    """Rows of study `reference`."""
    count = 2 * repeats
    return Rows(
        np.ones((count, 6), bool),
        np.arange(count),
        np.arange(count),
        [FULL, SCRATCH] * repeats,
        np.arange(count) // 2,
        [""] * count,
        np.zeros(count, np.int64),
        REFERENCE,
        [""] * 6,
    )


def index_of(names: list[str]) -> Index:
    """A data set of ten images a class in either split."""
    labels = np.arange(len(names) * IMAGES) % len(names)
    halves = np.arange(len(labels)) // len(names) % 2
    split = Examples(
        [f"x/{i}" for i in range(len(labels))],
        labels,
        halves.astype(np.int8),
        np.arange(len(labels)),
        np.full((len(labels), 2), 8),
        labels,
    )
    return Index(names, [""] * len(names), split, split, names)


def write_features(folder: Path, names: list[str], study: Rows) -> dict[str, list[Path]]:
    """Random features of every model on both splits, by split; classes lie apart."""
    made, rng = index_of(names), np.random.default_rng(len(names))
    centres = rng.normal(0, 3, (len(names), FEATURE_COUNT))
    paths = {}
    for split in SPLITS:
        examples = made.split(split)
        path = folder / f"{names[0]}-{split}.h5"
        with artefacts.create(path, FEATURES) as out:
            studies.write_rows(out, study)
            write_example_columns(out, examples.ids, examples.labels, examples.halves, names)
            out.write("source_class", REFERENCE)
            noise = rng.normal(0, 1, (len(study), len(examples), FEATURE_COUNT))
            out.write("features", centres[examples.labels] + noise)
            out.write("head_weight", np.zeros((len(study), 6, FEATURE_COUNT)))
            out.write("head_bias", np.zeros((len(study), 6)))
        paths[split] = [path]
    return paths


def relation(mean: float, draw: int, transform: str, tau: float, shape: tuple[int, int]) -> Relation:
    """A bound of 2 plus what model, draw and transform add; its probe is worse only of FixedAll."""
    targets, references = shape
    learned = {"FixedAll": 0.3, "LearnedA": 0.2, "LearnedAll": 0.1}[transform]
    total = 2 + mean + draw + learned + tau
    of_classes = np.arange(targets, dtype=np.float64)
    known = {
        "reference_loss": total - 1.5,
        "label_mismatch": 0.5,
        "wasserstein": 0.8 / tau,
        "lipschitz": tau,
        "prior_gap": 0.2,
        "bound": total,
        "bound_tight": total - 0.1,
        "transformed_loss": 1.0,
        "transformed_accuracy": 0.5,
        "probe_loss": 0.9 + mean if transform != "FixedAll" else 1.1,
        "probe_accuracy": 0.6,
        "log_classes": np.log(targets),
        "label_map": np.full((targets, references), 1 / targets),
        "prior": np.full(references, 1 / references),
        "feature_map": (np.eye(FEATURE_COUNT), np.zeros(FEATURE_COUNT)),
        "class_wasserstein": of_classes,
        "class_reference_loss": of_classes,
        "class_transformed_loss": of_classes,
        "class_probe_loss": of_classes,
        "class_prior": np.full(targets, 1 / targets),
        "class_bound": of_classes + 1,
        "trace": {"objective": np.linspace(3, total, 3)},
        "stages": (Stage("label map", 0.0, 0.25), Stage("transport", 0.0, 0.5)),
        "warnings": ("the probe is worse",) if transform == "FixedAll" else (),
    }
    ends = {
        name: Interval(value, value - 0.1, value + 0.1) for name, value in known.items() if np.isscalar(value)
    }
    return Relation(**known, intervals=ends)


def plant(monkeypatch) -> None:
    """The known arithmetic in place of the real one. A model's own part is a mean of its raw features."""

    def fit_heads(reference, target, tau):
        weight = np.zeros((reference.classes, FEATURE_COUNT))
        weight[0, 0] = tau
        head = Head(weight, np.zeros(reference.classes))
        return Heads(head, head, tau)

    def relate(reference, target, heads, options: Options, seed):
        draw = next(d for d in range(GRID.draws) if GRID.draw_seed(d) == seed)
        own = float(np.abs(target.test.features).mean())
        return relation(own, draw, options.transform, heads.tau, (target.classes, reference.classes))

    def published_heads(reference, target, recipe, seed):
        return fit_heads(reference, target, recipe.tau)

    def published(reference, target, head, transform, recipe, seed):
        assert recipe.steps == GRID.steps
        return columns.Columns(*np.arange(1.0, 12.0)), None

    monkeypatch.setattr(bound, "fit_heads", fit_heads)
    monkeypatch.setattr(bound, "relate", relate)
    monkeypatch.setattr(
        faithful,
        "published_heads",
        lambda reference, target, recipe, seed: fit_heads(reference, target, recipe.tau),
    )
    monkeypatch.setattr(faithful, "published", published)
    monkeypatch.setattr(measured, "wasserstein_floor", lambda target, rng: 0.3)
    monkeypatch.setattr(
        measured,
        "class_distances",
        lambda reference, target: np.linalg.norm(
            np.stack([target.features[target.labels == i].mean(0) for i in range(target.labels.max() + 1)])[
                :, None
            ]
            - np.stack(
                [reference.features[reference.labels == j].mean(0) for j in range(reference.labels.max() + 1)]
            ),
            axis=2,
        ),
    )
