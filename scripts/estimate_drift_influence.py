"""Estimate what each source class adds to the drift of each layer, and how that goes with what models do."""

from argparse import Namespace

from transferlens.core import files, job, labelled
from transferlens.dynamics.drift import pictures, retrained, stored, tables
from transferlens.dynamics.drift.artefacts import DRIFT_INFLUENCE
from transferlens.dynamics.drift.read import Drifts, read_drifts
from transferlens.pictures import figures


def main(arguments: Namespace) -> None:
    settings, drifts = arguments.settings, read_drifts(arguments.drifts)
    stored.write(
        arguments.drift_influence,
        drifts,
        _retrained(arguments, drifts),
        settings["estimator"],
        settings["seed"],
    )
    told = labelled.read(arguments.drift_influence, DRIFT_INFLUENCE)
    for figure, *paths in (
        (pictures.effects(told), arguments.effects, arguments.effects_png),
        (pictures.curves(told), arguments.curves, arguments.curves_png),
    ):
        for path in paths:
            figures.save(figure, path)
    files.write_csv(arguments.effects_table, tables.effects(told))
    files.write_csv(arguments.correlations_table, tables.correlations(told))


def _retrained(arguments: Namespace, drifts: Drifts) -> retrained.Retrained | str:
    """What removals do, or why that is not told."""
    settings = arguments.settings
    if "retrained_missing" in settings:
        return settings["retrained_missing"]
    reference, removals = (
        read_drifts(paths, drifts.axes) for paths in (arguments.reference, arguments.removals)
    )
    return retrained.compare(reference, removals, *(settings[name] for name in ("ranked_by", "orders", "ks")))


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("drifts", "of models of random source classes, all shards in order", many=True)
    script.reads("removals", "of models whose source lacked classes", many=True, required=False)
    script.reads("reference", "of models of the whole source", many=True, required=False)
    script.writes("drift_influence")
    script.writes("effects")
    script.writes("effects_png")
    script.writes("curves")
    script.writes("curves_png")
    script.writes("effects_table")
    script.writes("correlations_table")
    script.run(main)
