"""How large the files of feature dynamics are, for the plan of a run."""

from collections.abc import Mapping

from transferlens.core.artefacts import Artefact
from transferlens.core.capability import Beside, Wildcards
from transferlens.core.run import Run
from transferlens.dynamics import scope
from transferlens.dynamics.activity.artefacts import ACTIVITY
from transferlens.dynamics.drift.artefacts import DRIFT_INFLUENCE, DRIFTS, OUTCOMES
from transferlens.training import moments
from transferlens.training.artefacts import LOG_QUANTITIES, TRAJECTORIES
from transferlens.training.recipes import kinds

# Numbers that a layer gives of an image, on average: of common networks.
_CHANNELS = 256


def sizes_of(
    run: Run, made: Artefact | Beside, wildcards: Wildcards, known: Mapping[str, int]
) -> dict[str, int]:
    """Sizes by dimension, as of `Capability.sizes`."""
    if made in (DRIFTS, DRIFT_INFLUENCE):
        return _of_drift(run, made, wildcards, known)
    if made not in (TRAJECTORIES, ACTIVITY):
        return {}
    recipe = kinds.read(run.recipe(wildcards["target"], wildcards["recipe"]))
    kept = moments.steps(scope.asked(run).steps, recipe, known.get("train_example", 1))
    if made is TRAJECTORIES:
        logs = {"log_quantity": len(LOG_QUANTITIES), "epoch": kinds.log_rows(recipe)}
        return {**logs, **_networks(known["model"], len(kept))}
    given, layers = scope.asked(run).probe, len(scope.layers(run))
    images = min(given.images, known.get("val_example", given.images)) // given.batch * given.batch
    return {
        "layer": layers,
        "step": 1 + len(kept),
        "batch": images // given.batch,
        "pair": given.batch * (given.batch - 1) // 2,
        "example": images,
        "channel": layers * _CHANNELS,
    }


def _networks(models: int, kept: int) -> dict[str, int]:
    """Of a shard: heads and whole networks at the end, networks along the way."""
    return {"head": models, "weights": models, "checkpoints": models * kept, "checkpoint_step": kept}


def _of_drift(
    run: Run, made: Artefact | Beside, wildcards: Wildcards, known: Mapping[str, int]
) -> dict[str, int]:
    """Of every model's drift, or of what source classes do to it."""
    recipe = kinds.read(run.recipe(wildcards["target"], wildcards["recipe"]))
    moved = len(moments.steps(scope.asked(run).influence.steps, recipe, known.get("train_example", 1)))
    looked_at = {
        "domain": len(scope.domains(run, wildcards["target"])),
        "layer": len(scope.layers(run, "influence")),
        "step": 1 + moved if made is DRIFTS else moved,
    }
    if made is DRIFTS:
        return looked_at
    retrained = run.settings.studies.counterfactual
    removals = {"order": len(retrained.orders), "k": len(retrained.ks)} if retrained else {}
    units = {"source_class": known["unit"]} if "unit" in known else {}
    return {**looked_at, **removals, **units, "outcome": len(OUTCOMES), "fold": 2}
