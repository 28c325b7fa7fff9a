"""The HTML page: one self-contained file that opens from disk without a network."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from jinja2.utils import markupsafe

from transferlens.core import store
from transferlens.core.statistics import Interval, mean_interval
from transferlens.memories.gallery import numbers
from transferlens.pictures import templates
from transferlens.report import checks, tables
from transferlens.report.checks import Check
from transferlens.report.figures import MATRIX_CLASSES
from transferlens.results import Results
from transferlens.training import outputs
from transferlens.training import source as sources

_FEW_REPEATS = 4


_METRICS = {
    "global": "the share of examples that are classified correctly",
    "per_class": "the mean over target classes of the share that is classified correctly",
}


@dataclass(frozen=True)
class Section:
    """What the page says of one target and recipe."""

    target: str
    recipe: str
    output: str
    metric: str  # what accuracy means, in words
    headline: list[tuple[str, str, str]]  # what, value, interval
    checks: list[Check]
    choices: list[dict]
    strongest: list[dict]
    figures: dict[str, str]  # name: SVG text
    gallery: str  # data URI
    map_colours: str
    pairs_tested: int
    matrix_classes: int  # that the influence matrix shows at most
    models: int
    design: str
    estimator: str
    scores: list[tuple[str, str, str]]  # what, value, interval
    singles: str  # what single removals say
    reuse: str  # what influences are reused for
    analyses: dict[str, str]  # name: data URI of its picture
    finer: list[dict]  # finer classes found by influences
    faithfulness: str  # data URI; '' for none
    maps: dict  # of influence maps: the picture as a data URI, and what its caption tells; empty for none


@dataclass(frozen=True)
class MemorySection:
    """What the page says of a study of memories."""

    target: str
    recipe: str
    headline: list[tuple[str, str, str]]  # what, value, explanation
    warnings: list[str]
    pictures: dict[str, str]  # name: data URI
    gallery: str  # address of its page, relative


def write_page(
    path: Path,
    results: Results,
    title: str,
    output: str,
    dataset_names: list[str],
    source: str,
    adaptations: list[tuple[str, str]],
    studies: list[str],
    analyses: dict[str, list[str]],
    reuse: str,
    faithfulness: bool,
    influence_maps: bool,
    memory_studies: list[tuple[str, str]],
    memory_tables: list[str],
) -> None:
    """Write `index.html` from a results folder; figures are read from the `report` folder beside it."""
    sections = [
        _section(
            results,
            path.parent,
            t,
            r,
            output,
            "pretrained" in studies,
            analyses[t],
            reuse,
            faithfulness,
            influence_maps,
        )
        for t, r in adaptations
    ]
    provenance = _provenance(results, *adaptations[0])
    html = templates.template("report/page.html.jinja").render(
        title=title,
        source=source,
        sections=sections,
        memories=[_memory_section(results, t, r, memory_tables) for t, r in memory_studies],
        datasets=[_dataset_row(results, name) for name in dataset_names],
        studies=_study_rows(results, adaptations, studies),
        warnings=_warnings(results, sections, dataset_names, adaptations),
        provenance=provenance,
        style=templates.text("pictures/page.css"),
    )
    with store.replace_file(path) as temporary:
        temporary.write_text(html, encoding="utf-8")


def _section(
    results: Results,
    folder: Path,
    target: str,
    recipe: str,
    output: str,
    pretrained: bool,
    analyses: list[str],
    reuse: str,
    faithfulness: bool,
    influence_maps: bool,
) -> Section:
    influence = results.influence(target, recipe, output)
    counterfactual = results.counterfactual(target, recipe)
    names = ["influence_matrix", "strongest_classes", "counterfactual_curves", "convergence"]
    names += ["single_removals"] * ("removed_class" in counterfactual.coords) + ["reuse"] * bool(reuse)
    scored = results.folder / "faithfulness" / target / f"{recipe}.png"
    pictures = {name: results.folder / "analyses" / name / target / f"{recipe}.png" for name in analyses}
    return Section(
        target,
        recipe,
        output,
        _METRICS[results.summary("reference", target, recipe, outputs=[]).metric],
        _headline(results, target, recipe, counterfactual, pretrained),
        checks.run_checks(influence, counterfactual),
        tables.choice_table(counterfactual).to_dict("records"),
        _strongest_by_target_class(influence),
        {name: _inline_svg(folder / target / recipe / f"{name}.svg") for name in names},
        _inline_png(results.folder / "heatmaps" / target / f"{recipe}.png"),
        _map_colours(results.heatmaps(target, recipe).attrs),
        influence.class_q.sel(half="report").size,
        MATRIX_CLASSES,
        int(influence.n_in[0] + influence.n_out[0]),
        results.settings("studies/influence/masks/0000.h5", "masks")["design"],
        influence.attrs["config"]["estimator"].replace("_", " "),
        _score_cards(results.scores(target, recipe)),
        _singles_text(counterfactual),
        reuse,
        {name: _inline_png(picture) for name, picture in pictures.items()},
        _finer_classes(results, target, recipe),
        _inline_png(scored) if faithfulness else "",
        _maps(results, target, recipe) if influence_maps else {},
    )


def _map_colours(attributes: dict) -> str:
    """What the colours of the gallery of class maps mean."""
    if attributes["config"]["colormap"] == "jet":
        return "Each panel has its own scale: colours cannot be compared between panels."
    if attributes["signed"]:
        return "One scale for each head: red is evidence for the class, blue against it."
    return "One scale for each head; only positive evidence is shown: bright is more."


def _memory_section(results: Results, target: str, recipe: str, tables: list[str]) -> MemorySection:
    study = results.folder / "memories" / target / recipe
    return MemorySection(
        target,
        recipe,
        numbers.headline(study),
        numbers.warnings(study),
        {name: _inline_png(study / f"{name}.png") for name in ("interference", "figure", *tables)},
        f"{target}/{recipe}/memories.html",
    )


def _score_cards(scores: xr.Dataset) -> list[tuple[str, str, str]]:
    """Predictive score, its ceiling, reliability and the models wanted, of the reported estimator."""
    last = scores.sel(estimator=scores.attrs["reported_estimator"]).isel(models=-1)
    rows = [("correlation with outputs of held-out models", "score")]
    rows += [("the most it can be (models repeated from other seeds)", "ceiling")] * ("ceiling" in scores)
    rows += [(f"reliability of class influences from {int(last.models)} models", "reliability")]
    cards = []
    for text, name in rows:
        interval = Interval(*(float(last[name + k]) for k in ("", "_low", "_high")))
        if np.isfinite(interval.value):
            cards.append((text, f"{interval.value:.2f}", _interval_text(interval)))
    needed = [float(last[f"models_needed{k}"]) for k in ("", "_low", "_high")]
    if np.isfinite(needed[0]):
        low, high = (f"{n:.0f}" if np.isfinite(n) else "no limit" for n in needed[1:])
        cards.append(("models for a reliability of 0.9", f"{needed[0]:.0f}", f"95 % {low} to {high}"))
    return cards


def _singles_text(counterfactual: xr.Dataset) -> str:
    found = {k.removeprefix("singles_"): v for k, v in counterfactual.attrs.items()}
    if "slope" not in found:
        return ""
    return (
        f"Slope {found['slope']:.2f} (95 % {found['slope_low']:.2f} to {found['slope_high']:.2f}), "
        f"R² {found['r_squared']:.2f} over {counterfactual.sizes['removed_class']} classes. "
        f"{found['reliability']:.0%} of the predictions' variance is not estimation error; errors in them "
        "draw the slope towards zero."
    )


def _maps(results: Results, target: str, recipe: str) -> dict:
    found = results.influence_maps(target, recipe)
    return {
        "picture": _inline_png(results.folder / "influence_maps" / target / f"{recipe}.png"),
        "models": found.attrs["models"],
        "share": f"{found.attrs['share']:.1%}",
        "permuted": f"{float(found.permuted_share.mean()):.1%}",
    }


def _finer_classes(results: Results, target: str, recipe: str) -> list[dict]:
    path = results.folder / "analyses" / "subpopulations" / target / f"{recipe}-finer.csv"
    return pd.read_csv(path).to_dict("records")


def _headline(
    results: Results, target: str, recipe: str, counterfactual: xr.Dataset, pretrained: bool
) -> list[tuple[str, str, str]]:
    """Report-half accuracies with intervals over models."""
    subsets = results.summary("influence", target, recipe, outputs=[]).accuracy.sel(half="report")
    report = counterfactual.sel(half="report")
    rows = [
        ("accuracy from the full source", mean_interval(report.full.values)),
        ("accuracy from scratch (random weights)", mean_interval(report.scratch.values)),
        ("accuracy from a random subset of classes", mean_interval(subsets.values)),
        ("gain of the full source over scratch", checks.full_minus_scratch(counterfactual)),
    ]
    shown = [(name, f"{i.value:.3f}", _interval_text(i)) for name, i in rows]
    if pretrained:
        accuracy = results.summary("pretrained", target, recipe, outputs=[]).accuracy.sel(half="report")
        shown.append(("accuracy from the pretrained weights", f"{accuracy.item():.3f}", "one model"))
    return shown


def _interval_text(interval: Interval) -> str:
    return f"95 % {float(interval.low):.3f} to {float(interval.high):.3f}"


def _strongest_by_target_class(influence: xr.Dataset) -> list[dict]:
    """For every target class its most helpful and most harmful source class, report half."""
    report = influence.sel(half="report")
    rows = []
    for target_class in report.target_class.values:
        row = report.sel(target_class=target_class)
        rows.append(
            {
                "target_class": target_class,
                "helpful": _cell(row, int(row.class_effect.argmax())),
                "harmful": _cell(row, int(row.class_effect.argmin())),
            }
        )
    return rows


def _cell(row: xr.Dataset, i: int) -> dict:
    cell = row.isel(source_class=i)
    return {"name": str(cell.source_class.item())} | {
        key: float(cell[f"class_{key}"]) for key in ("effect", "low", "high", "q")
    }


def _dataset_row(results: Results, name: str) -> dict:
    index = results.dataset(name)
    report = int(index.val.halves.sum())
    return {
        "name": name,
        "classes": len(index.class_names),
        "train": len(index.train),
        "select": len(index.val) - report,
        "report": report,
    }


def _study_rows(results: Results, adaptations: list[tuple[str, str]], studies: list[str]) -> list[dict]:
    """Models, units seen and source accuracy of the studies of this run."""
    optional = ["repeated", "examples", "pretrained", "reuse-reference"]
    made = [f"{p}counterfactual-{t}-{r}" for t, r in adaptations for p in ("", "reuse-")]
    made += [name for name in studies if name.startswith("without-memories-")]
    rows = []
    for name in ["reference", "influence", *(n for n in [*optional, *made] if n in studies)]:
        models = results.source_models(name)
        seen = models.masks.sum("unit").values
        rows.append(
            {
                "name": name,
                "models": models.sizes["model"],
                "classes": f"{seen.min()} to {seen.max()}" if np.ptp(seen) else f"{seen.min()}",
                "accuracy": f"{float(models.accuracy.mean(skipna=True)):.3f}",
            }
        )
    return rows


def _warnings(
    results: Results, sections: list[Section], dataset_names: list[str], adaptations: list
) -> list[str]:
    """What a reader must know before using the numbers."""
    found = []
    for name in dataset_names:
        with store.open(results.folder / "data" / name / "index.h5", "dataset index") as file:
            if file.attrs["images_skipped"]:
                found.append(
                    f"{file.attrs['images_skipped']} images of {name} could not be decoded and were left out."
                )
    for section in sections:
        for check in section.checks:
            if not check.holds:
                found.append(
                    f"{section.target} / {section.recipe}: the expectation that {check.statement} is not "
                    f"established by this run ({_interval_text(check.interval)})."
                )
        scores = results.scores(section.target, section.recipe)
        reported = scores.sel(estimator=scores.attrs["reported_estimator"]).isel(models=-1)
        if np.isnan(float(reported.score)):
            found.append(
                f"{section.target} / {section.recipe}: there are too few models to score the influences on "
                "models that are held out; raise studies.influence.models."
            )
        elif float(reported.score_low) <= 0:
            found.append(
                f"{section.target} / {section.recipe}: the influences on single examples do not predict "
                "models that were held out (the correlation's interval includes zero); raise "
                "studies.influence.models."
            )
        counterfactual = results.counterfactual(section.target, section.recipe)
        if counterfactual.sizes["repeat"] < _FEW_REPEATS:
            found.append(
                f"{section.target} / {section.recipe}: counterfactual intervals rest on "
                f"{counterfactual.sizes['repeat']} repeats and are wide."
            )
    design = results.settings("studies/influence/masks/0000.h5", "masks")["design"]
    if design == "fixed_size":
        found.append(
            "Masks have a fixed size, so the influences of an example sum to about zero: negative means "
            "below the average class, not harmful in absolute terms."
        )
    return found


def _provenance(results: Results, target: str, recipe: str) -> dict:
    """Software, device and the settings that decided the numbers."""
    attributes = results.influence(target, recipe).attrs
    settings = {
        "source training": results.settings("studies/influence/training/0000.h5", sources.RECORD_KIND),
        "transfer": results.settings(f"studies/influence/transfer/{target}/{recipe}/0000.h5", outputs.KIND),
        "masks": results.settings("studies/influence/masks/0000.h5", "masks"),
    }
    with store.open(results.folder / "studies/influence/training/0000.h5", sources.RECORD_KIND) as file:
        device = file.attrs["device"]
    return {
        "rows": [
            ("Transferlens", attributes["transferlens_version"]),
            ("commit", attributes["git_commit"] or "not a git checkout"),
            ("device", device),
            ("influences estimated", attributes["created"]),
            *attributes["software"].items(),
        ],
        "settings": json.dumps(settings, indent=2, sort_keys=True),
    }


def _inline_png(path: Path) -> str:
    """A PNG as a data URI."""
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def _inline_svg(path: Path) -> str:
    """An SVG's root element, without the XML prologue that HTML does not take."""
    text = path.read_text(encoding="utf-8")
    return markupsafe.Markup(text[text.index("<svg") :])
