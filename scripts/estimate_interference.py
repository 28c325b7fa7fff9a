"""How far objects of source classes distract from the true target class, from composites."""

from pathlib import Path

from transferlens.core import job, store
from transferlens.memories.effect import composites, interference
from transferlens.memories.kept import probes


def main(arguments):
    settings = arguments.settings
    first = probes.read_probes(arguments.probes)
    found = interference.estimate(
        composites.read_composites(arguments.composites),
        first.bound_class,
        first.overlap,
        *(settings[key] for key in ("smallest_cell", "bootstrap", "permutations", "seed")),
    )
    inputs = [arguments.composites, arguments.probes]
    interference.write_interference(arguments.out, found, config=settings, inputs=inputs)
    store.write_csv(arguments.table, interference.table(found))
    interference.draw_matrix(arguments.picture, found)


if __name__ == "__main__":
    parser = job.parser(__doc__)
    parser.add_argument("--composites", type=Path, required=True)
    parser.add_argument("--probes", type=Path, required=True, help="which say what memories are bound to")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--picture", type=Path, required=True)
    job.run(main, parser)
