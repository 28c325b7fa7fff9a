"""Say what a study will cost: models, jobs, hours and bytes. Nothing is run or written."""

from pathlib import Path

from transferlens.core import job
from transferlens.operations import plan, rate
from transferlens.training import device


def main(arguments):
    given, folder = arguments.settings, arguments.results
    data = {
        name: plan.describe(name, entry, folder, arguments.data_root)
        for name, entry in given["datasets"].items()
    }
    place = device.pick()
    hours = rate.hours(given, data, folder, place)
    job.say(*plan.report(given, data, hours, rate.name_of(place)))


if __name__ == "__main__":
    parser = job.parser(__doc__)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--data-root", type=Path, required=True)
    job.run(main, parser)
