"""What the intervals of a study are made of, and how many repeats would halve them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from transferlens.core.artefacts import Artefact
from transferlens.core.capability import Advice, Beside, Capability, Step, Transfer, Wildcards
from transferlens.core.run import Run
from transferlens.training.artefacts import SUMMARY
from transferlens.training.capability import ReferenceStudy
from transferlens.variance.artefacts import COMPONENTS, OUTPUTS, QUANTITIES, VARIANCE
from transferlens.variance.settings import VarianceSettings


def reseeded(run: Run) -> dict[str, dict[str, int]]:
    """Of every recipe in use those that transfer again (users' names have no '+'), each with its seed."""
    given = run.section(VarianceSettings)
    if given is None or run.section(ReferenceStudy) is None:
        return {}
    endings = {"+reseeded" + (str(i) if i > 1 else ""): i for i in range(1, given.retransfers + 1)}
    used = dict.fromkeys(recipe for _, recipe in run.adaptations if recipe in run.settings.recipes)
    return {base: {base + ending: i for ending, i in endings.items()} for base in used}


def _adapted(run: Run) -> list[tuple[str, str]]:
    """Every (target, recipe) that is transferred again."""
    return run.adaptations if reseeded(run) else []


def _inputs(run: Run, wildcards: Wildcards) -> dict[str, list[str]]:
    target, recipe = wildcards["target"], wildcards["recipe"]
    recipes = [recipe, *reseeded(run)[recipe]]
    return {"transfers": [SUMMARY.at(study="reference", target=target, recipe=name) for name in recipes]}


ESTIMATE = Step(
    name="variance",
    script="estimate_variance.py",
    title="Estimate variance components on {target} ({recipe})",
    outputs={"variance": VARIANCE},
    inputs=_inputs,
    made_for=lambda run: [{"target": target, "recipe": recipe} for target, recipe in _adapted(run)],
)


class Variance(Capability):
    """What intervals are made of."""

    name = "variance"
    settings = (VarianceSettings,)
    steps = (ESTIMATE,)

    def recipes(self, run: Run) -> Mapping[str, Mapping[str, Any]]:
        """Each recipe in use, with other seeds."""
        return {
            name: {**run.settings.recipes[base], "reseed": number}
            for base, again in reseeded(run).items()
            for name, number in again.items()
        }

    def transfers(self, run: Run) -> Iterator[Transfer]:
        """The reference models once more."""
        for target, recipe in _adapted(run):
            for name in (recipe, *reseeded(run)[recipe]):
                yield Transfer("reference", target, name)

    def sizes(
        self, run: Run, made: Artefact | Beside, wildcards: Wildcards, known: Mapping[str, int]
    ) -> dict[str, int]:
        """Sizes of what is told of every score."""
        return {"quantity": len(QUANTITIES), "output": len(OUTPUTS), "component": len(COMPONENTS)}

    def advice(self, run: Run, results: Path) -> Iterator[Advice]:
        """How many repeats would halve the intervals, from components that are known."""
        from transferlens.variance import advice  # xarray takes its time

        return advice.of_run(run, results, _adapted(run))

    def sections(self, run: Run, results: Any) -> Iterator[Any]:
        """What the intervals are made of, target by target."""
        from transferlens.variance import page

        return page.sections(run, results)


CAPABILITY = Variance()
