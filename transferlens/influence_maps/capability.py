"""Where in the image influences act."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from transferlens.core.artefacts import Artefact
from transferlens.core.blocks import Results
from transferlens.core.blocks import Section as PageSection
from transferlens.core.capability import Beside, Capability, Step, Transfer, Wildcards
from transferlens.core.errors import ConfigError
from transferlens.core.run import Run
from transferlens.data.capability import betons, reported
from transferlens.influence_maps.artefacts import CHOICES, INFLUENCE_MAPS, PERMUTATIONS
from transferlens.influence_maps.settings import InfluenceMapSettings
from transferlens.models.known import require_evidence
from transferlens.training.artefacts import SUMMARY
from transferlens.training.capability import transfer_paths

# A row (a target class) of the picture takes, on the smoke study.
_PICTURE_ROW_BYTES = 43_000
_KEEPS = "transferlens.training.kept_maps:ProbeMaps"


def _inputs(run: Run, wildcards: Wildcards) -> dict[str, Any]:
    return {
        "shards": transfer_paths(run, "influence", **wildcards),
        "summary": SUMMARY.at(study="influence", **wildcards),
        "influence": "results/influence/{target}/{recipe}.h5".format(**wildcards),
        **betons(wildcards["target"], "val"),
    }


def _settings(run: Run, wildcards: Wildcards) -> dict[str, Any]:
    return {
        "estimator": run.settings.influence.estimator,
        "output": run.settings.report.output,
        "shown": run.section(InfluenceMapSettings).shown,
        "input": run.input_of(wildcards["target"]),
    }


def _made_for(run: Run) -> list[Wildcards]:
    """Every (target, recipe), where there are influences."""
    wanted = run.section(InfluenceMapSettings) is not None and "influence" in run.studies
    return [{"target": target, "recipe": recipe} for target, recipe in run.adaptations * wanted]


ESTIMATE = Step(
    name="influence_maps",
    script="estimate_influence_maps.py",
    title="Estimate influence maps on {target} ({recipe})",
    outputs={
        "maps": INFLUENCE_MAPS,
        "picture": Beside(
            "influence_maps/{target}/{recipe}.png",
            "Heatmaps",
            "influence_maps.rst",
            {"target": "{target}", "recipe": "{recipe}", "figure": "influence maps"},
        ),
    },
    inputs=_inputs,
    settings=_settings,
    made_for=_made_for,
)


class InfluenceMaps(Capability):
    """Influences cell by cell."""

    name = "influence_maps"
    settings = (InfluenceMapSettings,)
    steps = (ESTIMATE,)

    def sizes(
        self, run: Run, made: Artefact | Beside, wildcards: Wildcards, known: Mapping[str, int]
    ) -> dict[str, int]:
        """Sizes of the kept maps and of the drawn rows."""
        given = run.section(InfluenceMapSettings)
        if isinstance(made, Beside):
            return {"bytes": given.shown * _PICTURE_ROW_BYTES}
        there = reported(run, wildcards["target"], known).get("example", given.examples)
        examples, units = min(given.examples, there), known.get("unit")
        shown = {"target_class": min(examples, known["target_class"])} if "target_class" in known else {}
        source = {} if units is None else {"source_class": units}
        return {"example": examples, "permutation": PERMUTATIONS, "choice": len(CHOICES), **shown, **source}

    def transfers(self, run: Run) -> Iterator[Transfer]:
        """The influence study, with maps of its adapted models kept."""
        for wildcards in _made_for(run):
            examples = run.section(InfluenceMapSettings).examples
            yield Transfer("influence", **wildcards, keeps={_KEEPS: {"examples": examples, "seed": run.seed}})

    def check(self, run: Run) -> None:
        """Refuse estimators by which maps do not add up to influences."""
        if run.section(InfluenceMapSettings) is None:
            return
        if run.settings.influence.estimator == "lasso":
            raise ConfigError(
                "config: influence_maps need an estimator that is linear in the outputs, so that maps add up "
                "to the influence on the logit; influence.estimator 'lasso' is not: use least_squares, "
                "difference_of_means or ridge"
            )

    def check_networks(self, run: Run) -> None:
        """Refuse networks whose maps do not add up to logits."""
        if _made_for(run):
            require_evidence(run, "influence", "influence_maps", "set influence_maps: null")

    def sections(self, run: Run, results: Results) -> Iterable[PageSection]:
        """Where source classes change the evidence, target by target."""
        from transferlens.influence_maps import page

        return page.sections(run, results)


CAPABILITY = InfluenceMaps()
