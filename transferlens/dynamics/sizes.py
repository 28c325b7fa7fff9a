"""How large the files of feature dynamics are, for the plan of a run."""

from collections.abc import Mapping
from math import prod
from pathlib import Path

from transferlens.core.artefacts import Artefact
from transferlens.core.capability import Beside, Wildcards
from transferlens.core.run import Run
from transferlens.dynamics import scope
from transferlens.dynamics.activity.artefacts import ACTIVITY
from transferlens.dynamics.drift.artefacts import DRIFT_INFLUENCE, DRIFTS, OUTCOMES
from transferlens.dynamics.explorer.steps import PAGE
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
# Bytes of drawings: of a pair of metrics, of a tile of a strip as a picture, of any other drawing.
_PAIR_DRAWN, _DRAWN_TILE, _DRAWING = 840, 7_300, 60_000
_STRIPS_DRAWN = 2
_TILE = 96  # pixels of a side of a tile of a strip
# Metrics of pooled features, and measures of the gap between domains: importing them takes seconds.
_METRICS, _GAPS = 18, 4


def sizes_of(
    run: Run, made: Artefact | Beside, wildcards: Wildcards, known: Mapping[str, int]
) -> dict[str, int]:
    """Sizes by dimension, as of `Capability.sizes`."""
    if isinstance(made, Beside):
        return _beside(run, made, wildcards, known)
    sizes = {
        TRAJECTORIES.kind: _kept,
        ACTIVITY.kind: _activity,
        SIMILARITY.kind: _told,
        UNITS.kind: _units,
        DRIFTS.kind: _drifts,
        DRIFT_INFLUENCE.kind: _drift_influence,
    }
    return sizes[made.kind](run, wildcards, known) if made.kind in sizes else {}


def _beside(run: Run, made: Beside, wildcards: Wildcards, known: Mapping[str, int]) -> dict[str, int]:
    """Bytes of the interactive page, of strips, and of drawings; of others as usual."""
    if made is PAGE.outputs["page"]:
        return {"bytes": _page_bytes(run, wildcards, known)}
    if made.path.endswith("unit_strips.png"):
        followed, shown = _followed(run, wildcards, known), scope.asked(run).units.shown
        return {"bytes": 2 * shown * _STRIPS_DRAWN * prod(followed.values()) * _DRAWN_TILE}
    drawn = {"agreement.svg": _METRICS**2 * _PAIR_DRAWN}.get(Path(made.path).name, _DRAWING)
    return {"bytes": drawn} if made.path.endswith(".svg") else {}


def _followed(run: Run, wildcards: Wildcards, known: Mapping[str, int]) -> dict[str, int]:
    """Layers, and steps with the end, of models that are followed."""
    return {
        "layer": len(scope.layers(run)),
        "step": 1 + _along(scope.asked(run).steps, run, wildcards, known),
    }


def _along(given: moments.MomentSettings, run: Run, wildcards: Wildcards, known: Mapping[str, int]) -> int:
    """How many networks of a model are kept before the end."""
    recipe = kinds.read(run.recipe(wildcards["target"], wildcards["recipe"]))
    return len(moments.steps(given, recipe, known.get("target_image", 1)))


def _kept(run: Run, wildcards: Wildcards, known: Mapping[str, int]) -> dict[str, int]:
    """Of a shard: heads and whole networks at the end, networks along the way, and the logs."""
    models, along = known["model"], _along(scope.asked(run).steps, run, wildcards, known)
    epochs = kinds.log_rows(kinds.read(run.recipe(wildcards["target"], wildcards["recipe"])))
    logs = {"log_quantity": len(LOG_QUANTITIES), "epoch": epochs}
    return {
        **logs,
        "head": models,
        "weights": models,
        "checkpoints": models * along,
        "checkpoint_step": along,
    }


def _activity(run: Run, wildcards: Wildcards, known: Mapping[str, int]) -> dict[str, int]:
    """Of what networks make of a probe."""
    given, followed = scope.asked(run).probe, _followed(run, wildcards, known)
    batches = min(given.images, known.get("val_example", given.images)) // given.batch
    return {
        **followed,
        "batch": batches,
        "pair": given.batch * (given.batch - 1) // 2,
        "example": batches * given.batch,
        "channel": followed["layer"] * _CHANNELS,
    }


def _told(run: Run, wildcards: Wildcards, known: Mapping[str, int]) -> dict[str, int]:
    """Of what is told of similarities."""
    once = {**_followed(run, wildcards, known), "metric": _METRICS}
    return {
        **once,
        **{f"other_{name}": size for name, size in once.items()},
        "domain": len(scope.domains(run, wildcards["target"])),
        "model": scope.asked(run).models,
        "reference": len(REFERENCES),
        "gap_measure": _GAPS,
    }


def _units(run: Run, wildcards: Wildcards, known: Mapping[str, int]) -> dict[str, int]:
    """What is told of units, and strips of those that are shown."""
    followed = _followed(run, wildcards, known)
    return {
        **followed,
        "channel": followed["layer"] * _CHANNELS,
        "comparison": 3,
        "filter_metric": 3,
        "shown": followed["layer"] * 2 * scope.asked(run).units.shown,
        "strip": 2,
        "axis": 2,
        "tile_y": _TILE,
        "tile_x": _TILE,
        "colour": 3,
    }


def _page_bytes(run: Run, wildcards: Wildcards, known: Mapping[str, int]) -> int:
    """Of the interactive page: similarities of all layers and steps, and strips of units."""
    given, cells = scope.asked(run), prod(_followed(run, wildcards, known).values())
    shown = given.models * len(scope.domains(run, wildcards["target"]))
    tiles = 2 * given.units.shown * _STRIPS * cells if given.units else 0
    return round(_PAGE + shown * (_PAIR * cells * (cells + 1) / 2 + _CELL * cells) + _TILE_BYTES * tiles)


def _drifts(run: Run, wildcards: Wildcards, known: Mapping[str, int]) -> dict[str, int]:
    """Of every model's drift, which is told of the end, too."""
    looked_at = _looked_at(run, wildcards, known)
    return {**looked_at, "step": looked_at["step"] + 1}


def _looked_at(run: Run, wildcards: Wildcards, known: Mapping[str, int]) -> dict[str, int]:
    """Domains, layers and steps of which drift is told."""
    return {
        "domain": len(scope.domains(run, wildcards["target"])),
        "layer": len(scope.layers(run, "influence")),
        "step": _along(scope.asked(run).influence.steps, run, wildcards, known),
    }


def _drift_influence(run: Run, wildcards: Wildcards, known: Mapping[str, int]) -> dict[str, int]:
    """Of what source classes do to drift."""
    retrained = run.settings.studies.counterfactual
    removals = {"order": len(retrained.orders), "k": len(retrained.ks)} if retrained else {}
    units = {"source_class": known["unit"]} if "unit" in known else {}
    return {**_looked_at(run, wildcards, known), **removals, **units, "outcome": len(OUTCOMES), "fold": 2}
