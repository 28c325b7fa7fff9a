"""What scores of source models, their ranking, and what they see of source classes are stored as."""

import numpy as np

from transferlens.core.artefacts import Artefact, Field, estimate
from transferlens.core.studies import ROW_FIELDS

SCORED = Artefact(
    kind="transferability scores",
    path="transferability/{target}/scores/{study}/{shard}.h5",
    fields=(
        *ROW_FIELDS,
        Field("score", ("score",), str, "transferability score"),
        Field(
            "part",
            ("part",),
            str,
            "what is stored of a score: itself, or `score:part` of one that is made "
            "of the parts of all candidates",
        ),
        Field("part_score", ("part",), np.int64, "position in score of the score that it belongs to"),
        Field("part_value", ("model", "part"), np.float64, "NaN where it cannot be had"),
        Field("seconds", ("model", "score"), np.float64, "that the score takes, features given", "seconds"),
        Field("reason", ("model", "score"), str, "why it cannot be had; '' where it is there"),
        Field("parameters", ("model",), np.int64, "numbers in the state of the source network"),
    ),
)

_RANKED = ("pool", "ranker")
_MEASURED = (*_RANKED, "measure")
_RANKER_FIELDS = (
    Field("ranker", ("ranker",), str, "what orders the candidates"),
    Field("title", ("ranker",), str, "its name in words"),
    Field("sort", ("ranker",), str, "score; bound: minus a bound; static: knows nothing of the target"),
    Field(
        "seconds",
        ("ranker",),
        np.float64,
        "mean a candidate, features given; NaN: nothing is computed",
        "seconds",
    ),
)
_POOL_FIELDS = (
    Field(
        "pool", ("pool",), str, "the candidates of a kind of study; all; within networks: means over these"
    ),
    Field("candidates", ("pool",), np.int64, "how many there are"),
    Field(
        "draws", ("pool",), np.int64, "independent draws among them: complementary pairs, repeats, weights"
    ),
    Field("interval_missing", ("pool",), str, "why there are no intervals over models; '' where there are"),
    *estimate("chance", ("pool",), "weighted tau of random scores", "low high"),
    Field("measure", ("measure",), str, "how well a ranker orders candidates"),
)
_TABLE_FIELDS = (
    *_POOL_FIELDS,
    Field("known", _RANKED, np.int64, "candidates for which the ranker knows a value"),
    Field("missing", _RANKED, str, "why there is no agreement; '' where there is"),
    *estimate("agreement", _MEASURED, "agreement of ranker and accuracy; over draws of models", "low high"),
    Field("p", _RANKED, np.float64, "two-sided p-value of a weighted tau of zero, over draws of models"),
    Field("p_holm", _RANKED, np.float64, "Holm's p over the scores of the pool"),
    Field("least_without_one", _RANKED, np.float64, "least weighted tau with one candidate left out"),
    Field("most_without_one", _RANKED, np.float64, "largest weighted tau with one candidate left out"),
    *estimate(
        "gain",
        _RANKED,
        "weighted tau minus that of the best static ranker, whichever it is; over draws of models",
        "low high",
    ),
    Field("gain_p", _RANKED, np.float64, "p-value of no gain over at least one static ranker"),
    Field("gain_p_holm", _RANKED, np.float64, "Holm's gain_p over the scores of the pool"),
    Field(
        "best_static", _RANKED, str, "the static ranker with the highest weighted tau on the same candidates"
    ),
)

RANKING = Artefact(
    kind="transferability",
    path="transferability/{target}/{recipe}/ranking.h5",
    fields=(
        Field("candidate", ("candidate",), str, "study and row of the source model"),
        Field("candidate_study", ("candidate",), str, "its study"),
        Field("candidate_model", ("candidate",), np.int64, "its row number there"),
        Field("candidate_network", ("candidate",), str, "its network"),
        Field("candidate_draw", ("candidate",), str, "the draw of models that it belongs to"),
        Field("accuracy", ("candidate",), np.float64, "after transfer, mean of both halves of the images"),
        Field("value", ("ranker", "candidate"), np.float64, "what the ranker says; higher is better"),
        Field("reason", ("ranker",), str, "why it is unknown for some candidates; '' where for none"),
        *_RANKER_FIELDS,
        *_TABLE_FIELDS,
        Field("ceiling_from", ("ceiling_from",), str, "the models that tell how noisy accuracy is"),
        *estimate(
            "ceiling",
            ("ceiling_from",),
            "most that what knows the source classes alone can correlate "
            "with the accuracies of study influence",
            "low high",
        ),
    ),
    attributes={
        "metric": "what accuracy is, as in summaries",
        "images": "evaluation images behind an accuracy",
        "other_targets": "targets whose accuracies make the ranker `other targets`",
    },
)

OVER_TARGETS = Artefact(
    kind="transferability over targets",
    path="transferability_over_targets/{recipe}.h5",
    fields=(
        Field("target", ("target",), str, "target"),
        *_RANKER_FIELDS,
        *_TABLE_FIELDS,
        Field("by_target", ("target", *_RANKED), np.float64, "weighted tau on the target"),
        *estimate("over_targets", _RANKED, "mean weighted tau; over targets", "low high"),
        *estimate(
            "targets_gain",
            _RANKED,
            "mean weighted tau minus that of the best static ranker; over targets",
            "low high",
        ),
        Field(
            "targets_gain_p", _RANKED, np.float64, "p-value of no gain over some static ranker; over targets"
        ),
        Field(
            "targets_gain_p_holm", _RANKED, np.float64, "Holm's targets_gain_p over the scores of the pool"
        ),
    ),
)

_OF_UNIT = ("ranker", "unit")
CLASS_EFFECTS = Artefact(
    kind="score influences",
    path="transferability/{target}/{recipe}/influences.h5",
    fields=(
        Field("unit", ("unit",), str, "source class, or group of classes"),
        *_RANKER_FIELDS,
        *estimate(
            "effect",
            _OF_UNIT,
            "what the unit adds to the score, in standard deviations of the score over models",
            "se low high p q",
        ),
        *estimate("accuracy_effect", ("unit",), "what the unit adds to the accuracy", "se low high p q"),
        *estimate(
            "correlation",
            ("ranker",),
            "rank correlation over units of effects on the score (one fold of "
            "the models) and on the accuracy (the other)",
            "low high p",
        ),
        Field("p_holm", ("ranker",), np.float64, "Holm's p over the scores"),
        *estimate(
            "of_reachable",
            ("ranker",),
            "correlation as a share of that of the true effects on accuracy",
            "low high",
        ),
        *estimate(
            "reliability", ("ranker",), "rank correlation of both folds' effects on the score", "low high"
        ),
        *estimate("ceiling", (), "rank correlation of both folds' effects on the accuracy", "low high"),
        Field("missing", ("ranker",), str, "why the ranker has no effects; '' where it has"),
    ),
    attributes={
        "models": "models of study influence that effects are estimated from",
        "estimator": "of the effects of all models",
        "fold_estimator": "of the effects of a fold",
        "folds_missing": "why effects are not compared; '' where they are",
    },
)
