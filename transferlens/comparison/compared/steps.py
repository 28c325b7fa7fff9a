"""The steps of comparing: the table of recipes by measures, and the sampling rates of a target."""

from typing import Any

from transferlens.comparison import scope
from transferlens.comparison.compared.artefacts import COMPARISON
from transferlens.comparison.measures.artefacts import COST, MEASURES, PROBES_AFTER, SOURCE_PROBES
from transferlens.comparison.measures.steps import probed
from transferlens.comparison.tuning.artefacts import CHOICE, PUBLISHED
from transferlens.comparison.tuning.steps import reporting_rows
from transferlens.core.capability import Beside, Step, Wildcards
from transferlens.core.run import Run
from transferlens.data.artefacts import INDEX
from transferlens.data.capability import metric_of
from transferlens.training.artefacts import SUMMARY


def _inputs(run: Run, wildcards: Wildcards) -> dict[str, Any]:
    """Of every contestant, in order; what only those that saw the source have, of these alone."""
    target = wildcards["target"]
    ones = scope.contestants(run, target)
    kept = [one for one in ones if not one.from_scratch]
    study = scope.population(run)

    def each(artefact: Any, of: list[scope.Contestant]) -> list[str]:
        return [artefact.at(target=target, recipe=one.name) for one in of]

    return {
        "index": INDEX.at(dataset=target),
        "summaries": [SUMMARY.at(study=study, target=target, recipe=one.name) for one in ones],
        "choices": each(CHOICE, ones),
        "measures": each(MEASURES, ones),
        "costs": each(COST, kept),
        "published": each(PUBLISHED, ones) if scope.asked(run).published else [],
        "before": [SOURCE_PROBES.at(dataset=name) for name in probed(run)],
        "after": [
            PROBES_AFTER.at(target=target, recipe=one.name, dataset=name)
            for one in kept
            for name in probed(run)
        ],
    }


def _settings(run: Run, wildcards: Wildcards) -> dict[str, Any]:
    target = wildcards["target"]
    reasons = {name: scope.left_out(run, target, name) for name in scope.recipes(run)}
    return {
        "contestants": [one._asdict() for one in scope.contestants(run, target)],
        "left_out": {name: reason for name, reason in reasons.items() if reason},
        "rows": {"source": reporting_rows(run, False), "scratch": reporting_rows(run, True)},
        "probed": probed(run),
        "metric": metric_of(run, target),
        "seed": run.seed,
    }


COMPARE = Step(
    name="comparison",
    script="compare_recipes.py",
    title="Compare recipes on {target}",
    outputs={
        "comparison": COMPARISON,
        "table": Beside("comparison/{target}/comparison.csv"),
        "picture": Beside("comparison/{target}/pareto.png"),
    },
    inputs=_inputs,
    settings=_settings,
    made_for=lambda run: [{"target": target} for target in scope.targets(run)],
)


def with_parts(run: Run, target: str) -> list[str]:
    """A target and its parts with fewer images, the smallest first."""
    parts = sorted((size, name) for name, (of, size) in run.sizes.items() if of == target)
    return [*(name for _, name in parts), target]


DRAW_RATES = Step(
    name="sampling_rates",
    script="draw_sampling_rates.py",
    title="Draw recipes by training images of {target}",
    outputs={"picture": Beside("comparison/{target}/rates.png")},
    inputs=lambda run, w: {
        "comparisons": [COMPARISON.at(target=name) for name in with_parts(run, w["target"])],
    },
    made_for=lambda run: [
        {"target": target}
        for target in scope.targets(run)
        if target in run.targets and run.targets[target].sizes
    ],
)
STEPS = (COMPARE, DRAW_RATES)
