"""What really happens to the target when source classes are removed and the source is trained again."""

from collections.abc import Iterator, Mapping
from typing import Any

from transferlens.core.artefacts import Artefact
from transferlens.core.blocks import Section
from transferlens.core.capability import Beside, Capability, Features, Step, Transfer, Wildcards
from transferlens.core.errors import ConfigError
from transferlens.core.run import Run
from transferlens.core.studies import Study
from transferlens.counterfactual.artefacts import COUNTERFACTUAL, LABEL_MAPPING, REUSE
from transferlens.counterfactual.orders import HANDPICKED, SINGLE, Cells, check_removals
from transferlens.counterfactual.settings import CounterfactualStudy, ReuseStudy, removal_study
from transferlens.data import wordnet
from transferlens.data.classnames import readable
from transferlens.estimation.asked import require_output, unit_names
from transferlens.training.artefacts import SUMMARY
from transferlens.training.capability import feature_paths

_REMOVALS = "transferlens.counterfactual.orders:Removals"
_REFERENCE = "transferlens.core.studies:Reference"
_WORDNET = "wordnet:"
# Names of studies with another architecture than the run's.
_REUSED = "reuse/"


def asked(run: Run) -> CounterfactualStudy | None:
    """The counterfactual study, where there are those that rank its classes and that it is paired with."""
    studies = run.settings.studies
    return run.section(CounterfactualStudy) if studies.influence and studies.reference else None


def reused(run: Run) -> ReuseStudy | None:
    """What influences are reused for."""
    return run.section(ReuseStudy) if asked(run) else None


def _other_architecture(run: Run) -> dict[str, Any] | None:
    """The network that influences are reused for; None where the run's own source models serve."""
    given = reused(run)
    other = given is not None and given.architecture != run.settings.architecture
    return given.architecture.model_dump() if other else None


def _reuse_recipe(run: Run, recipe: str) -> str:
    """The recipe that influences of a recipe are reused for."""
    return run.section(ReuseStudy).recipe or recipe


def picked_units(run: Run, picked: list[str] | None) -> list[str] | None:
    """Units picked by hand, WordNet subtrees (`wordnet:<id>`) replaced by the source classes in them."""
    if picked is None:
        return None
    roots = [entry.removeprefix(_WORDNET) for entry in picked if entry.startswith(_WORDNET)]
    kept = [readable(entry) for entry in picked if not entry.startswith(_WORDNET)]
    below = [name for root in roots for name in wordnet.classes_below(root, unit_names(run))]
    return list(dict.fromkeys(kept + below))


def _masks(run: Run, given: CounterfactualStudy) -> dict[str, Any]:
    """The settings that draw the rows."""
    return {
        **given.model_dump(include={"orders", "singles", "output"}),
        "handpicked": picked_units(run, given.handpicked),
        "ks": sorted(given.ks),
        "units": run.settings.studies.influence.units,
    }


def _seen(cells: Cells) -> dict[str, float]:
    """The mean share of the units that the models of a repeat see, and how many fewer (or more)."""
    whole, units = [], []
    for order, k in cells.table():
        whole.append(order != HANDPICKED)
        picked = len(cells.handpicked or ())
        units.append({HANDPICKED: picked, SINGLE: -1}.get(order, -k))
    return {"seen": sum(whole) / len(whole), "seen_units": sum(units) / len(units)}


def _each(run: Run) -> list[Wildcards]:
    pairs = run.adaptations if asked(run) else []
    return [{"target": target, "recipe": recipe} for target, recipe in pairs]


def _evaluation_settings(run: Run, wildcards: Wildcards) -> dict[str, Any]:
    masks = run.studies[removal_study(**wildcards)].masks
    drawn = {key: masks[key] for key in ("orders", "ks", "handpicked", "singles", "output")}
    return {**drawn, "repeats": run.section(CounterfactualStudy).repeats}


def _evaluation_inputs(run: Run, wildcards: Wildcards) -> dict[str, str]:
    return {
        "summary": SUMMARY.at(study=removal_study(**wildcards), **wildcards),
        "reference": SUMMARY.at(study="reference", **wildcards),
        "influence": run.file("influence", **wildcards),
    }


def _reuse_inputs(run: Run, wildcards: Wildcards) -> dict[str, str]:
    """Summaries of the models that influences are reused for."""
    prefix = _REUSED if _other_architecture(run) else ""
    where = {"target": wildcards["target"], "recipe": _reuse_recipe(run, wildcards["recipe"])}
    return {
        "summary": SUMMARY.at(study=prefix + removal_study(**wildcards), **where),
        "reference": SUMMARY.at(study=f"{prefix}reference", **where),
        "influence": run.file("influence", **wildcards),
    }


def _mapped_targets(run: Run) -> list[Wildcards]:
    given = asked(run)
    wanted = given is not None and "label_mapping" in given.orders
    return [{"target": target} for target in run.targets] if wanted else []


MAP_LABELS = Step(
    name="label_mapping",
    script="map_labels.py",
    title="Map the images of {target} to source classes",
    outputs={"mapping": LABEL_MAPPING},
    inputs=lambda run, w: {"features": feature_paths(run, "reference", w["target"], "train")},
    made_for=_mapped_targets,
    shown=False,
)
EVALUATE = Step(
    name="counterfactual",
    script="evaluate_counterfactual.py",
    title="Evaluate counterfactuals on {target} ({recipe})",
    outputs={"counterfactual": COUNTERFACTUAL},
    inputs=_evaluation_inputs,
    settings=_evaluation_settings,
    made_for=_each,
)
# The same masks for another architecture or recipe.
EVALUATE_REUSE = Step(
    name="reuse",
    script="evaluate_counterfactual.py",
    title="Test the influences on {target} ({recipe}) elsewhere",
    outputs={"reuse": REUSE},
    inputs=_reuse_inputs,
    settings=_evaluation_settings,
    made_for=lambda run: _each(run) if reused(run) else [],
)


def _beside(name: str, category: str = "", caption: str = "", figure: str = "") -> Beside:
    """A file of the page of a target and recipe; Snakemake's report shows those with a category."""
    labels = {"target": "{target}", "recipe": "{recipe}", "figure": figure} if category else {}
    return Beside(f"report/{{target}}/{{recipe}}/{name}", category, caption, labels)


_CATEGORY, _CAPTION = "Counterfactuals", "counterfactual_curves.rst"
FIGURES = Step(
    name="counterfactual_figures",
    script="draw_counterfactual.py",
    title="Draw the counterfactuals of {target} ({recipe})",
    outputs={
        "curves": _beside("counterfactual_curves.svg", _CATEGORY, _CAPTION, "curves"),
        "curves_png": _beside("counterfactual_curves.png"),
        "single_removals": _beside("single_removals.svg"),
        "single_removals_png": _beside("single_removals.png"),
        "curves_table": _beside("counterfactual.csv"),
        "chosen_k": _beside("chosen_k.csv"),
        "singles_table": _beside("single_removals.csv"),
        "checks": _beside("counterfactual_checks.csv", "Checks", "checks.rst", "counterfactuals"),
    },
    inputs=lambda run, w: {"counterfactual": COUNTERFACTUAL.at(**w)},
    settings=lambda run, w: run.settings.report.model_dump(include={"output"}),
    made_for=_each,
)
REUSE_FIGURES = Step(
    name="reuse_figures",
    script="draw_counterfactual.py",
    title="Draw what influences on {target} ({recipe}) are worth elsewhere",
    outputs={"curves": _beside("reuse.svg"), "curves_png": _beside("reuse.png")},
    inputs=lambda run, w: {"reuse": REUSE.at(**w)},
    made_for=lambda run: _each(run) if reused(run) else [],
)


class Counterfactual(Capability):
    """Counterfactual retraining, and influences that are reused for another network or recipe."""

    name = "counterfactual"
    settings = (CounterfactualStudy, ReuseStudy)
    steps = (MAP_LABELS, EVALUATE, EVALUATE_REUSE, FIGURES, REUSE_FIGURES)

    def sizes(
        self, run: Run, made: Artefact | Beside, wildcards: Wildcards, known: Mapping[str, int]
    ) -> dict[str, int]:
        """Sizes of curves, cells and repeats."""
        given, reference = run.section(CounterfactualStudy), run.settings.studies.reference
        if made is LABEL_MAPPING:
            return {"model": reference.repeats}
        return {
            "order": len(given.orders),
            "k": len(given.ks),
            "repeat": given.repeats,
            "reference_repeat": reference.repeats,
            "removed_class": given.singles,
        }

    def studies(self, run: Run) -> Iterator[Study]:
        """One study for each target and recipe: the source without the most harmful classes, and others."""
        given = asked(run)
        if given is None:
            return
        architecture = _other_architecture(run)
        if architecture:
            yield _reused_reference(run, architecture)
        masks = _masks(run, given)
        cells = Cells.of(masks)
        for target, recipe in run.adaptations:
            evidence = {"influence": run.file("influence", target=target, recipe=recipe)}
            if "label_mapping" in given.orders:
                evidence["mapping"] = LABEL_MAPPING.at(target=target)
            for prefix, network in (("", None), (_REUSED, architecture))[: 1 + bool(architecture)]:
                yield Study(
                    name=prefix + removal_study(target, recipe),
                    kind=_REMOVALS,
                    rows=len(cells.table()) * given.repeats,
                    shard_size=given.shard_size,
                    masks=masks,
                    evidence=evidence,
                    architecture=network,
                    step_matched=given.step_matched,
                    **_seen(cells),
                )

    def transfers(self, run: Run) -> Iterator[Transfer]:
        """Each study's models adapted to its own target by its own recipe, beside the reference."""
        if asked(run) is None:
            return
        prefix = _REUSED if _other_architecture(run) else ""
        for target, recipe in run.adaptations:
            study = removal_study(target, recipe)
            yield Transfer(study, target, recipe)
            if reused(run):
                for name in (f"{prefix}reference", prefix + study):
                    yield Transfer(name, target, _reuse_recipe(run, recipe))

    def features(self, run: Run) -> Iterator[Features]:
        for wildcards in _mapped_targets(run):
            yield Features("reference", wildcards["target"], "train")

    def check(self, run: Run) -> None:
        """Refuse repeats that have no full-source model, and outputs and recipes that there are not."""
        given = asked(run)
        if given is None:
            return
        repeats = run.settings.studies.reference.repeats
        if given.repeats > repeats:
            raise ConfigError(
                f"config: studies.counterfactual.repeats is {given.repeats}, but each repeat is paired with "
                f"a full-source model and studies.reference.repeats is {repeats}; raise the latter"
            )
        require_output(run, given.output, "studies.counterfactual")
        reuse = reused(run)
        if reuse and reuse.recipe:
            run.require_recipe(reuse.recipe, "studies.reuse.recipe")

    def check_data(self, run: Run) -> None:
        """Refuse removals that the source's classes do not allow."""
        if given := asked(run):
            check_removals(Cells.of(_masks(run, given)), unit_names(run))

    def sections(self, run: Run, results: Any) -> Iterator[Section]:
        """Curves of accuracy, target by target."""
        from transferlens.counterfactual import page

        return page.sections(run, results)


def _reused_reference(run: Run, architecture: dict[str, Any]) -> Study:
    """The whole source and nothing by turns, with another architecture."""
    given = run.settings.studies.reference
    return Study(
        name=f"{_REUSED}reference",
        kind=_REFERENCE,
        rows=2 * given.repeats,
        shard_size=given.shard_size,
        masks={"units": "classes"},
        architecture=architecture,
        keeps_weights=True,
        seen=0.5,
    )


CAPABILITY = Counterfactual()
