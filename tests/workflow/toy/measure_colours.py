"""Measure colours."""

from argparse import Namespace

import pandas as pd
from transferlens.colours import measure
from transferlens.colours.artefacts import COLOURS

from transferlens.core import artefacts, files, job
from transferlens.data.artefacts import read_examples, write_examples
from transferlens.training import outputs
from transferlens.training.artefacts import SUMMARY


def main(arguments: Namespace) -> None:
    settings = arguments.settings
    with artefacts.open(arguments.summary, SUMMARY) as file:
        ids, labels, halves, classes = read_examples(file)
        p_true = outputs.Output(file, "p_true")[: settings["models"]]
    made = measure.confidence(p_true, halves, settings["weight"])
    with artefacts.create(arguments.colours, COLOURS) as out:
        write_examples(out, ids, labels, halves, classes)
        for name, values in (("", made.value), ("_low", made.low), ("_high", made.high)):
            out.write(f"confidence{name}", values)
        out.attribute("weight", settings["weight"])
    files.write_csv(arguments.table, pd.DataFrame({"half": ["select", "report"], "confidence": made.value}))


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("summary")
    script.writes("colours")
    script.writes("table")
    script.run(main)
