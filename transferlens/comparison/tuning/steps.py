"""The steps of tuning: trials, their choice, and what the published protocol would have printed."""

from typing import Any

from transferlens.comparison import scope
from transferlens.comparison.tuning.artefacts import CHOICE, PUBLISHED, TRIALS
from transferlens.core.capability import Step, Wildcards
from transferlens.core.run import Run
from transferlens.data.capability import betons, metric_of
from transferlens.training.artefacts import SOURCE_MODELS
from transferlens.training.capability import resumption, shard_paths
from transferlens.training.recipes import kinds


def parts(run: Run) -> list[str]:
    """Names of the parts of the trials, each trained in one job."""
    given = scope.asked(run)
    return [f"{i:04d}" for i in range(-(-given.trials // given.shard_size))]


def choosing_rows(run: Run, from_scratch: bool) -> list[int]:
    """Row numbers of the models that trials are made with: the repeats after those that report."""
    given = scope.asked(run)
    return [2 * (given.models + i) + from_scratch for i in range(given.choosing)]


def reporting_rows(run: Run, from_scratch: bool) -> list[int]:
    """Row numbers of the models that report: the first repeats of their study."""
    return [2 * i + from_scratch for i in range(scope.asked(run).models)]


def source_shards(run: Run, rows: list[int]) -> list[str]:
    """The files of source models that hold some rows."""
    study = run.studies[scope.population(run)]
    names = dict.fromkeys(study.shards[row // study.shard_size] for row in rows)
    return shard_paths(run, SOURCE_MODELS, study.name, names)


def adapting(run: Run, wildcards: Wildcards) -> dict[str, Any]:
    """How models are adapted to a target by a recipe."""
    target, recipe = wildcards["target"], wildcards["recipe"]
    return {
        "architecture": run.architecture_of(scope.population(run)),
        "input": run.input_of(target, scope.population(run)),
        "recipe": run.recipe(target, recipe),
    }


def _code(run: Run, wildcards: Wildcards) -> list[str]:
    return list(run.recipe_code(wildcards["target"], wildcards["recipe"]))


def _trial_inputs(run: Run, wildcards: Wildcards) -> dict[str, Any]:
    """No evaluation image of the target is among them."""
    one = scope.contestant(run, wildcards["target"], wildcards["recipe"])
    rows = choosing_rows(run, one.from_scratch)
    return {"sources": source_shards(run, rows), **betons(wildcards["target"], "train")}


def _trial_settings(run: Run, wildcards: Wildcards) -> dict[str, Any]:
    given, number = scope.asked(run), int(wildcards["part"])
    one = scope.contestant(run, wildcards["target"], wildcards["recipe"])
    first = number * given.shard_size
    return {
        **adapting(run, wildcards),
        **given.model_dump(include={"held_out", "search"}),
        "rows": choosing_rows(run, one.from_scratch),
        "trials": [first, min(first + given.shard_size, given.trials)],
        "target": wildcards["target"],  # for messages
        "seed": run.seed,
    }


def _trial_code(run: Run, wildcards: Wildcards) -> list[str]:
    """The ranges of the recipe's family count here, and in no transfer."""
    kind = run.recipe(wildcards["target"], wildcards["recipe"])["kind"]
    return [*_code(run, wildcards), kinds.KINDS[kind].searched]


TUNE = Step(
    name="trials",
    script="tune_recipe.py",
    title="Try settings of {recipe} on {target}, part {part}",
    outputs={"trials": TRIALS},
    inputs=_trial_inputs,
    settings=_trial_settings,
    code=_trial_code,
    arguments=resumption,
    made_for=lambda run: [
        {"target": target, "recipe": one.name, "part": part}
        for target, one in scope.every(run)
        for part in parts(run)
    ],
    shown=False,
)
CHOOSE = Step(
    name="choice",
    script="choose_trial.py",
    title="Choose settings of {recipe} on {target}",
    outputs={"choice": CHOICE},
    inputs=lambda run, w: {"trials": [TRIALS.at(**w, part=part) for part in parts(run)]},
    made_for=lambda run: [{"target": target, "recipe": one.name} for target, one in scope.every(run)],
)


def evaluations(run: Run, target: str, recipe: str) -> float:
    """How many times the published protocol looks at all evaluation images: at the report half, after every
    epoch; where the backbone stays, once for all and once in the end."""
    written = kinds.read(run.recipe(target, recipe))
    looks = 2 if kinds.caches_features(written) else kinds.log_rows(written)
    return looks * (1 - run.dataset(target).select_fraction)


def _published_inputs(run: Run, wildcards: Wildcards) -> dict[str, Any]:
    one = scope.contestant(run, wildcards["target"], wildcards["recipe"])
    return {
        "sources": source_shards(run, reporting_rows(run, one.from_scratch)),
        "choice": CHOICE.at(**wildcards),
        **betons(wildcards["target"], "train", "val"),
    }


def _published_settings(run: Run, wildcards: Wildcards) -> dict[str, Any]:
    one = scope.contestant(run, wildcards["target"], wildcards["recipe"])
    rows, target = reporting_rows(run, one.from_scratch), wildcards["target"]
    return {**adapting(run, wildcards), "rows": rows, "metric": metric_of(run, target)}


TRY_PUBLISHED = Step(
    name="published_protocol",
    script="try_published_protocol.py",
    title="Report {recipe} on {target} as papers do",
    outputs={"published": PUBLISHED},
    inputs=_published_inputs,
    settings=_published_settings,
    code=_code,
    arguments=resumption,
    made_for=lambda run: [
        {"target": target, "recipe": one.name}
        for target, one in scope.every(run)
        if scope.asked(run).published
    ],
)
STEPS = (TUNE, CHOOSE, TRY_PUBLISHED)
