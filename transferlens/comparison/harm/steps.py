"""The steps of harm: what models that saw a harmful class do, and those that did not, recipe by recipe."""

from typing import Any

from transferlens.comparison import scope
from transferlens.comparison.harm.artefacts import HARM, INTERFERENCE_ANSWERS
from transferlens.core.capability import Beside, Step, Wildcards
from transferlens.core.run import Run
from transferlens.data.capability import betons, source_files
from transferlens.training.artefacts import SOURCE_MODELS, SUMMARY
from transferlens.training.capability import shard_paths, transfer_paths


def of_target(run: Run, target: str) -> list[scope.Contestant]:
    """The recipes by which the models of study `influence` are adapted to a target."""
    return [one for name, one in scope.influenced(run) if name == target]


def _answer_settings(run: Run, wildcards: Wildcards) -> dict[str, Any]:
    return {
        "architecture": run.architecture_of("influence"),
        "input": run.input_of(wildcards["target"], "influence"),
        "source_input": run.input_of(run.source, "influence"),
        "composites": scope.asked(run).composites.model_dump(),
        "seed": run.seed,
    }


ANSWER = Step(
    name="composite_answers",
    script="ask_composites.py",
    title="Ask models adapted to {target} ({recipe}) about composites",
    outputs={"answers": INTERFERENCE_ANSWERS},
    inputs=lambda run, w: {
        "sources": shard_paths(run, SOURCE_MODELS, "influence"),
        "transfers": transfer_paths(run, "influence", w["target"], w["recipe"]),
        **source_files(run, "val"),
        **betons(w["target"], "val"),
    },
    settings=_answer_settings,
    code=lambda run, w: run.recipe_code(w["target"], w["recipe"]),
    made_for=lambda run: [{"target": target, "recipe": one.name} for target, one in scope.influenced(run)],
    shown=False,
)
COMPARE_HARM = Step(
    name="harm",
    script="compare_harm.py",
    title="Compare what harmful classes do on {target}, recipe by recipe",
    outputs={
        "harm": HARM,
        "table": Beside("comparison/{target}/harm.csv"),
        "picture": Beside("comparison/{target}/harm.png"),
    },
    inputs=lambda run, w: {
        "summaries": [
            SUMMARY.at(study="influence", target=w["target"], recipe=one.name)
            for one in of_target(run, w["target"])
        ],
        "answers": [
            INTERFERENCE_ANSWERS.at(target=w["target"], recipe=one.name)
            for one in of_target(run, w["target"])
        ],
    },
    settings=lambda run, w: {
        "recipes": [one.base for one in of_target(run, w["target"])],
        "harmful": scope.asked(run).harmful,
        "estimator": run.settings.influence.estimator,
    },
    made_for=lambda run: [
        {"target": target} for target in dict.fromkeys(target for target, _ in scope.influenced(run))
    ],
)
STEPS = (ANSWER, COMPARE_HARM)
