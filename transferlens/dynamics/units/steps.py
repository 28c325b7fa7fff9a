"""The step of units: what single ones do in the first model that is followed."""

from typing import Any

from transferlens.core.capability import Beside, Step, Wildcards
from transferlens.core.run import Run
from transferlens.data.capability import betons
from transferlens.dynamics import scope
from transferlens.dynamics.units.artefacts import UNITS
from transferlens.training.artefacts import SOURCE_MODELS, TRAJECTORIES

_FOLDER = "dynamics/{target}/{recipe}"


def _figure(name: str, words: str) -> dict[str, Beside]:
    """A figure as SVG, which Snakemake's report shows, and as PNG."""
    labels = {"target": "{target}", "recipe": "{recipe}", "figure": words}
    shown = Beside(f"{_FOLDER}/{name}.svg", "Feature dynamics", f"{name}.rst", labels)
    return {name: shown, f"{name}_png": Beside(f"{_FOLDER}/{name}.png")}


def _inputs(run: Run, wildcards: Wildcards) -> dict[str, Any]:
    """The shard that holds the first model."""
    study, shard = scope.population(run), scope.shards(run)[0]
    return {
        "source": SOURCE_MODELS.at(study=study, shard=shard),
        "trajectories": TRAJECTORIES.at(study=study, shard=shard, **wildcards),
        **betons(wildcards["target"], "val"),
    }


def _settings(run: Run, wildcards: Wildcards) -> dict[str, Any]:
    study = scope.population(run)
    return {
        "architecture": run.architecture_of(study),
        "input": run.input_of(wildcards["target"], study),
        "layers": scope.layers(run),
        **scope.asked(run).units.model_dump(),
        "seed": run.seed,
    }


LOOK = Step(
    name="dynamics_units",
    script="dynamics_units.py",
    title="Look at single units on the way to {target} ({recipe})",
    outputs={
        "units": UNITS,
        "table": Beside(f"{_FOLDER}/units.csv"),
        **_figure("unit_curves", "units over steps"),
        **_figure("unit_filters", "maps of units over steps"),
        "strips": Beside(
            f"{_FOLDER}/unit_strips.png",
            "Feature dynamics",
            "unit_strips.rst",
            {"target": "{target}", "recipe": "{recipe}", "figure": "strips of units"},
        ),
    },
    inputs=_inputs,
    settings=_settings,
    code=lambda run, w: run.recipe_code(w["target"], w["recipe"]),
    made_for=lambda run: [
        {"target": target, "recipe": recipe}
        for target, recipe in scope.followed(run)
        if scope.asked(run).units
    ],
)
STEPS = (LOOK,)
