"""Which published score tells which source model will transfer, and does it see which class is missing?"""

from collections.abc import Iterator, Mapping
from typing import Any

from transferlens.core.artefacts import Artefact
from transferlens.core.blocks import Section
from transferlens.core.capability import Beside, Capability, Features, Step, Transfer, Wildcards
from transferlens.core.errors import ConfigError, DataError
from transferlens.core.run import Run
from transferlens.data.artefacts import INDEX
from transferlens.estimation import designs, estimators
from transferlens.estimation.asked import unit_names
from transferlens.training.artefacts import FEATURES, SOURCE_MODELS, SUMMARY
from transferlens.transferability import asked
from transferlens.transferability.artefacts import CLASS_EFFECTS, OVER_TARGETS, RANKING, SCORED
from transferlens.transferability.settings import TransferabilitySettings

# Over fewer targets a mean has no interval worth its name.
LEAST_TARGETS = 3


def _scored(run: Run) -> Iterator[dict[str, str]]:
    for target in run.targets:
        for study in asked.studies_of_target(run, target):
            for shard in asked.shards(run, study):
                yield {"target": target, "study": study, "shard": shard}


def _features(study: str, dataset: str, split: str, shard: str) -> str:
    return FEATURES.at(study=study, dataset=dataset, split=split, shard=shard)


def _score_inputs(run: Run, wildcards: Wildcards) -> dict[str, str]:
    study, shard = wildcards["study"], wildcards["shard"]
    files = {
        "features": _features(study, wildcards["target"], "train", shard),
        "models": SOURCE_MODELS.at(study=study, shard=shard),
        "target_index": INDEX.at(dataset=wildcards["target"]),
        "source_index": INDEX.at(dataset=run.source),
    }
    if asked.needs_source(run):
        files["source_features"] = _features(study, run.source, "val", shard)
    return files


SCORE = Step(
    name="transferability_scores",
    script="score_sources.py",
    title="Score source models of {study}, shard {shard}, for {target}",
    outputs={"scores": SCORED},
    inputs=_score_inputs,
    settings=lambda run, w: {"scores": asked.scores(run)},
    made_for=lambda run: list(_scored(run)),
    shown=False,
)


def _adapted(run: Run) -> list[dict[str, str]]:
    """Every (target, recipe) that has candidates."""
    return [
        {"target": target, "recipe": recipe}
        for target, recipe in run.adaptations
        if asked.studies(run, target, recipe)
    ]


def _scores_of(run: Run, target: str, study: str) -> list[str]:
    return [SCORED.at(target=target, study=study, shard=shard) for shard in asked.shards(run, study)]


def _ranking_inputs(run: Run, wildcards: Wildcards) -> dict[str, list[str] | str]:
    target, recipe = wildcards["target"], wildcards["recipe"]
    known = asked.studies(run, target, recipe)
    files: dict[str, list[str] | str] = {
        "scores": [path for study in known for path in _scores_of(run, target, study)],
        "summaries": [SUMMARY.at(study=study, **wildcards) for study in known],
        "elsewhere": [
            SUMMARY.at(study=study, target=other, recipe=by)
            for study, other, by in _elsewhere(run, wildcards)
        ],
        "bounds": [bound.path for bound in asked.bounds(run, target, recipe)],
    }
    if _has_ceiling(run, known):
        files["repeated"] = SUMMARY.at(study="repeated", **wildcards)
    return files


def _has_ceiling(run: Run, known: list[str]) -> bool:
    return "repeated" in run.studies and "influence" in known


def _elsewhere(run: Run, wildcards: Wildcards) -> Iterator[tuple[str, str, str]]:
    """(study, other target, its recipe) of every summary that tells of candidates on other targets."""
    target, recipe = wildcards["target"], wildcards["recipe"]
    for other, by in asked.others(run, target, recipe):
        there = asked.studies(run, other, by)
        yield from ((study, other, by) for study in asked.studies(run, target, recipe) if study in there)


def _ranking_settings(run: Run, wildcards: Wildcards) -> dict[str, Any]:
    target, recipe = wildcards["target"], wildcards["recipe"]
    return {
        "studies": [
            {
                "study": study,
                "network": asked.network(run, study),
                "models": asked.models(run, study),
                "shards": len(asked.shards(run, study)),
            }
            for study in asked.studies(run, target, recipe)
        ],
        "elsewhere": [[study, other] for study, other, _ in _elsewhere(run, wildcards)],
        "bounds": [[bound.reference, bound.study] for bound in asked.bounds(run, target, recipe)],
        "seed": run.seed,
    }


def _picture(name: str, suffix: str) -> Beside:
    """A figure of a target and recipe that Snakemake's report shows."""
    labels = {"target": "{target}", "recipe": "{recipe}", "figure": name.replace("_", " ")}
    return Beside(
        f"report/{{target}}/{{recipe}}/{name}{suffix}", "Transferability", "transferability.rst", labels
    )


RANK = Step(
    name="transferability",
    script="rank_scores.py",
    title="Rank transferability scores on {target} ({recipe})",
    outputs={
        "ranking": RANKING,
        "table": Beside("transferability/{target}/{recipe}/ranking.csv"),
        "candidates": Beside("transferability/{target}/{recipe}/candidates.csv"),
        "transferability": _picture("transferability", ".svg"),
        "transferability_png": Beside("report/{target}/{recipe}/transferability.png"),
        "score_scatter": _picture("score_scatter", ".png"),
    },
    inputs=_ranking_inputs,
    settings=_ranking_settings,
    made_for=_adapted,
)


def _with_classes(run: Run) -> list[dict[str, str]]:
    """Every (target, recipe) whose candidates are trained on random subsets of the source classes."""
    return [w for w in _adapted(run) if "influence" in asked.studies(run, w["target"], w["recipe"])]


CLASSES = Step(
    name="score_influences",
    script="estimate_score_influences.py",
    title="Estimate influences of source classes on scores for {target} ({recipe})",
    outputs={
        "influences": CLASS_EFFECTS,
        "table": Beside("transferability/{target}/{recipe}/influences.csv"),
        "score_influences": _picture("score_influences", ".png"),
    },
    inputs=lambda run, w: {"ranking": RANKING.at(**w), "summary": SUMMARY.at(study="influence", **w)},
    settings=lambda run, w: {
        "estimator": run.settings.influence.estimator,
        "permutations": run.section(TransferabilitySettings).permutations,
        "seed": run.seed,
    },
    made_for=_with_classes,
)


def _targets_of(run: Run, recipe: str) -> list[str]:
    return [w["target"] for w in _adapted(run) if w["recipe"] == recipe]


OVER = Step(
    name="transferability_over_targets",
    script="rank_over_targets.py",
    title="Rank transferability scores over targets ({recipe})",
    outputs={"ranking": OVER_TARGETS, "table": Beside("transferability_over_targets/{recipe}.csv")},
    inputs=lambda run, w: {"rankings": [RANKING.at(target=t, **w) for t in _targets_of(run, w["recipe"])]},
    settings=lambda run, w: {"targets": _targets_of(run, w["recipe"]), "seed": run.seed},
    made_for=lambda run: [
        {"recipe": recipe}
        for recipe in dict.fromkeys(w["recipe"] for w in _adapted(run))
        if len(_targets_of(run, recipe)) >= LEAST_TARGETS
    ],
)


class Transferability(Capability):
    """The test bed of transferability scores."""

    name = "transferability"
    settings = (TransferabilitySettings,)
    steps = (SCORE, RANK, CLASSES, OVER)

    def features(self, run: Run) -> Iterator[Features]:
        """What candidates make of every target's training images, and of source images if a score asks."""
        for target in run.targets:
            for study in asked.studies_of_target(run, target):
                yield Features(study, target, "train", asked.models(run, study))
                if asked.needs_source(run):
                    yield Features(study, run.source, "val", asked.models(run, study))

    def transfers(self, run: Run) -> Iterator[Transfer]:
        """Candidates on the target by the recipe, whose accuracy is the truth."""
        for target, recipe in run.adaptations:
            for study in asked.studies(run, target, recipe):
                yield Transfer(study, target, recipe, asked.models(run, study))

    def check(self, run: Run) -> None:
        """Refuse scores and studies that there are not, and a run without candidates."""
        given = run.section(TransferabilitySettings)
        if given is None:
            return
        _check_scores(asked.scores(run))
        if given.studies:
            asked.check_studies(run, given.studies)
        elif not any(asked.studies(run, *pair) for pair in run.adaptations):
            raise ConfigError(
                "config: transferability asks for scores of source models, but the run has none; set "
                "studies.reference, studies.influence or encoders, or transferability: null"
            )

    def check_data(self, run: Run) -> None:
        """Refuse so few models of study influence that some class's influence on scores is not known."""
        if not _with_classes(run):
            return
        names, masks = unit_names(run), run.studies["influence"].masks
        count = asked.models(run, "influence")
        drawn = designs.draw_masks(masks["design"], len(names), masks["keep"], run.seed, range(count))
        try:
            estimators.check_masks(drawn, names)
        except DataError as error:
            raise ConfigError(f"config: transferability.models: {error}") from None

    def sizes(
        self, run: Run, made: Artefact | Beside, wildcards: Wildcards, known: Mapping[str, int]
    ) -> dict[str, int]:
        """Sizes of scores, rankers and candidates."""
        from transferlens.transferability import sizes

        return sizes.of(run, made, wildcards, known)

    def sections(self, run: Run, results: Any) -> Iterator[Section]:
        """Which score can be believed, target by target, and over targets."""
        from transferlens.transferability import page

        return page.sections(run, results)


def _check_scores(names: list[str]) -> None:
    """Refuse scores that there are not, or that are named twice."""
    from transferlens.scores.measuring import find

    for name in names:
        try:
            find(name)
        except ConfigError as error:
            raise ConfigError(f"config: transferability.scores: {error}") from None
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigError(f"config: transferability.scores names '{twice}' twice; leave one of them out")


CAPABILITY = Transferability()
