"""Run the workflow with more and more models, look, and stop when it is enough."""

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from transferlens.core.errors import TransferlensError
from transferlens.core.statistics import Interval
from transferlens.influence import stopping
from transferlens.influence.stopping import RELIABILITY, Seen
from transferlens.operations import driven
from transferlens.operations.enough import record
from transferlens.operations.enough.asking import STUDY, Question
from transferlens.operations.enough.record import Look
from transferlens.training.artefacts import SUMMARY

Say = Callable[[str], None]


@dataclass(frozen=True)
class Place:
    """Where the workflow runs, and how.

    Attributes:
        project: the folder with the Snakefile.
        words: what Snakemake is told beside what to make and with how many models.
        table: the table of looks.
        log: where Snakemake's words go.
    """

    project: Path
    words: Sequence[str]
    table: Path
    log: Path

    def command(self, made: str, models: int) -> list[str]:
        """Snakemake for a file of the study with so many models."""
        more = f"studies={{{STUDY}: {{models: {models}}}}}"
        return [sys.executable, "-m", "snakemake", made, *self.words, "--config", more]


def drive(place: Place, question: Question, say: Say) -> bool:
    """Look after every batch of models until all is reached; returns whether it was.

    The present folder is the one with the results.

    Raises:
        TransferlensError: the workflow fails; or the table of looks is of another question or other models.
    """
    looks = record.read(place.table, question)
    _say_plan(question, say)
    for models in question.planned[max(len(looks) - 1, 0) :]:
        seconds = _train(place, question, models, say)
        seen = stopping.read_seen(Path(_summary(question)), question.output)
        for look in looks:
            record.require_same(place.table, look.models, look.found, _found(question, seen, look.models))
        if not looks or looks[-1].models < models:
            looks.append(Look(models, _found(question, seen, models), seconds))
        record.write(place.table, question, looks)
        reached = _say_look(question, looks[-1], say)
        if reached:
            break
    _say_end(place, question, models, reached, say)
    return reached


def _summary(question: Question) -> str:
    return SUMMARY.at(study=STUDY, target=question.target, recipe=question.recipe)


def _found(question: Question, seen: Seen, models: int) -> list[Interval]:
    asked = (question.quantities, question.estimator, question.confidence)
    return stopping.intervals(seen, models, *asked)


def _train(place: Place, question: Question, models: int, say: Say) -> float:
    """Run the workflow until the study has so many models; returns the seconds that took.

    Raises:
        TransferlensError: it failed; its own line, and where the log is.
    """
    say(f"To {models} models (transferlens watch tells how far it is) ...")
    started, command = time.monotonic(), place.command(_summary(question), models)
    place.log.parent.mkdir(parents=True, exist_ok=True)
    try:
        with place.log.open("w", encoding="utf-8") as log, driven.started(command, log, place.project) as run:
            run.wait()
    except (KeyboardInterrupt, SystemExit):
        say("Stopped. The same command goes on from what is finished.")
        raise
    if run.returncode:
        unlock = " ".join(["snakemake", "--unlock", *place.words])
        raise TransferlensError(driven.failure(place.log, Path.cwd(), unlock))
    return time.monotonic() - started


def _say_plan(question: Question, say: Say) -> None:
    say(f"Influences on {question.target} ({question.recipe}, {question.output}), by {question.estimator}.")
    say(
        f"Looks at {', '.join(map(str, question.planned))} models. An interval has a confidence of "
        f"{100 * question.confidence:.4g} %, so that all of them, of all looks, hold at once with 95 %."
    )


def _say_look(question: Question, look: Look, say: Say) -> bool:
    """Every interval with what is wanted of it; returns whether all is reached."""
    say(f"{look.models} models:")
    reached = []
    for quantity, found in zip(question.quantities, look.found, strict=True):
        reached.append(question.wanted.is_reached(quantity, found))
        numbers = f"{found.value:.3g} ({found.low:.3g} to {found.high:.3g})"
        if not found.low < found.high:
            numbers = "not known yet" if quantity == RELIABILITY else "the same in all models so far"
        verdict = "reached" if reached[-1] else "not reached"
        say(f"  {quantity}: {numbers}; wanted {question.wanted.words(quantity)}: {verdict}")
    return all(reached)


def _say_end(place: Place, question: Question, models: int, reached: bool, say: Say) -> None:
    enough = "Enough with {} models: all is reached." if reached else "Not enough with {} models, the most."
    say(enough.format(models))
    if any(quantity != RELIABILITY for quantity in question.quantities):
        say(
            "This holds of influences that were named before anything was seen of these models: those that "
            "looked large on their page were chosen by the same chance."
        )
    say(f"Every look: {os.path.relpath(place.table)}")
    say(
        "To have all of the study's results with these models, write `models: "
        f"{models}` under studies.influence in your configuration, and run snakemake again."
    )
