"""Score influence estimates: prediction of held-out models, its ceiling, reliability, convergence."""

from argparse import Namespace

from transferlens.core import job
from transferlens.influence import scores


def main(arguments: Namespace) -> None:
    settings = arguments.settings
    scores.write_scores(
        arguments.scores,
        arguments.summary,
        arguments.repeated,
        settings["output"],
        settings["estimator"],
        settings["compared"],
    )


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("summary")
    script.reads("repeated", "summary of the same masks trained from other seeds", required=False)
    script.writes("scores")
    script.run(main)
