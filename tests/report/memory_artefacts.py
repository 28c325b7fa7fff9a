"""Artefacts of a study of memories, at random with one planted memory: for tests and benchmarks of pages.

The first source class distracts from the first target class and is bound to the second; nothing else is.
"""

from pathlib import Path

import numpy as np

from transferlens.core import store

SMALLEST_CELL = 20


def write_memories(
    folder: Path,
    sources: list[str],
    targets: list[str],
    images: np.ndarray,
    shortlist: int,
    cells: int = 7,
    models: int = 2,
) -> None:
    """Write probes.h5, composites.h5, interference.h5 and panels.h5.

    Args:
        images: uint8[rows, side, side, 3], one for each example of the gallery; every third is a composite.
        shortlist: source classes studied with composites (their last tenth as a control); none:
            the target is too small.
        cells: side of a class map.
    """
    rng = np.random.default_rng(0)
    chosen = np.arange(shortlist)
    random = chosen >= shortlist - max(shortlist // 10, 1)
    overlap = np.zeros((len(sources), len(targets)), bool)
    overlap[min(2, len(sources) - 1), 0] = True
    for write in (_probes, _composites, _interference, _panels):
        name, kind = write.__name__[1:], _KINDS[write]
        with store.create(folder / f"{name}.h5", kind, config={"models": models}, seed=0) as file:
            write(file, rng, sources, targets, overlap, chosen, random, models, images, cells)


def _probes(file, rng, sources, targets, overlap, chosen, random, models, images, cells):
    shape = (models, 2, len(sources))
    axes, pair = ("model", "half", "source_class"), ("half", "source_class", "target_class")
    file.strings("source_class_names", sources, ("source_class",), "names of the source classes")
    file.strings("target_class_names", targets, ("target_class",), "names of the target classes")
    before = rng.uniform(0.5, 0.95, shape)
    after = before * np.clip(rng.normal(0.6, 0.25, shape), 0, 1.1)
    for name, values in (("before", before), ("after", after)):
        file.array(f"retention/accuracy_{name}", values, axes, f"accuracy {name} fine-tuning")
    file.array("retention/rank_after", 1 + 40 * (1 - after), axes, "mean rank of the true class")
    file.array("retention/p_true_after", after * 0.9, axes, "mean probability of the true class")
    file.array("retention/n", np.full((2, len(sources)), 25), axes[1:], "images")
    kept = after[:, 1].mean(0) / before[:, 1].mean(0)
    for key, shift in (("retained", 0), ("retained_low", -0.1), ("retained_high", 0.1)):
        file.array(f"retention/{key}", kept + shift, ("source_class",), "share of accuracy kept")
    file.array("temperature", np.full(models, 1.3), ("model",), "temperature of the source head")
    effect = rng.normal(0, 0.03, (2, len(sources), len(targets)))
    effect[:, 0, 1] = 0.6
    for name in ("fine_tuned", "scratch"):
        means = np.full((models, *effect.shape), 1 / len(targets))
        file.array(f"binding/{name}", means, ("model", *pair), "mean probability of the target class")
    p = np.where(np.abs(effect) > 0.3, 0.001, rng.uniform(0.1, 1, effect.shape))
    _estimates(file, "binding/", effect, 0.05, p, pair)
    file.array("overlap", overlap, pair[1:], "whether the two classes mean the same")


def _composites(file, rng, sources, targets, overlap, chosen, random, models, images, cells):
    file.array("shortlist", chosen, ("shortlist",), "source classes")
    file.array("shortlist_random", random, ("shortlist",), "whether drawn at random")
    pairs = [(c, y) for c in chosen for y in range(len(targets)) if not overlap[c, y]]
    source, target = np.array(pairs, int).reshape(-1, 2).T
    if not pairs:
        file.attribute("skipped", "images are too small for composites")
    file.array("source_class", source, ("composite",), "class of the background")
    file.array("target_class", target, ("composite",), "class of the overlay")


def _interference(file, rng, sources, targets, overlap, chosen, random, models, images, cells):
    axes = ("half", "shortlist", "target_class")
    shape = (2, len(chosen), len(targets))
    file.array("source_class", chosen, ("shortlist",), "source classes")
    file.strings("source_class_names", sources, ("source_class",), "names of the source classes")
    file.strings("target_class_names", targets, ("target_class",), "names of the target classes")
    n = rng.integers(SMALLEST_CELL - 1, 31, shape)
    n[:, :1] = 30
    empty = (n < SMALLEST_CELL) | overlap[chosen]
    effect = rng.normal(0, 0.04, shape)
    effect[:, :1, 0] = 0.45
    p = np.where(np.abs(effect) > 0.3, 0.0005, rng.uniform(0.1, 1, shape))
    blank = np.where(empty, np.nan, 1.0)
    _estimates(file, "", effect * blank, 0.06, p * blank, axes)
    file.array("n", n, axes, "usable composites")
    scratch = rng.normal(0.05, 0.02, shape)
    values = {"gross": effect * 1.2, "drop/fine_tuned": effect * 1.2 + scratch, "drop/scratch": scratch}
    values |= {"drop/canvas_fine_tuned": scratch / 2, "flips/p": p, "flips/q": p}
    values |= {"flips/fine_tuned": np.clip(effect + scratch, 0, 1), "flips/scratch": np.clip(scratch, 0, 1)}
    for name, value in values.items():
        file.array(name, value * blank, axes, name)
    congruent = np.zeros(shape[1:], bool)
    congruent[np.arange(len(chosen)), rng.integers(0, len(targets), len(chosen))] = True
    congruent[:1] = False
    congruent[:1, 1] = True
    file.array("congruent", congruent, axes[1:], "whether the source class is bound to the target class")


def _panels(file, rng, sources, targets, overlap, chosen, random, models, images, cells):
    rows = len(images)
    kind = (np.arange(rows) % 3 == 2).astype(int)
    true = rng.integers(0, len(targets), rows)
    predicted = np.where(rng.random(rows) < 0.3, (true + 1) % len(targets), true)
    memory = np.where(rng.random(rows) < 0.2, 0, rng.choice(max(len(chosen), 1), rows))
    memory[:3], true[:3], predicted[:3] = 0, 0, 1
    file.strings("source_class_names", sources, ("source_class",), "names of the source classes")
    file.strings("target_class_names", targets, ("target_class",), "names of the target classes")
    file.strings("kind", [("natural", "composite")[k] for k in kind], ("row",), "kind of image")
    file.strings("example_ids", [f"images/{i:05d}.jpg" for i in range(rows)], ("row",), "example")
    file.array("image", images, ("row", "y", "x", "channel"), "image as the network sees it", "pixel value")
    for name, values in (("true", true), ("predicted", predicted), ("memory", memory)):
        file.array(name, values, ("row",), f"{name} class")
    behind = [f"source/{i:05d}.jpg" if k else "" for i, k in enumerate(kind)]
    file.strings("background_ids", behind, ("row",), "source example behind")
    distraction, shared = rng.gamma(2, 0.1, rows), rng.uniform(0.1, 0.8, rows)
    tested = np.where(np.arange(rows) < max(rows // 4, 6), 1.0, np.nan)
    p = np.where(np.arange(rows) < 4, 0.01, rng.uniform(0.1, 1, rows)) * tested
    natural, composite = np.where(kind, np.nan, 1.0), np.where(kind, 1.0, np.nan)
    scores = {"distraction": distraction, "distraction_se": distraction / 9, "overlap": shared}
    scores |= {"score": distraction * shared, "margin": np.where(predicted == true, 2.0, -2.0)}
    scores |= {f"{test}_effect": rng.normal(0.5, 1, rows) * tested for test in ("removal", "ablation")}
    scores |= {"removal_p": p, "removal_q": p * 2, "ablation_p": p, "ablation_q": p * 2}
    scores["without_effect"] = rng.normal(0, 1, rows) * tested
    cell = (memory == 0) & (true == 0)
    pasted = {"drop": rng.uniform(0, 1, rows), "inside_share": rng.uniform(0, 1, rows)}
    pasted |= {"cell_effect": np.where(cell, 0.45, 0.01), "cell_q": np.where(cell, 0.001, 0.5)}
    for name, values in scores.items():
        file.array(name, values * natural, ("row",), name)
    for name, values in pasted.items():
        file.array(name, values * composite, ("row",), name)
    y, x = np.mgrid[:cells, :cells] / max(cells - 1, 1)
    for role in ("source", "predicted", "true", "memory", "contrast", "scratch"):
        centre = rng.uniform(0, 1, (rows, 2, 1, 1))
        spot = np.exp(-((y - centre[:, 0]) ** 2 + (x - centre[:, 1]) ** 2) / 0.05)
        maps = rng.gamma(3, 3, (rows, 1, 1)) * spot + rng.normal(-0.5, 0.5, (rows, cells, cells))
        if role == "true":
            maps[1] = 0
        classes = {"predicted": predicted, "true": true, "memory": memory, "contrast": true}
        own = classes.get(role, rng.integers(0, len(sources if role == "source" else targets), rows))
        place = f"maps/{role}"
        file.array(f"{place}/map", maps.astype(np.float16), ("row", "map_y", "map_x"), "evidence", "logit")
        file.array(f"{place}/class", own.astype(np.int32), ("row",), "class of the map")
        file.array(f"{place}/probability", rng.beta(2, 1, rows).astype(np.float32), ("row",), "probability")
        for key, values in (("logit", maps.mean((1, 2))), ("raw_max", maps.max((1, 2)))):
            file.array(f"{place}/{key}", values.astype(np.float32), ("row",), key, "logit")
        file.array(f"{place}/raw_min", maps.min((1, 2)).astype(np.float32), ("row",), "raw_min", "logit")


def _estimates(file, prefix, effect, se, p, axes):
    """An effect with its interval, p and q."""
    values = {"effect": effect, "low": effect - 2 * se, "high": effect + 2 * se, "p": p, "q": p}
    for key, value in (values | {"se": np.full(effect.shape, se)}).items():
        file.array(f"{prefix}{key}", value, axes, key)


_KINDS = {
    _probes: "memory probes",
    _composites: "composites",
    _interference: "interference",
    _panels: "memory panels",
}
