"""How large the files of a comparison are, for the plan of a run."""

from collections.abc import Mapping

from transferlens.comparison import scope
from transferlens.comparison.compared.artefacts import COMPARISON
from transferlens.comparison.compared.artefacts import MEASURES as COMPARED
from transferlens.comparison.harm.artefacts import HARM, INTERFERENCE_ANSWERS
from transferlens.comparison.measures.artefacts import COST, MEASURES, PROBES_AFTER, SOURCE_PROBES
from transferlens.comparison.measures.steps import probed
from transferlens.comparison.tuning import space
from transferlens.comparison.tuning.artefacts import CHOICE, PUBLISHED, TRIALS
from transferlens.core.artefacts import Artefact
from transferlens.core.capability import Beside, Wildcards
from transferlens.core.run import Run
from transferlens.data.capability import reported
from transferlens.training.recipes import kinds

# Steps that are timed, heads that answer, and tensors of a backbone: about so many.
_ROUNDS, _HEADS, _LAYERS = 7, 1, 60


def sizes_of(
    run: Run, made: Artefact | Beside, wildcards: Wildcards, known: Mapping[str, int]
) -> dict[str, int]:
    """Sizes by dimension, as of `Capability.sizes`."""
    given = scope.asked(run)
    if made in (TRIALS, CHOICE):
        held_out = (
            {"example": round(known["train_example"] * given.held_out)} if "train_example" in known else {}
        )
        trials = given.trials if made is CHOICE else min(given.shard_size, given.trials)
        recipe = kinds.read(run.recipe(wildcards["target"], wildcards["recipe"]))
        varied = len(space.parameters(recipe, given.search))
        numbers = {"trial": trials, "parameter": varied, "model": given.choosing, "budget": given.trials}
        return {**numbers, **held_out}
    models = {"model": given.models, "head": _HEADS, "round": _ROUNDS, "rank": given.harmful, "fold": 2}
    if made is PUBLISHED:
        recipe = kinds.read(run.recipe(wildcards["target"], wildcards["recipe"]))
        return {**models, "epoch": kinds.log_rows(recipe)}
    if made in (SOURCE_PROBES, PROBES_AFTER):
        tried = {"example": known["val_example"]} if "val_example" in known else {}
        return {**models, **reported(run, wildcards["dataset"], tried)}
    if made is MEASURES:
        return {**models, **_measured(run, wildcards["target"], known)}
    if made is INTERFERENCE_ANSWERS:
        composites = max(given.composites.number, known.get("source_class", 0))
        return {"model": run.studies["influence"].rows, "composite": composites}
    if made in (COMPARISON, HARM):
        return {**models, **_corrupted(run), **_compared(run, wildcards["target"], made)}
    return models if made is COST else {}


def _measured(run: Run, target: str, known: Mapping[str, int]) -> dict[str, int]:
    """Of what is measured on report halves."""
    of_source = reported(run, run.source, {"example": known.get("source_example", 0)})["example"]
    retained = {"source_example": of_source} if of_source else {}
    return {"layer": _LAYERS, **_corrupted(run), **reported(run, target, known), **retained}


def _corrupted(run: Run) -> dict[str, int]:
    given = scope.asked(run).corruptions
    return {"corruption": len(given.names), "severity": len(given.severities)}


def _compared(run: Run, target: str, made: Artefact) -> dict[str, int]:
    """Of what is told recipe by recipe."""
    contestants = scope.contestants(run, target)
    told = [one for name, one in scope.influenced(run) if name == target] if made is HARM else contestants
    left_out = [name for name in scope.recipes(run) if scope.left_out(run, target, name)]
    return {
        "recipe": len(told),
        "measure": len(COMPARED),
        "probed": len(probed(run)),
        "left_out": len(left_out),
    }
