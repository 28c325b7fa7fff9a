"""Where it shows: class maps of the examples most hurt by a source class, and how faithful such maps are."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from transferlens.core.artefacts import Artefact
from transferlens.core.blocks import Results
from transferlens.core.blocks import Section as PageSection
from transferlens.core.capability import Beside, Capability, Step, Transfer, Wildcards
from transferlens.core.errors import ConfigError
from transferlens.core.run import Run
from transferlens.core.settings import SMALL_RESNET, NetworkSettings
from transferlens.data.artefacts import INDEX
from transferlens.data.capability import betons, reported
from transferlens.heatmaps.artefacts import (
    BASELINES,
    CONTROLS,
    CURVES,
    FAITHFULNESS,
    HEATMAPS,
    MEASURES,
    RANDOMISED,
    ROLES,
)
from transferlens.heatmaps.settings import HeatmapSettings
from transferlens.training.artefacts import SOURCE_MODELS, TRANSFER_RUNS

# What a network must be asked for, as not every one allows it. Torch takes seconds to import.
_METHODS_TO_CHECK = {"LeGrad", "RefineCAM"}
_LABELS = {"target": "{target}", "recipe": "{recipe}"}
_ROW_BYTES = 82_000  # of an example in the gallery, a mean over the smoke study


def _full_source_model(run: Run, wildcards: Wildcards) -> dict[str, str]:
    """The first model of the whole source and its adaptation, with the target's val images."""
    first = {"study": "reference", "shard": run.studies["reference"].shards[0]}
    return {
        "source": SOURCE_MODELS.at(**first),
        "transfer": TRANSFER_RUNS.at(**first, **wildcards),
        **betons(wildcards["target"], "val"),
    }


def _heatmap_inputs(run: Run, wildcards: Wildcards) -> dict[str, str]:
    return {
        "influence": "results/influence/{target}/{recipe}.h5".format(**wildcards),
        "source_index": INDEX.at(dataset=run.source),
        **_full_source_model(run, wildcards),
    }


def _of_network(run: Run, wildcards: Wildcards) -> dict[str, Any]:
    return {
        "architecture": run.architecture_of("reference"),
        "input": run.input_of(wildcards["target"]),
    }


def _heatmap_settings(run: Run, wildcards: Wildcards) -> dict[str, Any]:
    drawn = run.section(HeatmapSettings).model_dump(exclude={"faithfulness"})
    return {**drawn, **_of_network(run, wildcards)}


def _faithfulness_settings(run: Run, wildcards: Wildcards) -> dict[str, Any]:
    given = run.section(HeatmapSettings)
    scored = {**given.faithfulness.model_dump(), "layer": given.layer, "seed": run.seed}
    return {**scored, **_of_network(run, wildcards)}


def _drawn(run: Run) -> list[Wildcards]:
    """Every (target, recipe), where there are influences and models of the whole source."""
    possible = run.section(HeatmapSettings) is not None and {"influence", "reference"} <= run.studies.keys()
    return [{"target": target, "recipe": recipe} for target, recipe in run.adaptations * possible]


def _scored(run: Run) -> list[Wildcards]:
    """Every (target, recipe), where maps are to be scored and there are models of the whole source."""
    given = run.section(HeatmapSettings)
    possible = given is not None and given.faithfulness is not None and "reference" in run.studies
    return [{"target": target, "recipe": recipe} for target, recipe in run.adaptations * possible]


DRAW = Step(
    name="heatmaps",
    script="draw_heatmaps.py",
    title="Draw heatmaps for {target} ({recipe})",
    outputs={
        "heatmaps": HEATMAPS,
        "gallery": Beside("heatmaps/{target}/{recipe}.png", "Heatmaps", "heatmaps.rst", _LABELS),
    },
    inputs=_heatmap_inputs,
    settings=_heatmap_settings,
    made_for=_drawn,
)
SCORE = Step(
    name="faithfulness",
    script="score_heatmaps.py",
    title="Score heatmaps of {target} ({recipe})",
    outputs={
        "faithfulness": FAITHFULNESS,
        "table": Beside("faithfulness/{target}/{recipe}.csv"),
        "picture": Beside(
            "faithfulness/{target}/{recipe}.png",
            "Heatmaps",
            "faithfulness.rst",
            {**_LABELS, "figure": "faithfulness"},
        ),
    },
    inputs=_full_source_model,
    settings=_faithfulness_settings,
    made_for=_scored,
)


def _at_most(examples: int, known: Mapping[str, int], dimension: str) -> dict[str, int]:
    """So many examples, or as many as there are."""
    return {dimension: min(examples, known.get("example", examples))}


class Heatmaps(Capability):
    """Class maps of hurt examples, and their faithfulness."""

    name = "heatmaps"
    settings = (HeatmapSettings,)
    steps = (DRAW, SCORE)

    def sizes(
        self, run: Run, made: Artefact | Beside, wildcards: Wildcards, known: Mapping[str, int]
    ) -> dict[str, int]:
        """Sizes of examples, roles and steps of the files of maps, and of the gallery."""
        given, there = run.section(HeatmapSettings), reported(run, wildcards["target"], known)
        if made is HEATMAPS:
            return {"role": len(ROLES), **_at_most(given.examples, there, "example")}
        if made is DRAW.outputs["gallery"]:
            return {"bytes": _at_most(given.examples, there, "example")["example"] * _ROW_BYTES}
        scored = given.faithfulness
        if scored is None:
            return {}
        return {
            "map_method": len(scored.methods) + len(CONTROLS),
            "measure": len(MEASURES),
            "baseline": len(BASELINES),
            "curve": len(CURVES),
            "likeness": len(RANDOMISED),
            "fraction": scored.steps + 1,
            **_at_most(scored.examples, there, "image"),
        }

    def transfers(self, run: Run) -> Iterator[Transfer]:
        """The first reference model, whose evidence is shown and scored."""
        for wildcards in _drawn(run) or _scored(run):
            yield Transfer("reference", **wildcards, rows=1, summarised=False)

    def check(self, run: Run) -> None:
        """Refuse an output without influences."""
        given = run.section(HeatmapSettings)
        if given is None:
            return
        outputs = run.settings.influence.outputs
        if _drawn(run) and given.output not in outputs:
            raise ConfigError(
                f"config: heatmaps.output is '{given.output}', which is not among influence.outputs "
                f"{outputs}; add it there"
            )

    def check_networks(self, run: Run) -> None:
        """Refuse methods and a layer that the network does not allow, where not every network would."""
        given = run.section(HeatmapSettings)
        if given is None or not (_drawn(run) or _scored(run)):
            return
        network = NetworkSettings.read(run.architecture_of("reference"))
        special = given.layer is not None or _METHODS_TO_CHECK & set(given.methods)
        if special or network.name != SMALL_RESNET:
            from transferlens.maps import class_maps

            class_maps.check(network, given.methods, given.layer)

    def sections(self, run: Run, results: Results) -> Iterable[PageSection]:
        """Maps of hurt examples and their faithfulness, target by target."""
        from transferlens.heatmaps import page

        return page.sections(run, results)


CAPABILITY = Heatmaps()
