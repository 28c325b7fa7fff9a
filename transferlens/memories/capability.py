"""What adapted models still recognise of their source classes, where that distracts them, and what helps."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from transferlens.core.artefacts import Artefact
from transferlens.core.capability import Beside, Capability, Step, Transfer, Wildcards
from transferlens.core.errors import ConfigError
from transferlens.core.run import Run
from transferlens.core.studies import Study
from transferlens.data.artefacts import HALVES, INDEX
from transferlens.data.capability import betons, described, source_files
from transferlens.memories import scope
from transferlens.memories.agreement.artefacts import AGREEMENT, QUADRANTS
from transferlens.memories.agreement.artefacts import MEASURES as AGREEMENT_MEASURES
from transferlens.memories.artefacts import COMPOSITES, CONTROLS, INTERFERENCE, MODELS, PROBES
from transferlens.memories.images.artefacts import PANELS, PREDICTORS, RANKING, ROLES
from transferlens.memories.remedies.artefacts import MEASURES as REMEDY_MEASURES
from transferlens.memories.remedies.artefacts import PAIRS, REMEDIES
from transferlens.memories.retraining.left_out import check_count
from transferlens.memories.settings import MemorySettings
from transferlens.training.artefacts import SOURCE_MODELS, SUMMARY, TRANSFER_RUNS
from transferlens.training.capability import ReferenceStudy, shard_paths

# Numbers of worst classes that agreement is told at.
_KS = 4
# Bytes of numbers beside a map in the gallery.
_ROW_BYTES = 40
_FOLDER = "memories/{target}/{recipe}"


def _picture(name: str, caption: str, figure: str) -> Beside:
    """A picture of a study, shown in Snakemake's own report."""
    labels = {"target": "{target}", "recipe": "{recipe}", "figure": figure}
    return Beside(f"{_FOLDER}/{name}.png", "Memories", f"{caption}.rst", labels)


def _table(name: str) -> Beside:
    return Beside(f"{_FOLDER}/{name}.csv")


def _each(pairs: Callable[[Run], list[tuple[str, str]]]) -> Callable[[Run], list[dict[str, str]]]:
    """The wildcards of every (target, recipe)."""
    return lambda run: [{"target": target, "recipe": recipe} for target, recipe in pairs(run)]


def _compared(run: Run) -> list[tuple[str, str]]:
    """Where there are influences to compare memories with."""
    return scope.studied(run) if "influence" in run.studies else []


def _remedied(run: Run) -> list[tuple[str, str]]:
    """Where there are remedies to compare."""
    given = run.section(MemorySettings)
    return scope.studied(run) if given and given.remedies else []


# Inputs


def _transfers(run: Run, wildcards: Wildcards) -> dict[str, str | list[str]]:
    """The transfer runs of the models that are compared: the first pairs of the reference study, and the
    pretrained model where it takes the place of the full-source ones.
    """
    of_run = {"target": wildcards["target"], "recipe": wildcards["recipe"]}
    files = {"transfers": shard_paths(run, TRANSFER_RUNS, "reference", _shards(run), **of_run)}
    if scope.uses_pretrained(run):
        files["pretrained_transfer"] = shard_paths(run, TRANSFER_RUNS, "pretrained", **of_run)[0]
    return files


def _shards(run: Run) -> list[str]:
    """The shards of the reference study that hold the first pairs."""
    return run.studies["reference"].shards_of(2 * scope.models(run))


def _pairs(run: Run, wildcards: Wildcards) -> dict[str, str | list[str]]:
    """The same, and the source models they are made of."""
    files = {"sources": shard_paths(run, SOURCE_MODELS, "reference", _shards(run))}
    if scope.uses_pretrained(run):
        files["pretrained_source"] = shard_paths(run, SOURCE_MODELS, "pretrained")[0]
    return files | _transfers(run, wildcards)


def _overlap(run: Run, wildcards: Wildcards) -> dict[str, str]:
    """The table of classes that mean the same, if there is one; `{target}` stands for the target's name."""
    given = run.section(MemorySettings).overlap
    is_table = given not in ("names", "none")
    return {"overlap": given.replace("{target}", wildcards["target"])} if is_table else {}


def _first_probes(run: Run, wildcards: Wildcards) -> str:
    """The probes that choose source classes: those of the recipe that a remedy is made of, or its own."""
    recipe = wildcards["recipe"]
    return PROBES.at(target=wildcards["target"], recipe=scope.base_recipes(run).get(recipe, recipe))


def _summaries(run: Run, wildcards: Wildcards) -> dict[str, str]:
    """Of models whose source lacks one class, and of the full-source ones, where there are such."""
    study = scope.without_study(**wildcards)
    if study not in run.studies:
        return {}
    return {
        "without": SUMMARY.at(study=study, **wildcards),
        "reference": SUMMARY.at(study="reference", **wildcards),
    }


def _influence_recipe(run: Run, wildcards: Wildcards) -> str:
    """The recipe whose influences memories are compared with: their own, or the target's first."""
    recipes = run.targets[wildcards["target"]].recipes
    return wildcards["recipe"] if wildcards["recipe"] in recipes else recipes[0]


def _influence(run: Run, wildcards: Wildcards) -> str:
    """The influences that memories are compared with."""
    influence = next(made for made in run.artefacts if made.kind == "influence")
    return influence.at(target=wildcards["target"], recipe=_influence_recipe(run, wildcards))


def _flat(files: Mapping[str, str | list[str]]) -> list[str]:
    return [path for value in files.values() for path in ([value] if isinstance(value, str) else value)]


def _remedy_files(run: Run, wildcards: Wildcards) -> dict[str, Any]:
    """Of a recipe without and with each remedy: composites, probes, and clean outputs."""
    target, base = wildcards["target"], wildcards["recipe"]
    recipes = [base, *(scope.remedied(base, remedy) for remedy in run.section(MemorySettings).remedies)]
    each = [{"target": target, "recipe": recipe} for recipe in recipes]
    made = [_transfers(run, w) for w in each]
    return {
        "composites": [COMPOSITES.at(**w) for w in each],
        "probes": [PROBES.at(**w) for w in each],
        "interference": INTERFERENCE.at(**wildcards),
        "transfers": [path for files in made for path in _flat(files)],
        **_summaries(run, wildcards),
    }


def _gallery_files(run: Run, wildcards: Wildcards) -> dict[str, str]:
    artefacts = {"probes": PROBES, "composites": COMPOSITES, "interference": INTERFERENCE, "panels": PANELS}
    files = {name: artefact.at(**wildcards) for name, artefact in artefacts.items()}
    return files | {name: _table(name).at(**wildcards) for name in scope.tables(run)}


# Settings


def _given(run: Run, *keys: str) -> dict[str, Any]:
    return run.section(MemorySettings).model_dump(include=set(keys))


def _networks(run: Run, wildcards: Wildcards, *images: str) -> dict[str, Any]:
    """The networks that are compared, and how `input` and `source_input` enter them."""
    known = {"input": wildcards["target"], "source_input": run.source}
    return {
        "architecture": run.settings.architecture.model_dump(),
        "models": scope.models(run),
        **{key: run.input_of(known[key]) for key in images},
    }


def _probe_settings(run: Run, wildcards: Wildcards) -> dict[str, Any]:
    return {
        **_networks(run, wildcards, "source_input"),
        **_given(run, "bootstrap", "permutations"),
        "overlap": "table" if _overlap(run, wildcards) else run.section(MemorySettings).overlap,
        "frozen": not run.changes_backbone(wildcards["target"], wildcards["recipe"]),
        "seed": run.seed,
    }


def _composite_settings(run: Run, wildcards: Wildcards) -> dict[str, Any]:
    return {
        **_networks(run, wildcards, "input", "source_input"),
        **_given(run, "strongest", "random", "composites"),
        "seed": run.seed,
    }


def _agreement_settings(run: Run, wildcards: Wildcards) -> dict[str, Any]:
    return {
        **wildcards,
        "influence_recipe": _influence_recipe(run, wildcards),
        "output": run.settings.report.output,
        **_given(run, "bootstrap", "permutations"),
        "seed": run.seed,
    }


# Steps

PROBE = Step(
    name="probe_memories",
    script="probe_memories.py",
    title="Probe memories of models on {target} ({recipe})",
    outputs={"probes": PROBES},
    inputs=lambda run, w: {
        **_pairs(run, w),
        **_overlap(run, w),
        **source_files(run, "val"),
        "index": INDEX.at(dataset=w["target"]),
    },
    settings=_probe_settings,
    made_for=_each(scope.with_remedies),
)
TRY_COMPOSITES = Step(
    name="composites",
    script="make_composites.py",
    title="Try composites on {target} ({recipe})",
    outputs={"composites": COMPOSITES},
    inputs=lambda run, w: {
        **_pairs(run, w),
        "probes": PROBES.at(**w),
        # A remedy is tried on the composites of the recipe that it is made of.
        "first_probes": _first_probes(run, w),
        **source_files(run, "val"),
        **betons(w["target"], "val"),
    },
    settings=_composite_settings,
    made_for=_each(scope.with_remedies),
)
ESTIMATE = Step(
    name="interference",
    script="estimate_interference.py",
    title="Estimate the interference of memories on {target} ({recipe})",
    outputs={
        "interference": INTERFERENCE,
        "table": _table("interference"),
        "picture": _picture("interference", "interference", "interference"),
    },
    inputs=lambda run, w: {"composites": COMPOSITES.at(**w), "probes": _first_probes(run, w)},
    settings=lambda run, w: {
        **_given(run, "smallest_cell", "bootstrap", "permutations"),
        "seed": run.seed,
    },
    made_for=_each(scope.with_remedies),
)
RANK = Step(
    name="rank_examples",
    script="rank_examples.py",
    title="Rank examples of {target} by distraction ({recipe})",
    outputs={"ranking": RANKING, "table": _table("ranking")},
    inputs=lambda run, w: {
        **_pairs(run, w),
        **_summaries(run, w),
        "probes": PROBES.at(**w),
        **betons(w["target"], "val"),
    },
    settings=lambda run, w: {
        **_networks(run, w, "input"),
        **_given(run, "removal", "bootstrap", "permutations"),
        "seed": run.seed,
    },
    made_for=_each(scope.studied),
)
DRAW_PANELS = Step(
    name="memory_panels",
    script="draw_memories.py",
    title="Draw what distracts on {target} ({recipe})",
    outputs={
        "panels": PANELS,
        "figure": _picture("figure", "memory_figure", "composites"),
        "examples": _picture("examples", "memory_examples", "examples"),
    },
    inputs=lambda run, w: {
        **_pairs(run, w),
        "probes": PROBES.at(**w),
        "composites": COMPOSITES.at(**w),
        "interference": INTERFERENCE.at(**w),
        "ranking": RANKING.at(**w),
        **source_files(run, "val"),
        **betons(w["target"], "val"),
    },
    settings=lambda run, w: {
        **_networks(run, w, "input", "source_input"),
        **_given(run, "examples", "colormap"),
    },
    made_for=_each(scope.studied),
)
COMPARE = Step(
    name="agreement",
    script="compare_memories.py",
    title="Compare memories and influences on {target} ({recipe})",
    outputs={
        "agreement": AGREEMENT,
        "table": _table("agreement"),
        "picture": _picture("agreement", "agreement", "agreement"),
    },
    inputs=lambda run, w: {
        "influence": _influence(run, w),
        "probes": PROBES.at(**w),
        "interference": INTERFERENCE.at(**w),
        "ranking": RANKING.at(**w),
        **_summaries(run, w),
    },
    settings=_agreement_settings,
    made_for=_each(_compared),
)
COMPARE_REMEDIES = Step(
    name="remedies",
    script="compare_remedies.py",
    title="Compare remedies on {target} ({recipe})",
    outputs={
        "remedies": REMEDIES,
        "table": _table("remedies"),
        "picture": _picture("remedies", "remedies", "remedies"),
    },
    inputs=_remedy_files,
    settings=lambda run, w: {**w, **_given(run, "remedies", "bootstrap"), "seed": run.seed},
    made_for=_each(_remedied),
)
GALLERY = Step(
    name="gallery",
    script="write_gallery.py",
    title="Write the gallery of memories in {target} ({recipe})",
    outputs={"page": Beside("report/{target}/{recipe}/memories.html")},
    inputs=_gallery_files,
    settings=lambda run, w: {"title": f"Detrimental memories: {w['target']}, {w['recipe']}"},
    made_for=_each(scope.studied),
)
# To be asked for by name. The tables are for the user to complete, and no outputs: nothing makes them anew.
PROPOSE_OVERLAP = Step(
    name="propose_overlap",
    script="propose_overlap.py",
    title="Propose source and target classes that mean the same",
    outputs={},
    inputs=lambda run, w: {
        "source_index": INDEX.at(dataset=run.source),
        "indexes": [INDEX.at(dataset=target) for target in run.targets],
    },
    arguments=lambda run, w: [
        "--tables",
        *(f"results/memories/{target}/overlap.csv" for target in run.targets),
    ],
    made_for=lambda run: [{}],
    shown=False,
)


def _sizes(run: Run, made: Artefact, known: Mapping[str, int]) -> dict[str, int]:
    """Sizes of dimensions; what is left out for want of usable images counts, too."""
    given = run.section(MemorySettings)
    tried = min(given.strongest + given.random, known.get("source_class", given.strongest + given.random))
    sizes = {
        "model": scope.models(run),
        "role": len(ROLES) if made is PANELS else len(MODELS),
        "control": len(CONTROLS),
        "tried_class": tried,
        "row": given.examples,
        "predictor": len(PREDICTORS),
        "measure": len(AGREEMENT_MEASURES),
        "quadrant_name": len(QUADRANTS),
        "pair": len(AGREEMENT_MEASURES) * (len(AGREEMENT_MEASURES) - 1) // 2,
        "k": _KS,
        "comparison": len(given.remedies) * len(REMEDY_MEASURES) * len(PAIRS),
    }
    if "target_class" in known:
        sizes["composite"] = len(HALVES) * tried * known["target_class"] * given.composites.per_cell
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
        return _sizes(run, made, known)

    def studies(self, run: Run) -> Iterator[Study]:
        """The full source without one class: each of the most distracting ones, and as many at random."""
        given = run.section(MemorySettings)
        for target, recipe in scope.studied(run) if given and given.without else []:
            yield Study(
                name=scope.without_study(target, recipe),
                kind="transferlens.memories.retraining.left_out:WithoutOne",
                rows=2 * given.without * given.repeats,
                shard_size=run.section(ReferenceStudy).shard_size,
                masks={"without": given.without, "units": "classes"},
                evidence={
                    "interference": INTERFERENCE.at(target=target, recipe=recipe),
                    "probes": PROBES.at(target=target, recipe=recipe),
                },
                keeps_weights=True,
                keeps_networks=True,
                seen_units=-1,
            )

    def transfers(self, run: Run) -> Iterator[Transfer]:
        """The pairs of models that are compared, by every recipe and remedy, and those without a class."""
        given = run.section(MemorySettings)
        for target, recipe in scope.with_remedies(run):
            yield Transfer("reference", target, recipe, rows=2 * scope.models(run), summarised=False)
            if scope.uses_pretrained(run):
                yield Transfer("pretrained", target, recipe, summarised=False)
        for target, recipe in scope.studied(run) if given and given.without else []:
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

    def check_data(self, run: Run) -> None:
        """Refuse more classes to leave out than there are, and tables of overlapping classes with faults."""
        from transferlens.memories import overlap  # pandas takes its time

        given = run.section(MemorySettings)
        if given is None:
            return
        names = described(run, run.source)[0]
        check_count(given.without, len(names))
        for target in run.targets:
            if table := _overlap(run, {"target": target}):
                overlap.read_table(Path(table["overlap"]), names, described(run, target)[0])

    def sections(self, run: Run, results: Any) -> Iterator[Any]:
        """What is kept, what it does, on which images, and what helps, target by target."""
        from transferlens.memories import page

        return page.sections(run, results)


def _check_models(run: Run, given: MemorySettings) -> None:
    """Refuse pairs of models of which one is not trained."""
    reference = run.section(ReferenceStudy)
    if reference is None:
        raise ConfigError(
            "config: memories are told from what models from scratch do, but studies.reference is null; set "
            "it, or set memories: null"
        )
    trained, repeats = given.source == "trained", reference.repeats
    if trained and given.models > repeats:
        raise ConfigError(
            f"config: memories.models is {given.models}, but each is paired with a from-scratch model and "
            f"studies.reference.repeats is {repeats}; raise the latter"
        )
    if not trained and run.settings.studies.pretrained is None:
        raise ConfigError(
            "config: memories.source is 'pretrained', but there is no such model; name its weights in "
            "studies.pretrained.weights"
        )
    if not trained and given.without:
        raise ConfigError(
            "config: memories.without leaves classes out of the source, but memories.source is 'pretrained', "
            "which is not trained here; set memories.without: 0 or memories.source: trained"
        )
    if given.without and given.repeats > repeats:
        raise ConfigError(
            f"config: memories.repeats is {given.repeats}, but each repeat is paired with a "
            f"full-source model and studies.reference.repeats is {repeats}; raise the latter"
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
    if "inside" in given.remedies and run.settings.architecture.name == "vgg16":
        raise ConfigError(
            "config: memories.remedies: 'inside' needs a network ending in pooling and one linear "
            "layer; vgg16 does not: leave it out, or choose another architecture"
        )
    for target, name in scope.with_remedies(run):
        run.recipe_section(run.recipe(target, name), "").training.check(f"targets.{target}.{name}")


CAPABILITY = Memories()
