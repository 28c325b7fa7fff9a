"""Write the gallery of a study of memories: one HTML page that opens from disk."""

from pathlib import Path

from transferlens.core import job
from transferlens.memories.gallery import html


def main(arguments):
    settings = arguments.settings
    html.write_gallery(arguments.out, arguments.study, settings["title"], settings["tables"])


if __name__ == "__main__":
    parser = job.parser(__doc__)
    parser.add_argument("--study", type=Path, required=True, help="the folder of the study's results")
    parser.add_argument("--out", type=Path, required=True)
    job.run(main, parser)
