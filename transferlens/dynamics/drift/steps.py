"""The steps of drift: how far every model of a study moves, and what each source class adds to that."""

from typing import Any

from transferlens.core.capability import Beside, Step, Wildcards
from transferlens.core.run import Run
from transferlens.data.capability import source_files
from transferlens.dynamics import scope
from transferlens.dynamics.drift.artefacts import DRIFT_INFLUENCE, DRIFTS
from transferlens.training.capability import adaptation, adaptation_code, adaptation_inputs, resumption

_NOT_ASKED = "dynamics.influence.counterfactual is false"
_NO_REMOVALS = "this target has no counterfactual study"


def _shards(run: Run) -> list[dict[str, str]]:
    """Wildcards of every shard of models whose drift is told."""
    return [
        {"study": study, "target": target, "recipe": recipe, "shard": shard}
        for target, recipe in scope.followed(run)
        for study, rows in scope.drifting(run, target, recipe).items()
        for shard in run.studies[study].shards_of(rows)
    ]


def _measure_settings(run: Run, wildcards: Wildcards) -> dict[str, Any]:
    given, study = scope.asked(run), wildcards["study"]
    adapted = adaptation(run, wildcards, keep_weights=False)
    del adapted["keep_weights"]
    return {
        **adapted,
        "target": wildcards["target"],
        "source": run.source,
        "source_input": run.input_of(run.source, study),
        "layers": scope.layers(run, study),
        "steps": given.influence.steps.model_dump(),
        "probe": {"images": given.influence.images, "batch": given.probe.batch},
        "seed": run.seed,
    }


MEASURE = Step(
    name="drifts",
    script="measure_drift.py",
    title="Measure the drift of {study}, shard {shard}, on the way to {target} ({recipe})",
    outputs={"drifts": DRIFTS},
    inputs=lambda run, w: {**adaptation_inputs(run, w), **source_files(run, "val")},
    settings=_measure_settings,
    code=adaptation_code,
    arguments=resumption,
    made_for=_shards,
    shown=False,
)


def _files(run: Run, study: str, wildcards: Wildcards) -> list[str]:
    """The drifts of a study's models on their way to a target by a recipe."""
    rows = scope.drifting(run, **wildcards)[study]
    return [DRIFTS.at(study=study, shard=shard, **wildcards) for shard in run.studies[study].shards_of(rows)]


def _estimate_inputs(run: Run, wildcards: Wildcards) -> dict[str, list[str]]:
    files = {"drifts": _files(run, "influence", wildcards)}
    if study := scope.removals(run, **wildcards):
        files["removals"] = _files(run, study, wildcards)
        files["reference"] = _files(run, "reference", wildcards)
    return files


def _estimate_settings(run: Run, wildcards: Wildcards) -> dict[str, Any]:
    settings = {"estimator": run.settings.influence.estimator, "seed": run.seed}
    if study := scope.removals(run, **wildcards):
        masks = run.studies[study].masks
        ranked_by = study.split("/")[-1]
        return {**settings, "orders": masks["orders"], "ks": masks["ks"], "ranked_by": ranked_by}
    asked = scope.asked(run).influence.counterfactual
    return {**settings, "retrained_missing": _NO_REMOVALS if asked else _NOT_ASKED}


def _beside(name: str, figure: str = "") -> Beside:
    """A file of a target and recipe; Snakemake's report shows those with a figure."""
    labels = {"target": "{target}", "recipe": "{recipe}", "figure": figure} if figure else {}
    category = ("Feature dynamics", "drift_influence.rst") if figure else ("", "")
    return Beside(f"dynamics/{{target}}/{{recipe}}/{name}", *category, labels)


ESTIMATE = Step(
    name="drift_influence",
    script="estimate_drift_influence.py",
    title="Estimate what source classes add to drift on the way to {target} ({recipe})",
    outputs={
        "drift_influence": DRIFT_INFLUENCE,
        "effects": _beside("drift_effects.svg", "drift by source class"),
        "effects_png": _beside("drift_effects.png"),
        "curves": _beside("retrained_drift.svg", "drift of retrained models"),
        "curves_png": _beside("retrained_drift.png"),
        "effects_table": _beside("drift_effects.csv"),
        "correlations_table": _beside("drift_correlations.csv"),
    },
    inputs=_estimate_inputs,
    settings=_estimate_settings,
    made_for=lambda run: [
        {"target": target, "recipe": recipe}
        for target, recipe in scope.followed(run)
        if scope.drifting(run, target, recipe)
    ],
)
STEPS = (MEASURE, ESTIMATE)
