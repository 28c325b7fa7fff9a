"""Draft, for every target, the table of source and target classes that mean the same, to be confirmed."""

from pathlib import Path

from transferlens.core import job, store
from transferlens.data import index
from transferlens.memories import overlap


def main(arguments):
    source = index.read_index(arguments.source_index)
    for index_path, table in zip(arguments.indexes, arguments.tables, strict=True):
        if table.exists():
            job.say(f"{table}: already there, left as it is; remove it for a new proposal")
            continue
        found = overlap.propose(source.class_names, index.read_index(index_path).class_names)
        store.write_csv(table, found)
        job.say(
            f"{table}: {len(found)} pairs proposed; write yes or no into `confirmed`, then set "
            f"memories.overlap: {table}"
        )


if __name__ == "__main__":
    parser = job.parser(__doc__)
    parser.add_argument("--source-index", type=Path, required=True)
    parser.add_argument("--indexes", type=Path, nargs="+", required=True, help="of the target data sets")
    parser.add_argument("--tables", type=Path, nargs="+", required=True, help="one for each of them")
    job.run(main, parser)
