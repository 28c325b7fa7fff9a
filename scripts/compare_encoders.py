"""Compare the candidate sources of a target: encoders, and the run's own models of the whole source."""

from argparse import Namespace

from transferlens.core import files, job, labelled
from transferlens.encoders import compared
from transferlens.encoders.artefacts import CANDIDATES
from transferlens.training.reading import read_outputs


def main(arguments: Namespace) -> None:
    summaries = [read_outputs(path, ["correct"]) for path in arguments.summaries]
    compared.write_candidates(arguments.candidates, summaries, arguments.settings["candidates"])
    files.write_csv(arguments.table, compared.table(labelled.read(arguments.candidates, CANDIDATES)))


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("summaries", "one a candidate, as settings name them", many=True)
    script.writes("candidates")
    script.writes("table")
    script.run(main)
