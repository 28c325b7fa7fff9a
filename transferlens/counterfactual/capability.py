"""What really happens to the target when source classes are removed and the source is trained again."""

from collections.abc import Iterator, Mapping
from typing import Any

from transferlens.core.artefacts import Artefact
from transferlens.core.blocks import Section
from transferlens.core.capability import Beside, Capability, Features, Step, Transfer, Wildcards
from transferlens.core.errors import ConfigError
from transferlens.core.run import Run
from transferlens.core.studies import Study
from transferlens.counterfactual import block_removals
from transferlens.counterfactual.artefacts import COUNTERFACTUAL, LABEL_MAPPING, REUSE
from transferlens.counterfactual.order_files import read_order
from transferlens.counterfactual.orders import Cells, check_removals, evidence_of_written
from transferlens.counterfactual.rows import check_settings, masks_of, order_paths, removals, step_orders
from transferlens.counterfactual.settings import (
    BlockRemovalStudy,
    CounterfactualStudy,
    ReuseStudy,
    removal_study,
    step_study,
)
from transferlens.data.artefacts import INDEX
from transferlens.estimation.asked import require_output, unit_names
from transferlens.training.artefacts import SUMMARY
from transferlens.training.capability import feature_paths

_REFERENCE = "transferlens.core.studies:Reference"
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


def _each(run: Run) -> list[Wildcards]:
    pairs = run.adaptations if asked(run) else []
    return [{"target": target, "recipe": recipe} for target, recipe in pairs]


def _evaluation_settings(run: Run, wildcards: Wildcards) -> dict[str, Any]:
    given, masks = run.section(CounterfactualStudy), run.studies[removal_study(**wildcards)].masks
    drawn = ("orders", "ks", "handpicked", "singles", "subsets", "output", "units")
    return {
        **{key: masks[key] for key in drawn},
        "step_check": given.step_check,
        "step_orders": step_orders(given),
    }


def _evaluation_inputs(run: Run, wildcards: Wildcards) -> dict[str, str]:
    files = {
        "summary": SUMMARY.at(study=removal_study(**wildcards), **wildcards),
        "reference": SUMMARY.at(study="reference", **wildcards),
        "influence": run.file("influence", **wildcards),
        **_mapping_inputs(run, wildcards),
    }
    if (steps := step_study(**wildcards)) in run.studies:
        files["steps"] = SUMMARY.at(study=steps, **wildcards)
    return files


def _mapping_inputs(run: Run, wildcards: Wildcards) -> dict[str, str]:
    """The label mapping, where random sets are to be predicted by it, too."""
    if not run.section(CounterfactualStudy).subsets:
        return {}
    mapping = LABEL_MAPPING.at(target=wildcards["target"])
    return {"mapping": mapping, "source_index": INDEX.at(dataset=run.source)}


def _reuse_inputs(run: Run, wildcards: Wildcards) -> dict[str, str]:
    """Summaries of the models that influences are reused for."""
    prefix = _REUSED if _other_architecture(run) else ""
    where = {"target": wildcards["target"], "recipe": _reuse_recipe(run, wildcards["recipe"])}
    return {
        "summary": SUMMARY.at(study=prefix + removal_study(**wildcards), **where),
        "reference": SUMMARY.at(study=f"{prefix}reference", **where),
        "influence": run.file("influence", **wildcards),
        **_mapping_inputs(run, wildcards),
    }


def _mapped_targets(run: Run) -> list[Wildcards]:
    given = asked(run)
    wanted = given is not None and ("label_mapping" in given.orders or given.subsets > 0)
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
    settings=lambda run, w: {**_evaluation_settings(run, w), "step_check": None, "step_orders": []},
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
        "random_sets": _beside("random_sets.svg"),
        "random_sets_png": _beside("random_sets.png"),
        "curves_table": _beside("counterfactual.csv"),
        "chosen_k": _beside("chosen_k.csv"),
        "singles_table": _beside("single_removals.csv"),
        "random_sets_table": _beside("random_sets.csv"),
        "checks": _beside("counterfactual_checks.csv", "Checks", "checks.rst", "counterfactuals"),
    },
    inputs=lambda run, w: {"counterfactual": COUNTERFACTUAL.at(**w)},
    settings=lambda run, w: run.section(CounterfactualStudy).model_dump(include={"output"}),
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
    settings = (CounterfactualStudy, ReuseStudy, BlockRemovalStudy)
    steps = (
        MAP_LABELS,
        EVALUATE,
        EVALUATE_REUSE,
        FIGURES,
        REUSE_FIGURES,
        block_removals.EVALUATE,
        block_removals.FIGURES,
    )

    def sizes(
        self, run: Run, made: Artefact | Beside, wildcards: Wildcards, known: Mapping[str, int]
    ) -> dict[str, int]:
        """Sizes of curves, cells and repeats."""
        if made in block_removals.EVALUATE.outputs.values():
            return block_removals.sizes(run)
        given, reference = run.section(CounterfactualStudy), run.settings.studies.reference
        if made is LABEL_MAPPING:
            return {"model": reference.repeats}
        return {
            "order": len(given.orders) + len(given.order_files),
            "k": len(given.ks),
            "repeat": given.repeats,
            "reference_repeat": reference.repeats,
            "removed_class": given.singles,
            "random_set": given.subsets,
            "predictor": 3 if given.subsets else 0,
            "step_order": len(step_orders(given)),
        }

    def studies(self, run: Run) -> Iterator[Study]:
        """One study for each target and recipe: the source without the most harmful classes, and others."""
        yield from block_removals.studies(run)
        given = asked(run)
        if given is None:
            return
        architecture = _other_architecture(run)
        if architecture:
            yield _reused_reference(run, architecture)
        for target, recipe in run.adaptations:
            masks = masks_of(run, given, target)
            evidence = {"influence": run.file("influence", target=target, recipe=recipe)}
            steps = masks | {"orders": step_orders(given), "ks": [given.step_check], "handpicked": None}
            steps |= {"singles": 0, "subsets": 0}
            if step_orders(given):
                yield removals(step_study(target, recipe), given, steps, evidence, step_matched=True)
            if "label_mapping" in given.orders:
                evidence = evidence | {"mapping": LABEL_MAPPING.at(target=target)}
            evidence = evidence | evidence_of_written(order_paths(given, target))
            for prefix, network in (("", None), (_REUSED, architecture))[: 1 + bool(architecture)]:
                yield removals(
                    prefix + removal_study(target, recipe),
                    given,
                    masks,
                    evidence,
                    architecture=network,
                    step_matched=given.step_matched,
                )

    def transfers(self, run: Run) -> Iterator[Transfer]:
        """Each study's models adapted to its own target by its own recipe, beside the reference."""
        yield from block_removals.transfers(run)
        if asked(run) is None:
            return
        prefix = _REUSED if _other_architecture(run) else ""
        for target, recipe in run.adaptations:
            study = removal_study(target, recipe)
            yield Transfer(study, target, recipe)
            if step_orders(run.section(CounterfactualStudy)):
                yield Transfer(step_study(target, recipe), target, recipe)
            if reused(run):
                for name in (f"{prefix}reference", prefix + study):
                    yield Transfer(name, target, _reuse_recipe(run, recipe))

    def features(self, run: Run) -> Iterator[Features]:
        for wildcards in _mapped_targets(run):
            yield Features("reference", wildcards["target"], "train")

    def check(self, run: Run) -> None:
        """Refuse repeats that have no full-source model, and outputs and recipes that there are not."""
        block_removals.check(run)
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
        check_settings(run, given)
        reuse = reused(run)
        if reuse and reuse.recipe:
            run.require_recipe(reuse.recipe, "studies.reuse.recipe")

    def check_data(self, run: Run) -> None:
        """Refuse removals that the source's classes and images do not allow."""
        block_removals.check_data(run)
        if given := asked(run):
            for target in run.targets:
                check_removals(Cells.of(masks_of(run, given, target)), unit_names(run))
                for path in order_paths(given, target).values():
                    read_order(path, unit_names(run))

    def sections(self, run: Run, results: Any) -> Iterator[Section]:
        """Curves of accuracy, target by target."""
        from transferlens.counterfactual import block_page, page

        yield from page.sections(run, results)
        yield from block_page.sections(run, results)


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
