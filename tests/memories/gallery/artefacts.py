"""Artefacts of a study of memories, at random with one planted memory: for tests and benchmarks of pages.

The first source class distracts from the first target class and is bound to the second; nothing else is.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.memories.written import write_artefact
from transferlens.core import artefacts
from transferlens.core.artefacts import Writer
from transferlens.memories.artefacts import COMPOSITES, INTERFERENCE, PROBES
from transferlens.memories.gallery.numbers import Study
from transferlens.memories.images.artefacts import PANELS, ROLES, SCORES

SMALLEST_CELL = 20


@dataclass(frozen=True)
class Planted:
    """What the artefacts have in common.

    Attributes:
        tried: int64[tried], source classes studied with composites.
        at_random: bool[tried], those that are there as a control.
        overlap: bool[source classes, target classes], of the same meaning.
        models: pairs of models.
    """

    rng: np.random.Generator
    sources: list[str]
    targets: list[str]
    tried: np.ndarray
    at_random: np.ndarray
    overlap: np.ndarray
    models: int

    @property
    def sizes(self) -> dict[str, int]:
        """Of all dimensions that the artefacts share, and of those that the page does not read."""
        lengths = {"source_class": len(self.sources), "target_class": len(self.targets)}
        return {
            **lengths,
            "tried_class": len(self.tried),
            "model": self.models,
            "half": 2,
            "role": 2,
            "control": 3,
        }

    def names(self, head: str, classes: np.ndarray) -> np.ndarray:
        """Names of source or target classes int64[...]."""
        return np.array({"source": self.sources, "target": self.targets}[head], dtype=object)[classes]


def write_memories(
    folder: Path,
    sources: list[str],
    targets: list[str],
    images: np.ndarray,
    tried: int,
    cells: int = 7,
    models: int = 2,
) -> Study:
    """Write probes, composites, interference and panels into a folder.

    Args:
        images: uint8[rows, side, side, 3], one for each example of the gallery; every third is a composite.
        tried: source classes studied with composites (their last tenth as a control); none:
            the target is too small.
        cells: side of a class map.
    """
    chosen = np.arange(tried)
    overlap = np.zeros((len(sources), len(targets)), bool)
    overlap[min(2, len(sources) - 1), 0] = True
    at_random = chosen >= tried - max(tried // 10, 1)
    planted = Planted(np.random.default_rng(0), sources, targets, chosen, at_random, overlap, models)
    study = Study.of(folder)
    write_artefact(study.probes, PROBES, planted.sizes, **_probes(planted))
    composites = _composites(planted)
    sizes = {**planted.sizes, "composite": len(composites["background_class"])}
    write_artefact(study.composites, COMPOSITES, sizes, **composites)
    write_artefact(study.interference, INTERFERENCE, planted.sizes, **_interference(planted))
    with artefacts.create(study.panels, PANELS) as out:
        _write_panels(out, planted, images, cells)
    return study


def _probes(planted: Planted) -> dict[str, Any]:
    rng, classes = planted.rng, len(planted.sources)
    shape = (planted.models, 2, classes)
    before = rng.uniform(0.5, 0.95, shape)
    after = before * np.clip(rng.normal(0.6, 0.25, shape), 0, 1.1)
    kept = after[:, 1].mean(0) / before[:, 1].mean(0)
    effect = rng.normal(0, 0.03, (2, *planted.overlap.shape))
    effect[:, 0, 1] = 0.6
    p = np.where(np.abs(effect) > 0.3, 0.001, rng.uniform(0.1, 1, effect.shape))
    return {
        "source_class": planted.sources,
        "target_class": planted.targets,
        "images": np.full((2, classes), 30),
        "accuracy_before": before,
        "accuracy_after": after,
        "rank_after": 1 + 40 * (1 - after),
        "p_true_after": after * 0.9,
        "retained": kept,
        "retained_low": kept - 0.1,
        "retained_high": kept + 0.1,
        "repeat": np.stack([np.arange(planted.models) + planted.models, np.arange(planted.models)]),
        "temperature": np.full((planted.models, 2), 1.3),
        **_estimate("binding", effect, 0.05, p),
        "overlap": planted.overlap,
    }


def _composites(planted: Planted) -> dict[str, Any]:
    """One composite a cell; what models make of them is left at zero."""
    pairs = [(c, y) for c in planted.tried for y in range(len(planted.targets)) if not planted.overlap[c, y]]
    source, target = np.array(pairs, int).reshape(-1, 2).T
    skipped = {} if pairs else {"skipped": "images are too small for composites"}
    return {
        "source_class": planted.sources,
        "target_class": planted.targets,
        "tried_class": planted.names("source", planted.tried),
        "tried_at_random": planted.at_random,
        "background_class": planted.names("source", source),
        "overlay_class": planted.names("target", target),
        **skipped,
    }


def _interference(planted: Planted) -> dict[str, Any]:
    rng, tried = planted.rng, planted.tried
    shape = (2, len(tried), len(planted.targets))
    n = rng.integers(SMALLEST_CELL - 1, 31, shape)
    n[:, :1] = 30
    blank = np.where((n < SMALLEST_CELL) | planted.overlap[tried], np.nan, 1.0)
    effect = rng.normal(0, 0.04, shape)
    effect[:, :1, 0] = 0.45
    p = np.where(np.abs(effect) > 0.3, 0.0005, rng.uniform(0.1, 1, shape))
    scratch = rng.normal(0.05, 0.02, shape)
    values = {"gross": effect * 1.2, "drop_fine_tuned": effect * 1.2 + scratch, "drop_scratch": scratch}
    values |= {"flips_fine_tuned": np.clip(effect + scratch, 0, 1), "flips_scratch": np.clip(scratch, 0, 1)}
    chosen = np.zeros(shape[1:], bool)
    chosen[:1, 0] = True
    together = {"": 0.45, "_low": 0.33, "_high": 0.57, "_p": 0.0005}
    congruent = np.zeros(shape[1:], bool)
    congruent[np.arange(len(tried)), rng.integers(0, len(planted.targets), len(tried))] = True
    congruent[:1] = False
    congruent[:1, 1] = True
    return {
        "tried_class": planted.names("source", tried),
        "target_class": planted.targets,
        **_estimate("interference", effect * blank, 0.06, p * blank),
        "interference_n": n,
        **{name: value * blank for name, value in values.items()},
        "chosen": chosen,
        **{f"chosen_interference{part}": value for part, value in together.items()},
        "bound": congruent,
        "congruent": congruent,
    }


def _estimate(name: str, effect: np.ndarray, se: float, p: np.ndarray) -> dict[str, np.ndarray]:
    """An estimate with its interval, p and q."""
    parts = {"": effect, "_low": effect - 2 * se, "_high": effect + 2 * se, "_p": p, "_q": p}
    return {f"{name}{suffix}": values for suffix, values in parts.items()}


def _write_panels(out: Writer, planted: Planted, images: np.ndarray, cells: int) -> None:
    rng, targets, rows = planted.rng, planted.targets, len(images)
    composite = np.arange(rows) % 3 == 2
    true = rng.integers(0, len(targets), rows)
    predicted = np.where(rng.random(rows) < 0.3, (true + 1) % len(targets), true)
    memory = np.where(rng.random(rows) < 0.2, 0, rng.choice(max(len(planted.tried), 1), rows))
    memory[:3], true[:3], predicted[:3] = 0, 0, 1
    out.write("kind", np.where(composite, "composite", "natural"))
    out.write("example", [f"images/{i:05d}.jpg" for i in range(rows)])
    out.write("background", [f"source/{i:05d}.jpg" if c else "" for i, c in enumerate(composite)])
    out.write("image", images)
    for name, classes, head in (
        ("true", true, "target"),
        ("predicted", predicted, "target"),
        ("memory", memory, "source"),
    ):
        out.write(name, planted.names(head, classes))
    out.write("wrong", predicted != true)
    out.write("congruent", np.zeros(rows, bool))
    scores = _scores(rng, composite, predicted == true, (memory == 0) & (true == 0))
    for name in SCORES:
        out.write(name, scores[name])
    out.attribute("signed", True)
    _write_maps(out, planted, cells, {"predicted": predicted, "true": true, "memory": memory})


def _scores(
    rng: np.random.Generator, composite: np.ndarray, right: np.ndarray, of_cell: np.ndarray
) -> dict[str, np.ndarray]:
    """What is known of rows that are composites or natural, right or wrong, of the planted cell or not."""
    rows = len(composite)
    distraction, shared = rng.gamma(2, 0.1, rows), rng.uniform(0.1, 0.8, rows)
    tested = np.where(np.arange(rows) < max(rows // 4, 6), 1.0, np.nan)
    p = np.where(np.arange(rows) < 4, 0.01, rng.uniform(0.1, 1, rows)) * tested
    of_natural = {"distraction": distraction, "distraction_se": distraction / 9, "overlap": shared}
    of_natural |= {"score": distraction * shared, "margin": np.where(right, 2.0, -2.0)}
    for test in ("removal", "ablation"):
        of_natural |= {f"{test}_effect": rng.normal(0.5, 1, rows) * tested}
        of_natural |= {f"{test}_effect_p": p, f"{test}_effect_q": p * 2}
    of_natural["seen_effect"] = rng.normal(0, 1, rows) * tested
    of_composite = {"drop": rng.uniform(0, 1, rows), "inside_share": rng.uniform(0, 1, rows)}
    of_composite |= {"cell_effect": np.where(of_cell, 0.45, 0.01)}
    of_composite |= {"cell_effect_q": np.where(of_cell, 0.001, 0.5)}
    return {name: np.where(composite, np.nan, values) for name, values in of_natural.items()} | {
        name: np.where(composite, values, np.nan) for name, values in of_composite.items()
    }


def _write_maps(out: Writer, planted: Planted, cells: int, classes: dict[str, np.ndarray]) -> None:
    """A spot of evidence in every map but one; `classes` of the roles that tell of the row's own."""
    rng, rows = planted.rng, len(classes["true"])
    y, x = np.mgrid[:cells, :cells] / max(cells - 1, 1)
    maps, names, probabilities = [], [], []
    classes = {**classes, "contrast": classes["true"]}
    for role, (head, _) in ROLES.items():
        centre = rng.uniform(0, 1, (rows, 2, 1, 1))
        spot = np.exp(-((y - centre[:, 0]) ** 2 + (x - centre[:, 1]) ** 2) / 0.05)
        of_role = rng.gamma(3, 3, (rows, 1, 1)) * spot + rng.normal(-0.5, 0.5, (rows, cells, cells))
        if role == "true":
            of_role[1] = 0
        drawn = rng.integers(0, len(planted.sources if head == "source" else planted.targets), rows)
        maps.append(of_role.astype(np.float16))
        names.append(planted.names(head, classes.get(role, drawn)))
        probabilities.append(rng.beta(2, 1, rows))
    stacked = np.stack(maps)
    out.write("role", list(ROLES))
    out.write("class_map", stacked)
    out.write("class_name", np.stack(names))
    out.write("probability", np.stack(probabilities))
    out.write("logit", stacked.mean((2, 3), dtype=np.float64))
    out.write("raw_max", stacked.max((2, 3)))
    out.write("raw_min", stacked.min((2, 3)))
