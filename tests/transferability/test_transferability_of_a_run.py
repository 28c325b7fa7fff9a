"""What a configuration asks of transferability, what is refused, means over targets, the page's words."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml

from tests.summaries import subset_rows, write_summary
from tests.transferability.planted import candidates, score, static
from transferlens.capabilities import run_of
from transferlens.core import labelled
from transferlens.core.configuration import merged
from transferlens.core.errors import ConfigError
from transferlens.data.capability import described
from transferlens.transferability import asked, files, findings, ranking, tables
from transferlens.transferability.artefacts import OVER_TARGETS, RANKING
from transferlens.transferability.measures import weighted_tau

REPOSITORY = Path(__file__).resolve().parents[2]
GIVEN = {
    "source": "digits-and-clothes",
    "targets": {"optdigits": {"recipes": ["fixed", "full"]}},
    "recipes": {"fixed": {}, "full": {"kind": "full"}},
    "transferability": {"scores": ["leep", "logme"], "models": 32},
}


def run_with(**given):
    return run_of(merged(GIVEN, given))


def test_candidates_are_studies_of_the_target_and_recipe_and_are_made_once():
    run = run_with()
    known = asked.studies(run, "optdigits", "fixed")
    assert known == ["reference", "influence", "counterfactual/optdigits/fixed"]
    assert len(run.jobs_of("transferability")) == len(run.jobs_of("score_influences")) == 2
    assert len([w for w in run.jobs_of("transferability_scores") if w["study"] == "influence"]) == 2
    assert run.feature_shards("influence", "optdigits", "train") == ["0000", "0001"]
    assert run.jobs_of("transferability_over_targets") == []
    inputs = run.inputs("transferability", {"target": "optdigits", "recipe": "full"})
    assert len(inputs["summaries"]) == 3
    assert "repeated" in inputs
    assert "elsewhere" not in inputs


def test_source_images_are_read_where_a_score_asks_for_them():
    shard = {"target": "optdigits", "study": "influence", "shard": "0001"}
    assert "source_features" not in run_with().inputs("transferability_scores", shard)
    run = run_with(transferability={"scores": ["f_otce"]})
    assert "/digits-and-clothes/val/0001" in run.inputs("transferability_scores", shard)["source_features"]
    assert len(asked.scores(run_with(transferability={"scores": "all"}))) > 20


def test_nothing_is_asked_for_where_it_is_null():
    run = run_with(transferability=None)
    assert not any(run.jobs_of(step) for step in ("transferability", "transferability_scores"))
    assert ("influence", "optdigits", "train", None) not in run.features


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"scores": ["leap"]}, "score 'leap' is unknown (did you mean 'leep'?)"),
        ({"scores": ["leep", "leep"]}, "names 'leep' twice"),
        ({"scores": []}, "scores"),
        ({"studies": ["influenc"]}, "'influenc', whose models are no candidates (did you mean 'influence'?)"),
        ({"studies": ["encoders"]}, "names 'encoders', which this run does not have; set encoders"),
        ({"studies": ["pretrained"]}, "which this run does not have; set studies.pretrained"),
        ({"models": 4}, "transferability.models"),
        ({"models": 33}, "transferability.models"),
    ],
)
def test_bad_settings_are_refused_in_one_line(given, says):
    with pytest.raises(ConfigError) as error:
        run_with(transferability=given)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_a_run_without_candidates_is_refused():
    none = {"reference": None, "influence": None, "repeated": None, "counterfactual": None}
    with pytest.raises(ConfigError, match="but the run has none"):
        run_with(studies=none, heatmaps=None)


def test_the_study_of_scores_ranks_over_four_targets():
    given = [
        yaml.safe_load((REPOSITORY / f"configs/{n}.yaml").read_text()) for n in ("photographs", "scores")
    ]
    run = run_of(merged(*given))
    run.check_data()
    assert len(run.jobs_of("transferability")) == 5
    assert run.jobs_of("transferability_over_targets") == [{"recipe": "fixed"}]
    # By the recipe where another target has it, else by its first.
    assert asked.others(run, "optdigits", "fixed")[0] == ("cifar10", "fixed")
    assert asked.others(run, "cifar10", "full")[0] == ("twenty-others", "fixed")
    fifty, others = (set(described(run, name)[0]) for name in ("fifty-classes", "twenty-others"))
    assert len(others) == 20
    assert not fifty & others


def test_the_plan_knows_the_sizes_of_all_files():
    run = run_with()
    known = {"model": 32, "unit": 20}
    for step in ("transferability_scores", "transferability", "score_influences"):
        for made in run.steps[step].outputs.values():
            sizes = run.capabilities[[c.name for c in run.capabilities].index("transferability")].sizes(
                run, made, run.jobs_of(step)[0], known
            )
            dims = {dim for field in getattr(made, "fields", ()) for dim in field.dims}
            assert dims <= {*sizes, *known}
            assert dims or sizes["bytes"]


@pytest.fixture(scope="module")
def three_targets(tmp_path_factory):
    """Rankings of the same 16 pairs on three targets by a score that is right, a wrong one, a static one."""
    folder, rng = tmp_path_factory.mktemp("targets"), np.random.default_rng(0)
    of = subset_rows(np.ones((32, 2), bool), ["a", "b"], ["", ""])
    summary = write_summary(folder / "summary.h5", of, [0, 1], [0, 1], ["x", "y"])
    made = []
    for target in range(3):
        accuracy = rng.random(32)
        gathered = candidates(accuracy, draw=[f"pair {i // 2}" for i in range(32)])
        rankers = [
            score(accuracy + rng.normal(0, 0.05, 32), "right"),
            score(-accuracy, "wrong"),
            static(accuracy + rng.normal(0, 0.8, 32), "other targets"),
        ]
        path = folder / f"{target}.h5"
        files.write_ranking(path, (gathered, rankers), [], ["u"], summary, 0)
        made.append(path)
    return made


def test_a_ranking_is_told_in_words_and_tables(three_targets):
    made = labelled.read(three_targets[0], RANKING)
    said = findings.verdict(made.sel(pool="influence"))
    assert said == "Models of influence: Right beats every static ranker; Wrong is behind the best of them."
    table = tables.ranking_table(made, made.sel(pool="influence"))
    assert [row[0] for row in table.rows] == ["Right", "Wrong", "other targets", "random scores"]
    assert table.rows[1][1].startswith("-1.00")
    frame = files.table(made)
    assert frame.shape[0] == 3
    assert frame.set_index("ranker").weighted_tau["wrong"] == pytest.approx(-1)
    assert files.candidate_table(made).right.corr(files.candidate_table(made).accuracy) > 0.9


def test_no_winner_and_too_few_models_are_said_to_be_so():
    of = candidates(np.arange(12.0), draw=[f"seed {i % 4}" for i in range(12)])
    rankers = [score(np.arange(12.0)), static(-np.arange(12.0))]
    few = labelled_table(of, rankers)
    assert "too few models to tell" in findings.verdict(few)
    rng = np.random.default_rng(0)
    of = candidates(rng.random(24))
    none = labelled_table(of, [score(rng.random(24)), static(rng.random(24))])
    assert "no score is shown to beat the best static ranker (gains of up to +" in findings.verdict(none)


def labelled_table(of, rankers):
    """A pool's table as the page reads it."""
    table = ranking.ranked(of, rankers, ranking.pools(of), 0)
    names = {"pool": ["influence"], "sort": ("ranker", [r.sort for r in rankers])}
    dims = {1: ("pool",), 2: ("pool", "ranker"), 3: ("pool", "ranker", "measure")}
    fields = {name: (dims[np.ndim(values)], values) for name, values in table.items()}
    titles = {"title": ("ranker", [r.title for r in rankers])}
    return xr.Dataset({**fields, **titles, "sort": names.pop("sort")}, names).isel(pool=0)


def test_a_mean_over_targets_has_intervals_over_models_and_over_targets(three_targets, tmp_path):
    ranked = [files.read_ranking(path, f"target {i}") for i, path in enumerate(three_targets)]
    files.write_over_targets(tmp_path / "over.h5", ranked, 0)
    made = labelled.read(tmp_path / "over.h5", OVER_TARGETS)
    of = made.sel(pool="influence")
    tau = [weighted_tau(one.rankers[2].values, one.candidates.accuracy) for one in ranked]
    np.testing.assert_allclose(of.by_target.sel(ranker="other targets"), tau)
    of_static = of.sel(ranker="other targets")
    assert float(of_static.over_targets) == pytest.approx(np.mean(tau))
    assert float(of_static.agreement.sel(measure="weighted tau")) == pytest.approx(np.mean(tau))
    reach = 4.302653 * np.std(tau, ddof=1) / np.sqrt(3)
    assert float(of_static.over_targets_high) == pytest.approx(np.mean(tau) + reach)
    right = of.sel(ranker="right")
    gains = np.array([one.tau[0, 0] - t for one, t in zip(ranked, tau, strict=True)])
    assert float(right.targets_gain) == pytest.approx(gains.mean())
    assert float(right.targets_gain_low) < gains.mean() < float(right.targets_gain_high)
    assert int(of.draws) == 16
    assert int(of.candidates) == 96
    assert findings.targets_verdict(of).startswith(("Right: beats", "No score"))
