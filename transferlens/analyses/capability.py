"""What influences show: subpopulations, failures, leakage, small targets."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from transferlens.analyses.artefacts import (
    FAILURES,
    HARMFUL,
    LEAKAGE,
    RANDOM_PAIRS,
    SMALL_TARGETS,
    SUBPOPULATIONS,
)
from transferlens.analyses.settings import FailureSettings, LeakageSettings, SubpopulationSettings
from transferlens.core.artefacts import Artefact
from transferlens.core.blocks import Section
from transferlens.core.capability import Beside, Capability, Step, Transfer, Wildcards
from transferlens.core.configuration import CapabilitySection
from transferlens.core.run import Run
from transferlens.core.studies import MASKS
from transferlens.data.artefacts import INDEX
from transferlens.data.capability import betons, source_files
from transferlens.training.artefacts import SUMMARY


def _outputs(name: str, artefact: Artefact) -> dict[str, Artefact | Beside]:
    """An analysis, its table and its picture."""
    place = artefact.path.removesuffix(".h5")
    labels = {"target": "{target}", "recipe": "{recipe}", "figure": name.replace("_", " ")}
    return {
        name: artefact,
        "table": Beside(f"{place}.csv"),
        "picture": Beside(f"{place}.png", "Analyses", f"{name}.rst", labels),
    }


def _with(*studies: str) -> Callable[[Run], list[Wildcards]]:
    """Every (target, recipe), where there are these studies."""

    def made_for(run: Run) -> list[Wildcards]:
        pairs = run.adaptations if all(study in run.studies for study in studies) else []
        return [{"target": target, "recipe": recipe} for target, recipe in pairs]

    return made_for


def _settings(section: type[CapabilitySection]) -> Callable[[Run, Wildcards], dict[str, Any]]:
    """An analysis's own settings, the output in question, and how target images enter the networks."""

    def settings(run: Run, wildcards: Wildcards) -> dict[str, Any]:
        shared = {"output": run.settings.report.output, "input": run.input_of(wildcards["target"])}
        return {**run.section(section).model_dump(), **shared}

    return settings


def _influence_and_images(run: Run, wildcards: Wildcards) -> dict[str, str]:
    return {"influence": run.file("influence", **wildcards), **betons(wildcards["target"], "val")}


def _failure_inputs(run: Run, wildcards: Wildcards) -> dict[str, str]:
    """With the models that lack a single class, where there are any."""
    files = _influence_and_images(run, wildcards)
    files["reference"] = SUMMARY.at(study="reference", **wildcards)
    without = "counterfactual/{target}/{recipe}".format(**wildcards)
    if without in run.studies:
        files["removals"] = SUMMARY.at(study=without, **wildcards)
    return files


def _leakage_inputs(run: Run, wildcards: Wildcards) -> dict[str, str]:
    return {
        "influence": run.file("example influence", **wildcards),
        "masks": MASKS.at(study="examples", shard="0000"),
        **source_files(run, "train"),
        **betons(wildcards["target"], "val"),
    }


def _leakage_settings(run: Run, wildcards: Wildcards) -> dict[str, Any]:
    return {**_settings(LeakageSettings)(run, wildcards), "source_input": run.input_of(run.source)}


def sized_names(run: Run, target: str) -> list[str]:
    """A target and its parts with fewer training images."""
    return [target, *(name for name, (whole, _) in run.sizes.items() if whole == target)]


def _size_inputs(run: Run, wildcards: Wildcards) -> dict[str, list[str]]:
    names, recipe = sized_names(run, wildcards["target"]), wildcards["recipe"]
    return {
        "influences": [run.file("influence", target=name, recipe=recipe) for name in names],
        "references": [SUMMARY.at(study="reference", target=name, recipe=recipe) for name in names],
        "indexes": [INDEX.at(dataset=name) for name in names],
    }


def _sized(run: Run) -> list[Wildcards]:
    every = _with("influence", "reference")(run)
    return [w for w in every if run.targets[w["target"]].sizes]


FIND_SUBPOPULATIONS = Step(
    name="subpopulations",
    script="find_subpopulations.py",
    title="Find subpopulations of {target} ({recipe})",
    outputs={
        **_outputs("subpopulations", SUBPOPULATIONS),
        "finer": Beside("analyses/subpopulations/{target}/{recipe}-finer.csv"),
    },
    inputs=_influence_and_images,
    settings=_settings(SubpopulationSettings),
    made_for=_with("influence"),
)
EXPLAIN_FAILURES = Step(
    name="failures",
    script="explain_failures.py",
    title="Explain failures on {target} ({recipe})",
    outputs=_outputs("failures", FAILURES),
    inputs=_failure_inputs,
    settings=_settings(FailureSettings),
    made_for=_with("influence", "reference"),
)
FIND_LEAKAGE = Step(
    name="leakage",
    script="find_leakage.py",
    title="Find leaking and misleading source images for {target} ({recipe})",
    outputs=_outputs("leakage", LEAKAGE),
    inputs=_leakage_inputs,
    settings=_leakage_settings,
    made_for=_with("examples"),
)
COMPARE_SIZES = Step(
    name="small_targets",
    script="compare_sizes.py",
    title="Compare sizes of {target} ({recipe})",
    outputs=_outputs("small_targets", SMALL_TARGETS),
    inputs=_size_inputs,
    settings=lambda run, w: {
        "targets": sized_names(run, w["target"]),
        "output": run.settings.report.output,
    },
    made_for=_sized,
)


class Analyses(Capability):
    """What influences show."""

    name = "analyses"
    settings = (SubpopulationSettings, FailureSettings, LeakageSettings)
    steps = (FIND_SUBPOPULATIONS, EXPLAIN_FAILURES, FIND_LEAKAGE, COMPARE_SIZES)

    def sizes(
        self, run: Run, made: Artefact | Beside, wildcards: Wildcards, known: Mapping[str, int]
    ) -> dict[str, int]:
        """Sizes of pairs, examples and ranks of the analyses' files."""
        if made is SUBPOPULATIONS:
            given = run.section(SubpopulationSettings)
            # Finer classes are few, and known only when the images are there.
            return {"pair": given.pairs, "end": 2, "rank": given.examples, "finer_class": 0, "fold": 2}
        if made is FAILURES:
            return {"example": run.section(FailureSettings).examples, "rank": HARMFUL}
        if made is LEAKAGE:
            return {"pair": 2 * run.section(LeakageSettings).pairs, "random_pair": RANDOM_PAIRS}
        return {"target": len(sized_names(run, wildcards["target"]))} if made is SMALL_TARGETS else {}

    def transfers(self, run: Run) -> Iterator[Transfer]:
        """The same source models, adapted to fewer images of a target."""
        for study in ("reference", "influence"):
            if study in run.studies:
                for target, recipe in run.sized_adaptations:
                    yield Transfer(study, target, recipe)

    def sections(self, run: Run, results: Any) -> Iterator[Section]:
        """What the analyses show, target by target."""
        from transferlens.analyses import page

        return page.sections(run, results)


CAPABILITY = Analyses()
