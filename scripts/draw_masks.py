"""Draw one shard of a study's masks: which units of the source each of its models is trained on."""

from argparse import Namespace

from transferlens.core import imports, job, studies
from transferlens.core.studies import StudyKind
from transferlens.data import index, units
from transferlens.data.index import Index


def main(arguments: Namespace) -> None:
    settings, source = arguments.settings, index.read_index(arguments.index)
    of_source = make_units(source, settings["units"])
    kind: StudyKind = imports.resolve(settings["kind"])
    rows = kind.draw(settings, of_source, range(*settings["rows"]), arguments.evidence, source)
    studies.write_masks(arguments.masks, rows, of_source)


def make_units(source: Index, kind: str | int) -> units.Units:
    """Source classes, the data set's groups of them, or blocks of so many images."""
    if kind == "classes":
        return units.class_units(source)
    return units.group_units(source) if kind == "groups" else units.block_units(source, kind)


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("index", "of the source data set")
    script.reads_others("evidence")  # what the study's rows are drawn by
    script.writes("masks")
    script.run(main)
