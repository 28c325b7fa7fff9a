"""What the page says of networks on their way: what changed, when, in which layer, beside which levels."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr

from transferlens.core.blocks import (
    Block,
    Card,
    Cards,
    Column,
    Figure,
    Link,
    Prose,
    Results,
    Section,
    Subject,
    Table,
    adaptation,
    p_value,
)
from transferlens.core.run import Run
from transferlens.core.statistics import mean_interval
from transferlens.dynamics import findings, scope
from transferlens.dynamics.drift import page as drift
from transferlens.dynamics.told.artefacts import FEWEST_IMAGES
from transferlens.dynamics.words import domain_words, short_layers

METHOD = "feature-dynamics"
# With fewer, intervals over models, or over batches of images, are hardly worth their name.
FEW_MODELS, FEW_BATCHES = 3, 16
_QUESTION = (
    "Networks were kept on their way from the source model to the adapted one, and asked about the same "
    "images: of the target, and held out of the source. Told is how alike a layer's representation is to "
    "what it was before the first step (unbiased minibatch CKA: 1 alike up to rotation and scale, about 0 "
    "unrelated). That is no measure of what was forgotten by itself, and values of different layers must "
    "not be compared without their null levels and references."
)
_HEATMAP = (
    "Excess of the similarity to step 0 over its null (images in random order), mean over models. Hatched: "
    "not told from the null (q > .05). Gray: undefined, the layer is constant."
)
_CURVES = (
    "Similarity to step 0 by step (logarithmic from step 1). Line and band: mean over models, 95 % over "
    "models, for these images. Marks: the first model, 95 % over its batches of images. Horizontal lines: a "
    "network at random against the source model before adaptation; an adapted network from scratch against "
    "the adapted one. Crosses: two models at the same step. Gray: 95 % of random orders of the images (the "
    "highest of all models)."
)
_MATRICES = (
    "All layers at a few steps against all layers of the same network at step 0, mean over models. Values "
    "without null levels; the interactive page has all steps."
)
_METRICS = (
    "Excess over the null of the adapted network's similarity to step 0 by every metric, on pooled "
    "features, mean over models. A cross: too few images for the metric, or undefined; the file says why."
)
_AGREEMENT = (
    "Rank correlation of the excess of two metrics over layers and steps, mean over models. Hatched: the 95 "
    "% interval over models holds 0, or ends below it."
)
_PATHS = (
    "First kept step by which half of the whole change was done; length of the path of pooled features over "
    "the kept steps; straightness: the angle between start and end over that length. Lines: 95 % over "
    "models, for these images. A finer choice of steps makes a path longer."
)
_GAPS = (
    "Distance of pooled features of the target's images from those of the source's, step by step; bands are "
    "95 % over models, for these images. Scales of layers and measures differ."
)
_CLASSES = (
    "Similarity of the last layer's features to step 0 within single classes at the end, the lowest first, "
    f"mean over models and 95 % over models. Classes with fewer than {FEWEST_IMAGES} probe images have none. "
    "Of source classes: what stays as it was. That a class scores lowest of many is partly chance."
)
_COLUMNS = (
    "To step 0: mean over models, 95 % over models. Null: the same with images in random order. At random: "
    "a source model before adaptation against a network at random. Other seed: two adapted models. From "
    "scratch: an adapted model against one trained on the target alone. Half by step: geometric mean over "
    "models; empty where the layer did not change."
)
# Figures of units, that the step of units draws: the caption, and words for who cannot see it.
_UNITS = {
    "unit_curves.svg": (
        "What becomes of units, layer by layer and step by step.",
        "Curves of units over steps",
    ),
    "unit_filters.svg": (
        "Similarity of a unit's maps to those at step 0, beside maps of another image and of another unit: "
        "these floors are far from 0.",
        "Similarity of maps over steps with their floors",
    ),
    "unit_strips.png": (
        "Strips of a few units of the first model: one model's strips show one model. The interactive page "
        "has those of all layers.",
        "Strips of units, a tile a step",
    ),
}


def sections(run: Run, results: Results) -> Iterator[Section]:
    """Of every target and recipe that is followed."""
    for target, recipe in scope.followed(run):
        made, folder = results.similarity(target, recipe), results.folder / "dynamics" / target / recipe
        subject = adaptation(target, recipe)
        yield _headline(made, folder, target, recipe)
        yield Section(
            "Layer by layer", "dynamics-layers", tuple(_layers(made, folder)), subject, method=METHOD
        )
        yield _further(folder, subject)
        if scope.asked(run).units:
            yield Section(
                "What single units answer to", "dynamics-units", tuple(_units(folder)), subject, method=METHOD
            )
    yield from drift.sections(run, results)


def _units(folder: Path) -> Iterator[Block]:
    """The pictures that the step of units draws."""
    for name, words in _UNITS.items():
        yield Figure(folder / name, *words)


def _headline(made: xr.Dataset, folder: Path, target: str, recipe: str) -> Section:
    """The question, a few numbers, the heat map, and where the rest is."""
    address = f"../dynamics/{target}/{recipe}/dynamics.html"
    blocks: tuple[Block, ...] = (
        Prose(_QUESTION),
        _cards(made),
        Figure(folder / "heatmap.svg", _HEATMAP, "Heat map of layers by steps"),
        Link(address, "Interactive page", "all layers, steps and models, and strips of units"),
        Prose(
            f'To read the numbers: `open_results().similarity("{target}", "{recipe}")`; as a table: '
            f"`dynamics/{target}/{recipe}/similarity.csv`."
        ),
    )
    return Section(
        "What changes on the way",
        "dynamics",
        blocks,
        adaptation(target, recipe),
        warnings=tuple(_warnings(made, f"{target} ({recipe})")),
        method=METHOD,
        tests=int(np.isfinite(made.mean_to_start_q).sum()),
        findings=tuple(findings.findings(made)),
    )


def _cards(made: xr.Dataset) -> Cards:
    """The last layer at the end, and accuracy before and after."""
    end = made.isel(layer=-1, step=-1)
    (last,) = short_layers([str(end.layer.item())])
    cards = [
        Card(
            f"{last} to step 0, at the end: {words}",
            f"{float(end.mean_to_start[i]):.3f}",
            _range(end.isel(domain=i), "mean_to_start") or "no interval: one model",
        )
        for i, words in enumerate(domain_words(made))
    ]
    cards.append(_accuracy(made))
    images = ", ".join(f"{n:,}" for n in json.loads(made.attrs["images"]))
    models, steps = made.sizes["model"], made.sizes["step"]
    note = f"{models} models, {steps} kept steps, {images} probe images of the domains."
    return Cards(tuple(cards), note)


def _accuracy(made: xr.Dataset) -> Card:
    """The adapted models' accuracy, for these images; and that before the first step."""
    start, end = (made.accuracy.isel(step=step).values for step in (0, -1))
    interval = mean_interval(end) if len(end) > 1 else None
    about = f"95 % {interval.low:.3f} to {interval.high:.3f}" if interval else "no interval: one model"
    words = f"{about}; {start.mean():.3f} at step 0 of {made.step.values[-1]:,}"
    return Card("accuracy on the target's probe images, at the end", f"{end.mean():.3f}", words)


def _range(of: xr.Dataset, name: str) -> str:
    """The interval of a number, if it has one."""
    low, high = float(of[f"{name}_low"]), float(of[f"{name}_high"])
    return "" if np.isnan(low) else f"95 % {low:.3f} to {high:.3f}"


def _warnings(made: xr.Dataset, of: str) -> Iterator[str]:
    if made.sizes["model"] < FEW_MODELS:
        yield f"{of}, feature dynamics: {made.sizes['model']} models tell little of what others would do."
    if min(json.loads(made.attrs["batches"])) < FEW_BATCHES:
        yield (
            f"{of}, feature dynamics: fewer than {FEW_BATCHES} batches of probe images; intervals over "
            "images are rough."
        )


def _layers(made: xr.Dataset, folder: Path) -> Iterator[Block]:
    yield Figure(folder / "curves.svg", _CURVES, "Similarity to step 0 over steps, a panel a layer")
    for i, words in enumerate(domain_words(made)):
        yield Prose(f"Images of {words}, adapted networks:")
        yield layer_table(made.isel(domain=i))
    yield Prose(_COLUMNS)
    yield Figure(
        folder / "paths.svg", _PATHS, "Half-change step, path length and straightness of every layer"
    )


def layer_table(of: xr.Dataset) -> Table:
    """Every layer of the adapted networks on the images of one domain, beside its references."""
    head = (
        "to step 0 (95 %)",
        "null",
        "excess",
        "q",
        "at random",
        "other seed",
        "from scratch",
        "half by step",
    )
    end = of.isel(step=-1)
    rows = tuple(
        (name, *_cells(end.isel(layer=layer))) for layer, name in enumerate(short_layers(of.layer.values))
    )
    return Table((Column("layer"), *(Column(name, number=True) for name in head)), rows)


def _cells(of: xr.Dataset) -> Iterator[str]:
    """One layer."""
    reach = _range(of, "mean_to_start").removeprefix("95 % ")
    yield _number(of.mean_to_start) + (f" ({reach})" if reach else "")
    yield _number(of.to_start_null_mean.mean("model", skipna=False))
    yield _number(of.mean_excess)
    yield p_value(of.mean_to_start_q)
    for name in ("random_init", "other_seed", "scratch_end"):
        yield _number(of[name])
    yield _number(of.mean_half_change_step, "{:.3g}")


def _number(value: xr.DataArray, form: str = "{:.3f}") -> str:
    return "" if np.isnan(value) else form.format(float(value))


def _further(folder: Path, subject: Subject) -> Section:
    """Other ways to look at the same networks."""
    shown = (
        ("matrices", _MATRICES, "Heat maps of layers by layers"),
        ("metrics", _METRICS, "Heat map of metrics by layers"),
        ("agreement", _AGREEMENT, "Heat map of metrics by metrics"),
        ("gaps", _GAPS, "Distance of the domains over steps"),
        ("classes", _CLASSES, "Similarity to step 0 within classes"),
    )
    figures = tuple(Figure(folder / f"{name}.svg", caption, alt) for name, caption, alt in shown)
    title = "Layers, metrics, domains and classes compared"
    return Section(title, "dynamics-compared", figures, subject, method=METHOD)
