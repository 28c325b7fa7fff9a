"""What the jobs of a recommending study take on this machine, from a few real steps of its own network."""

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch

from transferlens.comparison import scope
from transferlens.comparison.tuning.steps import reporting_rows
from transferlens.core.capability import Step, Wildcards
from transferlens.core.run import SCRIPTS, Run
from transferlens.core.settings import InputSettings, NetworkSettings
from transferlens.operations import rate
from transferlens.operations.datasets import Data
from transferlens.operations.doctor import outputs_of


class Job(NamedTuple):
    """A job of the study.

    Attributes:
        outputs: its files, from the study's folder.
        timing: where its time is kept when it is done.
    """

    step: str
    wildcards: Wildcards
    outputs: list[str]
    timing: str

    @property
    def base(self) -> str:
        """The recipe that it is of; '' for what all share."""
        name = self.wildcards.get("recipe", "")
        return name.partition("+")[0] if "+" in name else ""


def jobs_of(run: Run) -> list[Job]:
    """The jobs that the page needs, whether they are done or not."""
    makers, needed = outputs_of(run), {}
    waiting = [path for path, place in makers.items() if place.step.name == "report"]
    while waiting:
        place = makers.get(waiting.pop())
        key = place and (place.step.name, *place.wildcards.items())
        if key is None or key in needed:
            continue
        needed[key] = _job(run, place.step, place.wildcards)
        for paths in run.inputs(place.step.name, place.wildcards).values():
            waiting += [paths] if isinstance(paths, str) else paths
    return list(needed.values())


def _job(run: Run, step: Step, wildcards: Wildcards) -> Job:
    outputs = [made.at(**wildcards) for made in step.outputs.values()]
    return Job(step.name, wildcards, outputs, run.benchmark_of(step.name).format(**wildcards))


@dataclass(frozen=True)
class Prices:
    """Seconds of one core (or of the GPU).

    Attributes:
        start: of a job that imports torch, before it does anything.
        image: to pass an image through the network.
        model: to adapt a model on all training images and evaluate it, by contestant (or recipe).
        trial: of one trial, by contestant.
    """

    start: float
    image: float
    model: Mapping[str, float]
    trial: Mapping[str, float]


def price(run: Run, data: Mapping[str, Data], results: Path, place: torch.device) -> Prices:
    """Measure: one start, and a few steps of each recipe (`rate.hours`).

    Args:
        results: where finished jobs are, if there are any.
    """
    given, model, trial = scope.asked(run), {}, {}
    for name, work in rate.hours(run, data, results, place).items():
        kind, _, recipe = name.partition(", ")
        if work.models:
            {"transfers": model, "trials": trial}.get(kind, {})[recipe] = work.seconds / work.models
    network = NetworkSettings.read(run.architecture_of(scope.population(run)))
    enter = InputSettings.read(run.input_of(run.source, scope.population(run)))
    passing = rate.Trial(network, enter, place).evaluation()
    return Prices(_start(), passing, model, {name: s * given.choosing for name, s in trial.items()})


def _start() -> float:
    """Seconds until a script that trains has imported what it needs."""
    began = time.perf_counter()
    subprocess.run([sys.executable, SCRIPTS / "transfer.py", "--help"], capture_output=True, check=False)
    return time.perf_counter() - began


class Costs:
    """Seconds of the jobs of a run.

    Args:
        data: of every data set of the run.
    """

    def __init__(self, run: Run, data: Mapping[str, Data], prices: Prices):
        self.run, self.data, self.prices = run, data, prices
        self.jobs = jobs_of(run)

    def seconds(self, job: Job) -> float:
        """Of a job: its start and, where it adapts models or passes images through them, that."""
        work = {
            "load_pretrained": self._loading,
            "transfer": self._transfer,
            "trials": self._trials,
            "probes_before": self._probing,
            "probes_after": self._probing,
            "measures": self._measuring,
        }.get(job.step, lambda wildcards: 0.0)
        return self.prices.start + work(job.wildcards)

    def by_recipe(self) -> Iterator[tuple[str, float, float]]:
        """(recipe, seconds of all its trials, of all else of it); '' for what all share."""
        for base in dict.fromkeys(job.base for job in self.jobs):
            own = [(job.step == "trials", self.seconds(job)) for job in self.jobs if job.base == base]
            yield base, sum(s for trial, s in own if trial), sum(s for trial, s in own if not trial)

    def _loading(self, wildcards: Wildcards) -> float:
        rows = self.run.studies[wildcards["study"]].rows_of(wildcards["shard"])
        source = self.data[self.run.source]
        return len(rows) * (source.train + source.val) * self.prices.image

    def _transfer(self, wildcards: Wildcards) -> float:
        rows = self.run.studies[wildcards["study"]].rows_of(wildcards["shard"])
        return len(rows) * _of(self.prices.model, wildcards)

    def _trials(self, wildcards: Wildcards) -> float:
        given, part = scope.asked(self.run), int(wildcards["part"])
        trials = min(given.shard_size, given.trials - part * given.shard_size)
        return trials * _of(self.prices.trial, wildcards)

    def _probing(self, wildcards: Wildcards) -> float:
        probed = self.data[wildcards["dataset"]]
        return self._models * (probed.train + probed.val) * self.prices.image

    def _measuring(self, wildcards: Wildcards) -> float:
        images = self.data[wildcards["target"]].val + self.data[self.run.source].val
        return self._models * images * self.prices.image

    @property
    def _models(self) -> int:
        return len(reporting_rows(self.run, False))


def _of(known: Mapping[str, float], wildcards: Wildcards) -> float:
    """Seconds of a recipe; of one that was added to the configuration by hand, the most that are known."""
    return known.get(wildcards["recipe"], max(known.values()))
