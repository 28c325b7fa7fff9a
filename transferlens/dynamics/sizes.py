"""How large the files of feature dynamics are, for the plan of a run."""

from collections.abc import Mapping

from transferlens.core.artefacts import Artefact
from transferlens.core.capability import Beside, Wildcards
from transferlens.core.run import Run
from transferlens.dynamics import scope
from transferlens.dynamics.activity.artefacts import ACTIVITY
from transferlens.dynamics.drift.artefacts import DRIFT_INFLUENCE, DRIFTS, OUTCOMES
from transferlens.dynamics.explorer.steps import PAGE
from transferlens.dynamics.settings import UnitSettings
from transferlens.dynamics.told.artefacts import REFERENCES, SIMILARITY
from transferlens.dynamics.units.artefacts import UNITS
from transferlens.training import moments
from transferlens.training.artefacts import LOG_QUANTITIES, TRAJECTORIES
from transferlens.training.recipes import kinds

# Numbers that a layer gives of an image, on average: of common networks.
_CHANNELS = 256
# Bytes of the interactive page: itself, of a pair of layers and steps, of a layer at a step, and of a tile.
_PAGE, _PAIR, _CELL, _TILE_BYTES = 60_000, 1.4, 90, 4_000
_STRIPS = 3  # of a unit
_TILE = 96  # pixels of a side of a tile of a strip
# Metrics of pooled features, and measures of the gap between domains: importing them takes seconds.
_METRICS, _GAPS = 18, 4


def sizes_of(
    run: Run, made: Artefact | Beside, wildcards: Wildcards, known: Mapping[str, int]
) -> dict[str, int]:
    """Sizes by dimension, as of `Capability.sizes`."""
    if made is SIMILARITY:
        return _told(run, wildcards, known)
    if made in (DRIFTS, DRIFT_INFLUENCE):
        return _of_drift(run, made, wildcards, known)
    page = PAGE.outputs["page"]
    if made not in (TRAJECTORIES, ACTIVITY, UNITS, page):
        return {}
    recipe = kinds.read(run.recipe(wildcards["target"], wildcards["recipe"]))
    kept = moments.steps(scope.asked(run).steps, recipe, known.get("train_example", 1))
    if made is TRAJECTORIES:
        logs = {"log_quantity": len(LOG_QUANTITIES), "epoch": kinds.log_rows(recipe)}
        return {**logs, **_networks(known["model"], len(kept))}
    if made is page:
        return {"bytes": _page_bytes(run, wildcards["target"], len(kept) + 1)}
    if made is UNITS:
        return _units(len(scope.layers(run)), 1 + len(kept), scope.asked(run).units)
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


def _units(layers: int, steps: int, given: UnitSettings) -> dict[str, int]:
    """What is told of units, and strips of those that are shown."""
    return {
        "layer": layers,
        "step": steps,
        "channel": layers * _CHANNELS,
        "comparison": 3,
        "filter_metric": 3,
        "shown": layers * 2 * given.shown,
        "strip": 2,
        "axis": 2,
        "tile_y": _TILE,
        "tile_x": _TILE,
        "colour": 3,
    }


def _networks(models: int, kept: int) -> dict[str, int]:
    """Of a shard: heads and whole networks at the end, networks along the way."""
    return {"head": models, "weights": models, "checkpoints": models * kept, "checkpoint_step": kept}


def _page_bytes(run: Run, target: str, steps: int) -> int:
    """Of the interactive page: similarities of all layers and steps, and strips of units."""
    given, layers = scope.asked(run), len(scope.layers(run))
    cells, followed = layers * steps, given.models * len(scope.domains(run, target))
    tiles = 2 * given.units.shown * _STRIPS * cells if given.units else 0
    return round(_PAGE + followed * (_PAIR * cells * (cells + 1) / 2 + _CELL * cells) + _TILE_BYTES * tiles)


def _told(run: Run, wildcards: Wildcards, known: Mapping[str, int]) -> dict[str, int]:
    """Of what is told of similarities."""
    recipe = kinds.read(run.recipe(wildcards["target"], wildcards["recipe"]))
    kept = moments.steps(scope.asked(run).steps, recipe, known.get("train_example", 1))
    once = {"layer": len(scope.layers(run)), "step": 1 + len(kept), "metric": _METRICS}
    return {
        **once,
        **{f"other_{name}": size for name, size in once.items()},
        "domain": len(scope.domains(run, wildcards["target"])),
        "model": scope.asked(run).models,
        "reference": len(REFERENCES),
        "gap_measure": _GAPS,
    }


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
