"""Score influence estimates: prediction of held-out models, its ceiling, reliability, convergence."""

from pathlib import Path

from transferlens.core import job
from transferlens.influence import scores


def main(arguments):
    settings = arguments.settings
    scores.write_scores(
        arguments.out,
        arguments.summary,
        arguments.repeated,
        settings["output"],
        settings["estimator"],
        settings["compared"],
        config=settings,
        inputs=[path for path in (arguments.summary, arguments.repeated) if path],
    )


if __name__ == "__main__":
    parser = job.parser(__doc__)
    parser.add_argument("--summary", type=Path, required=True)
    parser.add_argument("--repeated", type=Path, help="summary of the same masks trained from other seeds")
    parser.add_argument("--out", type=Path, required=True)
    job.run(main, parser)
