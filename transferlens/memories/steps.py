"""The steps of memories: what each is made from, which settings decide it, and what it makes."""

from collections.abc import Callable
from typing import Any

from transferlens.core.capability import Beside, Step, Wildcards
from transferlens.core.run import Run
from transferlens.data.artefacts import INDEX
from transferlens.data.capability import betons, source_files
from transferlens.memories import scope
from transferlens.memories.agreement.artefacts import AGREEMENT
from transferlens.memories.artefacts import COMPOSITES, INTERFERENCE, PROBES
from transferlens.memories.images.artefacts import PANELS, RANKING
from transferlens.memories.remedies.artefacts import REMEDIES
from transferlens.memories.seen.artefacts import SEEN
from transferlens.memories.settings import MemorySettings
from transferlens.memories.words import words
from transferlens.training.artefacts import SOURCE_MODELS, SUMMARY, TRANSFER_RUNS
from transferlens.training.capability import shard_paths, transfer_paths

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


def _transfers(run: Run, wildcards: Wildcards, pairs: int) -> dict[str, list[str]]:
    """The transfer runs of the models that are compared: the first pairs of their study."""
    of_run = {"target": wildcards["target"], "recipe": wildcards["recipe"]}
    shards = _shards(run, pairs)
    return {"transfers": shard_paths(run, TRANSFER_RUNS, scope.population(run), shards, **of_run)}


def _shards(run: Run, pairs: int) -> list[str]:
    """The shards that hold the first pairs."""
    return run.studies[scope.population(run)].shards_of(2 * pairs)


def _pairs(run: Run, wildcards: Wildcards) -> dict[str, list[str]]:
    """The same, and the source models they are made of."""
    pairs = scope.pairs(run, wildcards["recipe"])
    sources = shard_paths(run, SOURCE_MODELS, scope.population(run), _shards(run, pairs))
    return {"sources": sources, **_transfers(run, wildcards, pairs)}


def overlap_table(run: Run, wildcards: Wildcards) -> dict[str, str]:
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


def _without_summary(run: Run, wildcards: Wildcards) -> dict[str, str]:
    """The first of these alone."""
    return {name: path for name, path in _summaries(run, wildcards).items() if name == "without"}


def _seen_files(run: Run, wildcards: Wildcards) -> dict[str, str | list[str]]:
    """Models without each class, and all that says what they are asked."""
    study = scope.without_study(**wildcards)
    artefacts = {"probes": PROBES, "composites": COMPOSITES, "interference": INTERFERENCE}
    return {
        "sources": shard_paths(run, SOURCE_MODELS, study),
        "transfers": transfer_paths(run, study, **wildcards),
        "reference_sources": shard_paths(run, SOURCE_MODELS, "reference"),
        "reference_transfers": transfer_paths(run, "reference", **wildcards),
        **_summaries(run, wildcards),
        **{name: artefact.at(**wildcards) for name, artefact in artefacts.items()},
        **source_files(run, "val"),
        **betons(wildcards["target"], "val"),
    }


def _influence_recipe(run: Run, wildcards: Wildcards) -> str:
    """The recipe whose influences memories are compared with: their own, or the target's first."""
    recipes = run.targets[wildcards["target"]].recipes
    return wildcards["recipe"] if wildcards["recipe"] in recipes else recipes[0]


def _influence(run: Run, wildcards: Wildcards) -> str:
    """The influences that memories are compared with."""
    return run.file("influence", target=wildcards["target"], recipe=_influence_recipe(run, wildcards))


def _remedy_files(run: Run, wildcards: Wildcards) -> dict[str, Any]:
    """Of a recipe without and with each remedy: composites, probes, and clean outputs."""
    target, base = wildcards["target"], wildcards["recipe"]
    recipes = [base, *(scope.remedied(base, remedy) for remedy in run.section(MemorySettings).remedies)]
    each = [{"target": target, "recipe": recipe} for recipe in recipes]
    made = [_transfers(run, w, scope.models(run)) for w in each]  # those that report
    return {
        "composites": [COMPOSITES.at(**w) for w in each],
        "probes": [PROBES.at(**w) for w in each],
        "interference": INTERFERENCE.at(**wildcards),
        "transfers": [path for files in made for path in files["transfers"]],
        **_summaries(run, wildcards),
    }


def _gallery_files(run: Run, wildcards: Wildcards) -> dict[str, str]:
    artefacts = {"probes": PROBES, "composites": COMPOSITES, "interference": INTERFERENCE, "panels": PANELS}
    if (wildcards["target"], wildcards["recipe"]) in scope.tested(run):
        artefacts["seen"] = SEEN
    files = {name: artefact.at(**wildcards) for name, artefact in artefacts.items()}
    return files | {name: _table(name).at(**wildcards) for name in scope.tables(run)}


# Settings


def _given(run: Run, *keys: str) -> dict[str, Any]:
    return run.section(MemorySettings).model_dump(include=set(keys))


def _networks(run: Run, wildcards: Wildcards, *images: str) -> dict[str, Any]:
    """The networks that are compared, and how `input` and `source_input` enter them."""
    known = {"input": wildcards["target"], "source_input": run.source}
    return {
        "architecture": run.architecture_of(),
        "models": scope.models(run),
        "choosing": scope.choosing(run, wildcards["recipe"]),
        **{key: run.input_of(known[key]) for key in images},
    }


def _probe_settings(run: Run, wildcards: Wildcards) -> dict[str, Any]:
    return {
        **_networks(run, wildcards, "source_input"),
        "overlap": "table" if overlap_table(run, wildcards) else run.section(MemorySettings).overlap,
        "frozen": not run.changes_backbone(wildcards["target"], wildcards["recipe"]),
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
        **overlap_table(run, w),
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
    settings=lambda run, w: _given(run, "smallest_cell"),
    made_for=_each(scope.with_remedies),
)
RANK = Step(
    name="rank_examples",
    script="rank_examples.py",
    title="Rank examples of {target} by distraction ({recipe})",
    outputs={"ranking": RANKING, "table": _table("ranking")},
    inputs=lambda run, w: {
        **_pairs(run, w),
        **_without_summary(run, w),
        "probes": PROBES.at(**w),
        **source_files(run),
        **betons(w["target"], "val"),
    },
    settings=lambda run, w: {
        **_networks(run, w, "input"),
        **_given(run, "removal", "permutations"),
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
COMPARE_SEEN = Step(
    name="seen",
    script="compare_seen.py",
    title="Compare models that saw a source class with those that did not, on {target} ({recipe})",
    outputs={"seen": SEEN, "table": _table("seen"), "picture": _picture("seen", "seen", "seen and unseen")},
    inputs=_seen_files,
    settings=lambda run, w: {
        **_networks(run, w, "input", "source_input"),
        "scramble": run.section(MemorySettings).composites.scramble,
        "seed": run.seed,
    },
    made_for=_each(scope.tested),
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
    settings=lambda run, w: {**w, **_given(run, "remedies"), "models": scope.models(run)},
    made_for=_each(_remedied),
)
GALLERY = Step(
    name="gallery",
    script="write_gallery.py",
    title="Write the gallery of memories in {target} ({recipe})",
    outputs={"page": Beside("report/{target}/{recipe}/memories.html")},
    inputs=_gallery_files,
    settings=lambda run, w: {
        "title": f"{words(run).title}: {w['target']}, {w['recipe']}",
        "untested": words(run).untested,
    },
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
