"""The influence of every source class on every target example, and how far it can be trusted."""

from collections.abc import Iterator, Mapping
from typing import Any

from transferlens.core.artefacts import Artefact
from transferlens.core.blocks import Section
from transferlens.core.capability import Beside, Capability, Features, Step, Transfer, Wildcards
from transferlens.core.errors import ConfigError
from transferlens.core.run import Run
from transferlens.core.studies import Study
from transferlens.data.artefacts import INDEX
from transferlens.estimation import crossfit, designs, estimators
from transferlens.estimation.asked import require_output, unit_names
from transferlens.influence.artefacts import EXAMPLE_INFLUENCE, INFLUENCE, RIVALS, SCORES, SHARES
from transferlens.influence.settings import ExampleStudy, InfluenceSettings, InfluenceStudy, RepeatedStudy
from transferlens.training.artefacts import SUMMARY
from transferlens.training.capability import feature_paths

# At most: kinds of pairs of classes, and the differences between them.
_RELATIONS = 5
RANDOM_MASKS = "transferlens.estimation.designs:RandomMasks"


def _each(study: str, sized: bool = False) -> Any:
    """Every (target, recipe), where there is such a study."""

    def made_for(run: Run) -> list[dict[str, str]]:
        pairs = run.adaptations + run.sized_adaptations * sized if study in run.studies else []
        return [{"target": target, "recipe": recipe} for target, recipe in pairs]

    return made_for


def _score_settings(run: Run, wildcards: Wildcards) -> dict[str, Any]:
    given = run.section(InfluenceSettings)
    return {
        "output": run.settings.report.output,
        "estimator": given.estimator,
        "compared": list(dict.fromkeys([given.estimator, *given.compared])),
    }


def _score_inputs(run: Run, wildcards: Wildcards) -> dict[str, str]:
    files = {"summary": SUMMARY.at(study="influence", **wildcards)}
    if "repeated" in run.studies:
        files["repeated"] = SUMMARY.at(study="repeated", **wildcards)
    return files


ESTIMATE = Step(
    name="influence",
    script="estimate_influence.py",
    title="Estimate influences on {target} ({recipe})",
    outputs={"influence": INFLUENCE},
    inputs=lambda run, w: {
        "summary": SUMMARY.at(study="influence", **w),
        "target_index": f"results/data/{w['target']}/index.h5",
    },
    settings=lambda run, w: run.section(InfluenceSettings).model_dump(include={"outputs", "estimator"}),
    made_for=_each("influence", sized=True),
)
ESTIMATE_EXAMPLES = Step(
    name="example_influence",
    script="estimate_influence.py",
    title="Estimate influences of source images on {target} ({recipe})",
    outputs={"example_influence": EXAMPLE_INFLUENCE},
    inputs=lambda run, w: {
        "summary": SUMMARY.at(study="examples", **w),
        "target_index": f"results/data/{w['target']}/index.h5",
    },
    # Of many blocks and few models only differences of means can be estimated without a bias.
    settings=lambda run, w: {
        "outputs": run.section(InfluenceSettings).outputs,
        "estimator": "difference_of_means",
    },
    made_for=_each("examples"),
)
SCORE = Step(
    name="score",
    script="score_influence.py",
    title="Score the influences on {target} ({recipe})",
    outputs={"scores": SCORES},
    inputs=_score_inputs,
    settings=_score_settings,
    made_for=_each("influence"),
)


def _pictures(name: str, figure: str) -> dict[str, Beside]:
    """A figure of a target and recipe as SVG, which Snakemake's report shows, and as PNG."""
    path, labels = f"report/{{target}}/{{recipe}}/{name}", {"target": "{target}", "recipe": "{recipe}"}
    shown = Beside(f"{path}.svg", "Class influences", f"{name}.rst", {**labels, "figure": figure})
    return {name: shown, f"{name}_png": Beside(f"{path}.png")}


def _tables(*names: str) -> dict[str, Beside]:
    return {name: Beside(f"report/{{target}}/{{recipe}}/{name}.csv") for name in names}


RIVAL = Step(
    name="influence_rivals",
    script="compare_rivals.py",
    title="Compare the influences on {target} ({recipe}) with cheap rivals",
    outputs={"rivals": RIVALS},
    inputs=lambda run, w: {
        "influence": INFLUENCE.at(**w),
        "target_features": feature_paths(run, "reference", w["target"], "train"),
        "source_features": feature_paths(run, "reference", run.source, "val"),
        "target_index": INDEX.at(dataset=w["target"]),
        "source_index": INDEX.at(dataset=run.source),
    },
    settings=lambda run, w: {"output": run.settings.report.output},
    made_for=lambda run: _each("influence")(run) if "reference" in run.studies else [],
)
FIGURES = Step(
    name="influence_figures",
    script="draw_influence.py",
    title="Draw the influences on {target} ({recipe})",
    outputs={
        **_pictures("influence_matrix", "matrix"),
        **_pictures("strongest_classes", "strongest"),
        **_pictures("convergence", "convergence"),
        **_tables("class_influence", "overall_influence", "scores"),
        "checks": Beside(
            "report/{target}/{recipe}/influence_checks.csv",
            "Checks",
            "checks.rst",
            {"target": "{target}", "recipe": "{recipe}", "figure": "influences"},
        ),
    },
    inputs=lambda run, w: {"influence": INFLUENCE.at(**w), "score": SCORES.at(**w)},
    settings=lambda run, w: run.settings.report.model_dump(include={"output", "top_classes"}),
    made_for=_each("influence"),
)


class Influence(Capability):
    """Class influences, influences of source images, and their scores."""

    name = "influence"
    settings = (InfluenceStudy, RepeatedStudy, ExampleStudy, InfluenceSettings)
    steps = (ESTIMATE, ESTIMATE_EXAMPLES, SCORE, RIVAL, FIGURES)

    def sizes(
        self, run: Run, made: Artefact | Beside, wildcards: Wildcards, known: Mapping[str, int]
    ) -> dict[str, int]:
        """Sizes of estimators, scores and drawn classes."""
        given = run.section(InfluenceSettings)
        if made is SCORES:
            return {"estimator": len({given.estimator, *given.compared}), "models": len(SHARES)}
        if made is RIVALS:
            mapped = {"source_class": known["unit"]} if "unit" in known else {}
            return {"predictor": 4, "cells": 2, **mapped}
        sizes = {"*": len(given.outputs), "relation": _RELATIONS}
        blocks = run.section(ExampleStudy)
        if made is INFLUENCE:
            sizes["fold"] = crossfit.FOLDS
        if made is INFLUENCE and "unit" in known:
            sizes["source_class"] = known["unit"]
        elif made is EXAMPLE_INFLUENCE and blocks and "source_image" in known:
            sizes["source_class"] = -(-known["source_image"] // blocks.images_a_block)
        return sizes

    def studies(self, run: Run) -> Iterator[Study]:
        """Random masks over classes (once more, if repeated), and over blocks of images."""
        if given := run.section(InfluenceStudy):
            masks = given.model_dump(include={"design", "keep", "units"})
            common = {"kind": RANDOM_MASKS, "masks": masks, "seen": given.keep}
            yield Study("influence", rows=given.models, shard_size=given.shard_size, **common)
            if again := run.section(RepeatedStudy):
                yield Study("repeated", rows=again.models, shard_size=again.shard_size, **common)
        if blocks := run.section(ExampleStudy):
            masks = {"design": blocks.design, "keep": blocks.keep, "units": blocks.images_a_block}
            yield Study(
                "examples",
                kind=RANDOM_MASKS,
                rows=blocks.models,
                shard_size=blocks.shard_size,
                masks=masks,
                seen=blocks.keep,
            )

    def transfers(self, run: Run) -> Iterator[Transfer]:
        """Every study of influences on every target by each of its recipes."""
        for study in ("influence", "repeated", "examples"):
            if study in run.studies:
                for target, recipe in run.adaptations:
                    yield Transfer(study, target, recipe)

    def features(self, run: Run) -> Iterator[Features]:
        """What reference models make of the target's training images, and of the source's own."""
        jobs = run.jobs_of(RIVAL.name)
        for target in dict.fromkeys(wildcards["target"] for wildcards in jobs):
            yield Features("reference", target, "train")
        if jobs:
            yield Features("reference", run.source, "val")

    def check(self, run: Run) -> None:
        """Refuse models that do not fill shards, too many repeated ones, and a page without its output."""
        study = run.section(InfluenceStudy)
        if study is None:
            return
        if study.models % study.shard_size:
            below = study.models - study.models % study.shard_size
            near = f"{below} or {below + study.shard_size}" if below else f"{study.shard_size}"
            raise ConfigError(
                f"config: studies.influence.models is {study.models}, not a multiple of its shard_size "
                f"{study.shard_size}; use {near}, so that more models never touch finished shards"
            )
        repeated = run.section(RepeatedStudy)
        if repeated and repeated.models > study.models:
            raise ConfigError(
                f"config: studies.repeated.models is {repeated.models}, more than the {study.models} masks "
                "of the influence study; lower it, or set studies.repeated: null"
            )
        require_output(run, run.settings.report.output, "report")

    def check_data(self, run: Run) -> None:
        """Refuse a study that the source's classes do not allow."""
        given = run.section(InfluenceStudy)
        if given is None:
            return
        names = unit_names(run)
        designs.check_design(given.design, len(names), given.keep, given.models)
        estimator = run.section(InfluenceSettings).estimator
        fold_over = given.design in designs.FOLD_OVER
        estimators.require_models(estimator, given.models, len(names), fold_over)
        drawn = designs.draw_masks(given.design, len(names), given.keep, run.seed, range(given.models))
        estimators.check_masks(drawn, names)

    def sections(self, run: Run, results: Any) -> Iterator[Section]:
        """Influences and their scores, target by target."""
        from transferlens.influence import page

        return page.sections(run, results)


CAPABILITY = Influence()
