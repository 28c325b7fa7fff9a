"""Bound the loss of linear probes on a target by what turning a reference task into it takes."""

from argparse import Namespace

from transferlens.core import files, job, labelled
from transferlens.data import index
from transferlens.relatedness import stored
from transferlens.relatedness.artefacts import RELATEDNESS
from transferlens.relatedness.measured import Grid

_SIDES = ("reference", "target")


def main(arguments: Namespace) -> None:
    settings = arguments.settings
    reference, target = (
        stored.side(
            settings[f"{name}_dataset"],
            index.read_index(getattr(arguments, f"{name}_index")),
            {split: getattr(arguments, f"{name}_{split}") for split in index.SPLITS},
            settings[f"{name}_classes"],
            settings["images_per_class"],
            settings["seed"],
        )
        for name in _SIDES
    )
    of_grid = (
        "taus",
        "transforms",
        "draws",
        "feature_map",
        "label_start",
        "rounds",
        "scale",
        "steps",
        "seed",
    )
    grid = Grid(**{key: settings[key] for key in of_grid}, batch=settings["batch_size"])
    told = {"mode": settings["mode"], "reference_dataset": settings["reference_dataset"]}
    stored.write_relatedness(arguments.relatedness, reference, target, settings["rows"], grid, told)
    files.write_csv(arguments.table, stored.table(labelled.read(arguments.relatedness, RELATEDNESS)))


if __name__ == "__main__":
    script = job.Script(__doc__)
    for name in _SIDES:
        script.reads(f"{name}_index")
        for split in index.SPLITS:
            script.reads(f"{name}_{split}", f"features of the {name}'s {split} images", many=True)
    script.writes("relatedness")
    script.writes("table")
    script.run(main)
