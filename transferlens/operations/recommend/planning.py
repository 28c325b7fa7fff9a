"""From a question to a study within a budget; the same question again finds the study that it led to."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import yaml

from transferlens.capabilities import run_of
from transferlens.core.artefacts import RESULTS
from transferlens.core.errors import ArtefactError
from transferlens.core.run import Run
from transferlens.operations.datasets import Data
from transferlens.operations.doctor import outputs_of
from transferlens.operations.plan import readable_bytes
from transferlens.operations.recommend import budget, composing, kept
from transferlens.operations.recommend.budget import Cost, in_hours
from transferlens.operations.recommend.composing import Question, Shards
from transferlens.operations.recommend.kept import Plan
from transferlens.operations.recommend.pricing import Costs, price
from transferlens.operations.recommend.recipes import ORDER, PLAIN
from transferlens.operations.sizes import Sizes

TABLES = "images"


def data_of(question: Question) -> dict[str, Data]:
    """Sizes of the data sets, by name."""
    return {task.name: task.data for task in (question.target, *question.kept)}


def plan(out: Path, question: Question, hours: float, cores: int, place: torch.device) -> Plan:
    """The plan of a folder, made and written there (with its configuration) where there is none.

    Args:
        hours: that the study may take.
        cores: how many jobs run at a time; jobs of a GPU share it.

    Raises:
        ConfigError: the folder holds another study; the network cannot be; the budget is too small.
        ArtefactError: less room on the disk than the study takes.
    """
    asked = kept.asked(question, hours)
    if there := kept.read(out, asked):
        return there
    tables = out / TABLES
    composing.write_tables(question, tables)
    whole = _checked(composing.compose(question, tables, Shards(question.models, question.trials)))
    data = data_of(question)
    prices = price(whole, data, out / RESULTS, place)
    shared, costs = _costs(Costs(whole, data, prices), question.trials)
    seconds = 3600 * hours * (cores if place.type == "cpu" else 1)
    chosen = budget.choose(question.names, costs, shared, seconds, question.trials)
    impossible = [name for name in question.names if name not in costs]  # their reasons are on the page
    smaller = question.less([*chosen.names, *impossible], chosen.trials)
    shards = Shards.by(smaller, prices.model[f"{PLAIN}+tuned"])
    configuration = composing.compose(smaller, tables, shards)
    _require_room(out, run_of(configuration), data)
    composing.write(out, configuration, question.target.name, cores)
    made = Plan(asked, chosen.names, chosen.trials, prices, chosen.seconds, chosen.left_out)
    kept.write(out, made)
    return made


def _checked(configuration: Mapping[str, Any]) -> Run:
    run = run_of(configuration)
    run.check_networks()
    run.check_data()
    return run


def _costs(costs: Costs, trials: int) -> tuple[float, dict[str, Cost]]:
    """(seconds of what recipes share, cost of each that can be had)."""
    of = {base: Cost(trial / trials, rest) for base, trial, rest in costs.by_recipe()}
    return of.pop("").rest, of


def run_in(out: Path) -> Run:
    """The run of a folder, as its configuration is now."""
    return run_of(yaml.safe_load((out / composing.CONFIG).read_text(encoding="utf-8")))


def _require_room(out: Path, run: Run, data: Mapping[str, Data]) -> None:
    """Refuse a disk with less room than the files of a study take."""
    sizes = Sizes(run, data)
    needed = sum(sizes.of(place).bytes for place in outputs_of(run).values())
    free = shutil.disk_usage(out).free
    if needed > free:
        raise ArtefactError(
            f"--out: {out} needs about {readable_bytes(needed)}, and {readable_bytes(free)} are free there; "
            "name another one, or lower --models"
        )


def described(question: Question) -> Iterator[str]:
    """What was found."""
    for title, task in (("Target", question.target), *(("To keep", task) for task in question.kept)):
        data = task.data
        stands = ", which stand for another task, as --keep names none" if task.root is None else ""
        yield (
            f"{title}: {task.name}, {data.classes} classes, {data.train:,} training and {data.val:,} test "
            f"images{stands}."
        )


def words(made: Plan, question: Question) -> Iterator[str]:
    """What is tried within the budget, and what is not."""
    yield (
        f"To be tried: {', '.join(made.names)}, and {PLAIN} from scratch; {made.trials} trials of each, and "
        f"{question.models} models that report. About {in_hours(made.seconds)} by a few steps measured here; "
        "chosen settings may train up to twice as long as written ones."
    )
    if made.trials < question.trials:
        yield f"The budget holds {made.trials} trials of each, not {question.trials}."
    for name, more in made.left_out.items():
        why = ORDER.get(name, "asked for")
        yield f"Left out: {name} ({why}): its {in_hours(more)} do not fit into the budget."
