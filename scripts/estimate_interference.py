"""How far objects of source classes distract from the true target class, from composites."""

from argparse import Namespace

from transferlens.core import files, job
from transferlens.memories.effect import composites, interference
from transferlens.memories.kept import probes


def main(arguments: Namespace) -> None:
    settings = arguments.settings
    first = probes.read_probes(arguments.probes)
    estimated = interference.estimate(
        composites.read_composites(arguments.composites),
        first,
        settings["smallest_cell"],
    )
    interference.write_interference(arguments.interference, estimated)
    files.write_csv(arguments.table, interference.table(estimated))
    interference.draw_matrix(arguments.picture, estimated)


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("composites")
    script.reads("probes", "which say what memories are bound to")
    script.writes("interference")
    script.writes("table")
    script.writes("picture")
    script.run(main)
