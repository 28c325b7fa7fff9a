"""The steps of watching: networks along the way of their adaptation, and what they make of probe images."""

from typing import Any

from transferlens.core.capability import Step, Wildcards
from transferlens.core.run import Run
from transferlens.data.capability import betons
from transferlens.dynamics import scope
from transferlens.dynamics.activity.artefacts import ACTIVITY
from transferlens.training.artefacts import SOURCE_MODELS, TRAJECTORIES
from transferlens.training.capability import adaptation, adaptation_code, adaptation_inputs, resumption

# What tells the jobs of a shard apart.
_OF_SHARD = ("study", "target", "recipe", "shard")


def followed_shards(run: Run) -> list[dict[str, str]]:
    """Wildcards of every shard of models that are followed."""
    return [
        {"study": scope.population(run), "target": target, "recipe": recipe, "shard": shard}
        for target, recipe in scope.followed(run)
        for shard in scope.shards(run)
    ]


FOLLOW = Step(
    name="trajectories",
    script="transfer.py",
    title="Follow {study}, shard {shard}, to {target} ({recipe})",
    outputs={"runs": TRAJECTORIES},
    inputs=adaptation_inputs,
    settings=lambda run, w: {
        **adaptation(run, w, keep_weights=True),
        "checkpoints": scope.asked(run).steps.model_dump(),
    },
    code=adaptation_code,
    arguments=resumption,
    made_for=followed_shards,
    shown=False,
)


def _probe_inputs(run: Run, wildcards: Wildcards) -> dict[str, Any]:
    of_shard = {name: wildcards[name] for name in _OF_SHARD}
    return {
        "source": SOURCE_MODELS.at(study=wildcards["study"], shard=wildcards["shard"]),
        "trajectories": TRAJECTORIES.at(**of_shard),
        **betons(wildcards["dataset"], "val"),
    }


def _probe_settings(run: Run, wildcards: Wildcards) -> dict[str, Any]:
    given, study = scope.asked(run), wildcards["study"]
    return {
        "architecture": run.architecture_of(study),
        "input": run.input_of(wildcards["dataset"], study),
        "layers": scope.layers(run),
        "probe": given.probe.model_dump(),
        "dataset": wildcards["dataset"],  # for messages
        "is_target": wildcards["dataset"] == wildcards["target"],
        "seed": run.seed,
    }


PROBE = Step(
    name="activity",
    script="probe_activity.py",
    title="Look at {study}, shard {shard}, on the way to {target} ({recipe}), on {dataset}",
    outputs={"activity": ACTIVITY},
    inputs=_probe_inputs,
    settings=_probe_settings,
    code=lambda run, w: run.recipe_code(w["target"], w["recipe"]),
    made_for=lambda run: [
        {**shard, "dataset": dataset}
        for shard in followed_shards(run)
        for dataset in scope.domains(run, shard["target"])
    ],
    shown=False,
)
STEPS = (FOLLOW, PROBE)
