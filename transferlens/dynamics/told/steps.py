"""The step of telling: similarities along the way, from what networks make of probe images."""

from typing import Any

from transferlens.core.capability import Step, Wildcards
from transferlens.core.run import Run
from transferlens.dynamics import scope
from transferlens.dynamics.activity.artefacts import ACTIVITY
from transferlens.dynamics.told.artefacts import SIMILARITY


def _inputs(run: Run, wildcards: Wildcards) -> dict[str, Any]:
    """What all shards make of the target's images, and of the source's, where that is another data set."""
    domains = dict(zip(("target", "source"), scope.domains(run, wildcards["target"]), strict=False))
    return {
        name: [
            ACTIVITY.at(study=scope.population(run), dataset=dataset, shard=shard, **wildcards)
            for shard in scope.shards(run)
        ]
        for name, dataset in domains.items()
    }


def _settings(run: Run, wildcards: Wildcards) -> dict[str, Any]:
    return {
        "domains": scope.domains(run, wildcards["target"]),
        "models": scope.asked(run).models,
        "permutations": scope.asked(run).permutations,
        "seed": run.seed,
    }


TELL = Step(
    name="similarity",
    script="tell_similarity.py",
    title="Tell what changes in networks on their way to {target} ({recipe})",
    outputs={"similarity": SIMILARITY},
    inputs=_inputs,
    settings=_settings,
    made_for=lambda run: [{"target": target, "recipe": recipe} for target, recipe in scope.followed(run)],
)
STEPS = (TELL,)
