"""Draft, for every target, the table of source and target classes that mean the same, to be confirmed."""

from argparse import Namespace
from pathlib import Path

from transferlens.core import files, job
from transferlens.data import index
from transferlens.memories import overlap


def main(arguments: Namespace) -> None:
    source = index.read_index(arguments.source_index)
    for index_path, table in zip(arguments.indexes, arguments.tables, strict=True):
        if table.exists():
            job.say(f"{table}: already there, left as it is; remove it for a new proposal")
            continue
        pairs = overlap.propose(source.class_names, index.read_index(index_path).class_names)
        files.write_csv(table, pairs)
        job.say(
            f"{table}: {len(pairs)} pairs proposed; write yes or no into `confirmed`, then set "
            f"memories.overlap: {table}"
        )


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("source_index")
    script.reads("indexes", "of the target data sets", many=True)
    script.takes("tables", type=Path, nargs="+", required=True, help="one for each of them")
    script.run(main)
