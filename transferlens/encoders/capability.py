"""Encoders: given networks with given weights, each a study, as candidate sources of every target."""

from collections.abc import Iterator, Mapping
from typing import Any

from transferlens.core.artefacts import Artefact
from transferlens.core.blocks import Results
from transferlens.core.blocks import Section as PageSection
from transferlens.core.capability import Beside, Capability, Step, Transfer, Wildcards
from transferlens.core.errors import ConfigError
from transferlens.core.run import Run
from transferlens.core.settings import InputSettings, NetworkSettings
from transferlens.core.studies import Study
from transferlens.encoders.artefacts import CANDIDATES
from transferlens.models import known as networks
from transferlens.training.artefacts import SUMMARY
from transferlens.training.capability import LOADED, SHARD_SIZE
from transferlens.training.recipes.kinds import caches_features

_FOLDER = "encoders/"
# Studies of models that see all of a source, each beside its model from scratch.
_OWN = ("reference", "pretrained")


def input_of(run: Run, encoder: str) -> InputSettings:
    """How images enter an encoder: as it says, else as its published weights expect, else as in the run."""
    given = run.settings.encoders[encoder]
    expected = networks.expected_input(given.architecture, given.weights)
    known = {"resolution": expected.resolution, **normalisation(expected)} if expected else {}
    return run.settings.input.model_copy(update={**known, **given.input.model_dump(exclude_none=True)})


def normalisation(of: Any) -> dict[str, list[float]]:
    """Means and standard deviations of the channels, of whatever has them."""
    return {"mean": list(of.mean), "std": list(of.std)}


def candidates(run: Run) -> list[str]:
    """The studies that are compared, the run's own first; none where there are no encoders."""
    encoders = [_FOLDER + name for name in run.settings.encoders]
    return [*(study for study in _OWN if study in run.studies), *encoders] if encoders else []


def _described(run: Run, study: str, target: str) -> dict[str, Any]:
    """What a candidate is, and how images of a target enter it."""
    images, loads = InputSettings.read(run.input_of(target, study)), run.studies[study].loads
    return {
        "study": study,
        "network": NetworkSettings.read(run.architecture_of(study)).described(),
        "weights": loads["weights"] if loads else "",
        "resolution": images.resolution,
        "crop_ratio": images.crop_ratio,
        **normalisation(images),
    }


COMPARE = Step(
    name="candidates",
    script="compare_encoders.py",
    title="Compare candidate sources of {target} ({recipe})",
    outputs={"candidates": CANDIDATES, "table": Beside("candidates/{target}/{recipe}.csv")},
    inputs=lambda run, w: {"summaries": [SUMMARY.at(study=study, **w) for study in candidates(run)]},
    settings=lambda run, w: {
        "candidates": [_described(run, study, w["target"]) for study in candidates(run)]
    },
    made_for=lambda run: [
        {"target": target, "recipe": recipe} for target, recipe in run.adaptations * bool(candidates(run))
    ],
)


class Encoders(Capability):
    """Candidate sources beside the models that a run trains."""

    name = "encoders"
    steps = (COMPARE,)

    def studies(self, run: Run) -> Iterator[Study]:
        """A study for each encoder: transfers of its weights, and its network from scratch."""
        for name, given in run.settings.encoders.items():
            yield Study(
                name=_FOLDER + name,
                kind="transferlens.core.studies:Pretrained",
                rows=2 * given.repeats,
                shard_size=SHARD_SIZE,
                masks={"units": "classes"},
                architecture=given.architecture.model_dump(),
                input=input_of(run, name).model_dump(),
                loads={**given.model_dump(include=LOADED), "named": f"encoders.{name}"},
                keeps_weights=True,
                seen=0.5,  # the whole source and nothing by turns
            )

    def transfers(self, run: Run) -> Iterator[Transfer]:
        """All candidates to every target by each of its recipes."""
        for target, recipe in run.adaptations:
            for study in candidates(run):
                yield Transfer(study, target, recipe)

    def sizes(
        self, run: Run, made: Artefact | Beside, wildcards: Wildcards, known: Mapping[str, int]
    ) -> dict[str, int]:
        """How many candidates there are."""
        return {"candidate": len(candidates(run))}

    def check(self, run: Run) -> None:
        """Refuse progressive resizing, which is in pixels, of images of other sizes than the run's."""
        for name in run.settings.encoders:
            side = input_of(run, name).resolution
            if side == run.settings.input.resolution:
                continue
            for target, recipe in run.adaptations:
                given = run.recipe_section(run.recipe(target, recipe), "")
                if given.training.resize and not caches_features(given):
                    raise ConfigError(
                        f"config: encoders.{name} takes images of {side} px and the run of "
                        f"{run.settings.input.resolution}, but recipe '{recipe}' resizes them from "
                        f"{given.training.resize.low} to {given.training.resize.high}; set its "
                        "training.resize to null, or "
                        f"encoders.{name}.input.resolution to {run.settings.input.resolution}"
                    )

    def sections(self, run: Run, results: Results) -> Iterator[PageSection]:
        """The candidates of every target, recipe by recipe."""
        from transferlens.encoders import page

        return page.sections(run, results)


CAPABILITY = Encoders()
