"""The steps of measuring: what adapted models forget, how calibrated and robust they are, what they cost."""

from typing import Any

from transferlens.comparison import scope
from transferlens.comparison.measures.artefacts import COST, MEASURES, PROBES_AFTER, SOURCE_PROBES
from transferlens.comparison.tuning.artefacts import CHOICE
from transferlens.comparison.tuning.steps import adapting, reporting_rows, source_shards
from transferlens.core.capability import Step, Wildcards
from transferlens.core.run import Run
from transferlens.data.capability import betons, source_files
from transferlens.training.artefacts import TRANSFER_RUNS
from transferlens.training.capability import shard_paths


def probed(run: Run) -> list[str]:
    """The data sets on which forgetting is measured, the source first."""
    return list(dict.fromkeys([run.source, *scope.asked(run).others]))


def adapted_files(run: Run, wildcards: Wildcards) -> dict[str, list[str]]:
    """The source models that report, and what they were adapted to."""
    one = scope.contestant(run, wildcards["target"], wildcards["recipe"])
    rows, study = reporting_rows(run, one.from_scratch), run.studies[scope.population(run)]
    names = dict.fromkeys(study.shards[row // study.shard_size] for row in rows)
    of_run = {"target": wildcards["target"], "recipe": wildcards["recipe"]}
    return {
        "sources": source_shards(run, rows),
        "transfers": shard_paths(run, TRANSFER_RUNS, study.name, names, **of_run),
    }


def _probe_settings(run: Run, dataset: str, rows: list[int]) -> dict[str, Any]:
    study = scope.population(run)
    return {
        "architecture": run.architecture_of(study),
        "input": run.input_of(dataset, study),
        "images": scope.asked(run).probe_images,
        "rows": rows,
        "seed": run.seed,
    }


PROBE_BEFORE = Step(
    name="probes_before",
    script="probe_sources.py",
    title="Probe source models on {dataset}",
    outputs={"probes": SOURCE_PROBES},
    inputs=lambda run, w: {
        "sources": source_shards(run, reporting_rows(run, False)),
        **betons(w["dataset"], "train", "val"),
    },
    settings=lambda run, w: _probe_settings(run, w["dataset"], reporting_rows(run, False)),
    made_for=lambda run: [{"dataset": name} for name in probed(run)] if scope.asked(run) else [],
    shown=False,
)


def adapted_from_source(run: Run) -> list[Wildcards]:
    """Every (target, recipe) of models that saw the source."""
    return [{"target": t, "recipe": one.name} for t, one in scope.every(run) if not one.from_scratch]


PROBE_AFTER = Step(
    name="probes_after",
    script="probe_adapted.py",
    title="Probe models adapted to {target} ({recipe}) on {dataset}",
    outputs={"probes": PROBES_AFTER},
    inputs=lambda run, w: {**adapted_files(run, w), **betons(w["dataset"], "train", "val")},
    settings=lambda run, w: _probe_settings(run, w["dataset"], reporting_rows(run, False)),
    code=lambda run, w: run.recipe_code(w["target"], w["recipe"]),
    made_for=lambda run: [{**w, "dataset": name} for w in adapted_from_source(run) for name in probed(run)],
    shown=False,
)


def _measure_inputs(run: Run, wildcards: Wildcards) -> dict[str, Any]:
    """With the source's images for models that saw any."""
    one = scope.contestant(run, wildcards["target"], wildcards["recipe"])
    of_source = {} if one.from_scratch else source_files(run, "val")
    return {**adapted_files(run, wildcards), **betons(wildcards["target"], "val"), **of_source}


def _measure_settings(run: Run, wildcards: Wildcards) -> dict[str, Any]:
    one = scope.contestant(run, wildcards["target"], wildcards["recipe"])
    study = scope.population(run)
    return {
        "architecture": run.architecture_of(study),
        "input": run.input_of(wildcards["target"], study),
        "source_input": None if one.from_scratch else run.input_of(run.source, study),
        "corruptions": scope.asked(run).corruptions.model_dump(),
        "rows": reporting_rows(run, one.from_scratch),
    }


MEASURE = Step(
    name="measures",
    script="measure_recipe.py",
    title="Measure models adapted to {target} ({recipe})",
    outputs={"measures": MEASURES},
    inputs=_measure_inputs,
    settings=_measure_settings,
    code=lambda run, w: run.recipe_code(w["target"], w["recipe"]),
    made_for=lambda run: [{"target": target, "recipe": one.name} for target, one in scope.every(run)],
    shown=False,
)


def _cost_settings(run: Run, wildcards: Wildcards) -> dict[str, Any]:
    plain = {"target": wildcards["target"], "recipe": scope.asked(run).plain}
    row = reporting_rows(run, False)[0]
    return {**adapting(run, wildcards), "plain": adapting(run, plain)["recipe"], "row": row}


COST_OF = Step(
    name="recipe_cost",
    script="cost_recipe.py",
    title="Time a step of {recipe} on {target}",
    outputs={"cost": COST},
    inputs=lambda run, w: {
        "sources": source_shards(run, reporting_rows(run, False)[:1]),
        "choice": CHOICE.at(**w),
        **betons(w["target"], "train"),
    },
    settings=_cost_settings,
    code=lambda run, w: [
        *run.recipe_code(w["target"], w["recipe"]),
        *run.recipe_code(w["target"], scope.asked(run).plain),
    ],
    made_for=adapted_from_source,
    shown=False,
)
STEPS = (PROBE_BEFORE, PROBE_AFTER, MEASURE, COST_OF)
