"""What adapted models still recognise of their source classes, where that distracts them, and what helps."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from transferlens.core.artefacts import Artefact
from transferlens.core.capability import Beside, Capability, Transfer, Wildcards
from transferlens.core.errors import ConfigError
from transferlens.core.run import Run
from transferlens.core.studies import Study
from transferlens.data.artefacts import HALVES
from transferlens.data.capability import described, source_files
from transferlens.memories import scope
from transferlens.memories.agreement.artefacts import MEASURES as AGREEMENT_MEASURES
from transferlens.memories.agreement.artefacts import QUADRANTS
from transferlens.memories.artefacts import CONTROLS, INTERFERENCE, MODELS, PROBES
from transferlens.memories.images.artefacts import PANELS, PREDICTORS, ROLES
from transferlens.memories.remedies.artefacts import MEASURES as REMEDY_MEASURES
from transferlens.memories.remedies.artefacts import PAIRS
from transferlens.memories.retraining.left_out import ALL, check_count
from transferlens.memories.seen.artefacts import GROUPS, SEEN
from transferlens.memories.seen.artefacts import MEASURES as SEEN_MEASURES
from transferlens.memories.settings import MemorySettings
from transferlens.memories.steps import (
    COMPARE,
    COMPARE_REMEDIES,
    COMPARE_SEEN,
    DRAW_PANELS,
    ESTIMATE,
    GALLERY,
    PROBE,
    PROPOSE_OVERLAP,
    RANK,
    TRY_COMPOSITES,
    overlap_table,
)
from transferlens.models.known import require_evidence
from transferlens.training.capability import PretrainedStudy, ReferenceStudy

# Numbers of worst classes that agreement is told at.
_KS = 4
# Bytes of numbers beside a map in the gallery.
_ROW_BYTES = 40


def _sizes(run: Run, made: Artefact, recipe: str, known: Mapping[str, int]) -> dict[str, int]:
    """Sizes of dimensions; what is left out for want of usable images counts, too."""
    given, choosing = run.section(MemorySettings), scope.choosing(run, recipe)
    tried = min(given.strongest + given.random, known.get("source_class", given.strongest + given.random))
    sizes = {
        "model": max(scope.models(run), choosing),
        "role": len(ROLES) if made is PANELS else len(MODELS),
        "control": len(CONTROLS),
        "tried_class": tried,
        "row": given.examples,
        "predictor": len(PREDICTORS),
        "measure": len(SEEN_MEASURES if made is SEEN else AGREEMENT_MEASURES),
        "group": len(GROUPS),
        "left_out": _classes_left_out(run, given) if given.without else 0,
        "quadrant_name": len(QUADRANTS),
        "pair": len(AGREEMENT_MEASURES) * (len(AGREEMENT_MEASURES) - 1) // 2,
        "k": _KS,
        "comparison": len(given.remedies) * len(REMEDY_MEASURES) * len(PAIRS),
    }
    if "target_class" in known:
        halves = len(HALVES) if choosing else 1
        sizes["composite"] = halves * tried * known["target_class"] * given.composites.per_cell
    return sizes


def _gallery_bytes(run: Run, known: Mapping[str, int]) -> dict[str, int]:
    """The gallery holds images as text, and maps in eight bits, as text, too."""
    cells = known.get("map_y", 0) * known.get("map_x", 0)
    each = known["y"] * known["x"] * known["channel"] + len(ROLES) * (cells + _ROW_BYTES)
    return {"bytes": run.section(MemorySettings).examples * each * 4 // 3}


class Memories(Capability):
    """Memories: what is kept of the source, what it does, on which images, and what helps."""

    name = "memories"
    settings = (MemorySettings,)
    steps = (
        PROBE,
        TRY_COMPOSITES,
        ESTIMATE,
        RANK,
        DRAW_PANELS,
        COMPARE_SEEN,
        COMPARE,
        COMPARE_REMEDIES,
        GALLERY,
        PROPOSE_OVERLAP,
    )

    def recipes(self, run: Run) -> Mapping[str, Mapping[str, Any]]:
        """Each recipe that is studied with each remedy."""
        given, known = run.section(MemorySettings), run.settings.recipes
        if given is None:
            return {}
        return {
            scope.remedied(base, remedy): {**known[base], "kind": remedy, **given.remedy.model_dump()}
            for base in given.recipes
            for remedy in given.remedies
            if base in known
        }

    def recipe_inputs(self, run: Run, target: str, recipe: str) -> Mapping[str, str]:
        """What a remedy is made of: the source's training images, and what distracts without the remedy."""
        base = scope.base_recipes(run).get(recipe)
        if base is None:
            return {}
        return {
            **source_files(run, "train"),
            "interference": INTERFERENCE.at(target=target, recipe=base),
            "probes": PROBES.at(target=target, recipe=base),
        }

    def recipe_settings(self, run: Run, target: str, recipe: str) -> Mapping[str, Any]:
        """What it is made of, and how."""
        if recipe not in scope.base_recipes(run):
            return {}
        material = {
            "maker": "transferlens.memories.retraining.material:of_distracting_classes",
            "source_input": run.input_of(run.source),
            **run.section(MemorySettings).composites.model_dump(include={"side", "placement"}),
        }
        return {"material": material}

    def sizes(
        self, run: Run, made: Artefact | Beside, wildcards: Wildcards, known: Mapping[str, int]
    ) -> dict[str, int]:
        """Sizes of what is tried, ranked, compared and shown."""
        if isinstance(made, Beside):
            return _gallery_bytes(run, known) if made.path.endswith(".html") else {}
        return _sizes(run, made, wildcards["recipe"], known)

    def studies(self, run: Run) -> Iterator[Study]:
        """The full source without one class: each of those that distract most and as many others, or all."""
        given, reference = run.section(MemorySettings), run.section(ReferenceStudy)
        for target, recipe in _left_out(run):
            yield Study(
                name=scope.without_study(target, recipe),
                kind="transferlens.memories.retraining.left_out:WithoutOne",
                rows=_classes_left_out(run, given) * given.repeats,
                shard_size=reference.shard_size,
                masks={"without": given.without, "units": "classes"},
                evidence=_evidence(given, target, recipe),
                keeps_weights=True,
                keeps_networks=True,
                seen_units=-1,
            )

    def transfers(self, run: Run) -> Iterator[Transfer]:
        """The pairs of models that are compared, by every recipe and remedy, and those without a class."""
        for target, recipe in scope.with_remedies(run):
            pairs = 2 * scope.pairs(run, recipe)
            yield Transfer(scope.population(run), target, recipe, rows=pairs, summarised=False)
        for target, recipe in _left_out(run):
            yield Transfer("reference", target, recipe)
            yield Transfer(scope.without_study(target, recipe), target, recipe)

    def check(self, run: Run) -> None:
        """Refuse models, recipes and cells of composites that cannot give an estimate."""
        if given := run.section(MemorySettings):
            _check_models(run, given)
            _check_recipes(run, given)
            smallest, per_cell = given.smallest_cell, given.composites.per_cell
            if smallest > per_cell:
                raise ConfigError(
                    f"config: memories.smallest_cell is {smallest}, but a pair of classes gets {per_cell} "
                    "composites (memories.composites.per_cell): nothing would be estimated; lower the first "
                    "or raise the second"
                )

    def check_networks(self, run: Run) -> None:
        """Refuse networks whose evidence cannot be held inside of an object."""
        given = run.section(MemorySettings)
        if given and "inside" in given.remedies:
            require_evidence(
                run, None, "memories.remedies: 'inside'", "leave it out, or choose another architecture"
            )

    def check_data(self, run: Run) -> None:
        """Refuse more classes to leave out than there are, and tables of overlapping classes with faults."""
        from transferlens.memories import overlap  # pandas takes its time

        given = run.section(MemorySettings)
        if given is None:
            return
        names = described(run, run.source)[0]
        check_count(given.without, len(names))
        for target in run.targets:
            if table := overlap_table(run, {"target": target}):
                overlap.read_table(Path(table["overlap"]), names, described(run, target)[0])

    def sections(self, run: Run, results: Any) -> Iterator[Any]:
        """What is kept, what it does, on which images, and what helps, target by target."""
        from transferlens.memories import page

        return page.sections(run, results)


def _left_out(run: Run) -> list[tuple[str, str]]:
    """Where models without one class are compared with others, if there are any."""
    return scope.tested(run) if run.section(ReferenceStudy) else []


def _classes_left_out(run: Run, given: MemorySettings) -> int:
    """How many source classes are left out, each by itself."""
    return len(described(run, run.source)[0]) if given.without == ALL else 2 * given.without


def _evidence(given: MemorySettings, target: str, recipe: str) -> dict[str, str]:
    """What says which classes are left out; nothing where all are."""
    if given.without == ALL:
        return {}
    artefacts = {"interference": INTERFERENCE, "probes": PROBES}
    return {name: artefact.at(target=target, recipe=recipe) for name, artefact in artefacts.items()}


def _check_models(run: Run, given: MemorySettings) -> None:
    """Refuse pairs of models of which one is not trained."""
    study = run.section(PretrainedStudy if given.source == "pretrained" else ReferenceStudy)
    if given.source == "pretrained" and study is None:
        raise ConfigError(
            "config: memories.source is 'pretrained', but there is no such model; name its weights in "
            "studies.pretrained.weights"
        )
    if study is None:
        raise ConfigError(
            "config: memories are told from what models from scratch do, but studies.reference is null; set "
            "it, or set memories: null"
        )
    if given.source == "pretrained" and given.without:
        raise ConfigError(
            "config: memories.without leaves classes out of the source, but memories.source is 'pretrained', "
            "which is not trained here; set memories.without: 0 or memories.source: trained"
        )
    if given.models + given.choosing > study.repeats:
        raise ConfigError(
            f"config: memories.models is {given.models} and memories.choosing {given.choosing}, pairs of "
            f"different models, but {study.key}.repeats is {study.repeats}; raise the latter to "
            f"{given.models + given.choosing}, or ask for fewer"
        )
    if given.without and given.repeats > given.models:
        raise ConfigError(
            f"config: memories.repeats is {given.repeats}, but models without a class share their seeds with "
            f"the pairs that report and memories.models is {given.models} (later ones choose the classes); "
            "raise the latter"
        )


def _check_recipes(run: Run, given: MemorySettings) -> None:
    """Refuse recipes that are not there, and remedies that cannot be made of them."""
    for name in given.recipes:
        run.require_recipe(name, "memories.recipes")
        if given.remedies and run.settings.recipes[name].get("kind", "fixed") != "full":
            raise ConfigError(
                f"config: memories.remedies: recipe '{name}' keeps the source's features; remedies "
                "change them: name recipes of kind `full` in memories.recipes"
            )
    for target, name in scope.with_remedies(run):
        run.recipe_section(run.recipe(target, name), "").training.check(f"targets.{target}.{name}")


CAPABILITY = Memories()
