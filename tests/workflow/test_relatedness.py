"""Bounds of the smoke study, and the published large scale planned before its data are there."""

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from tests.workflow.conftest import REPOSITORY, copy_project, planned_jobs
from transferlens import open_results
from transferlens.capabilities import run_of

pytestmark = pytest.mark.workflow

PLACE = ("optdigits", "source", "reference")


@pytest.fixture(scope="module")
def made(smoke):
    return open_results(smoke / "results").task_relatedness(*PLACE)


def test_every_bound_holds_and_is_the_sum_of_its_parts(made):
    assert made.sizes["model"] == 6
    parts = made.reference_loss + made.label_mismatch + made.transport + made.prior_gap
    np.testing.assert_allclose(made.bound, parts, atol=1e-9)
    np.testing.assert_allclose(made.transport, made.lipschitz * made.wasserstein)
    assert (made.transformed_loss <= made.bound_tight + 1e-9).all()
    assert (made.bound_tight <= made.bound + 1e-9).all()
    assert (made.slack >= -1e-8).all()
    np.testing.assert_allclose(made.label_map.sum("target_class"), 1)
    assert (made.head_lipschitz <= 0.2 * (1 + 1e-6)).all()
    np.testing.assert_allclose(made.lipschitz, 0.2, rtol=1e-6)  # orthogonal maps keep it


def test_numbers_of_classes_average_to_those_of_the_target(made):
    for name in ("wasserstein", "transformed_loss"):
        np.testing.assert_allclose((made[f"class_{name}"] * made.class_prior).sum("target_class"), made[name])
    np.testing.assert_allclose(
        (made.class_probe_loss * made.class_prior).sum("target_class"), made.probe_loss
    )


def test_what_models_of_a_source_learned_is_worth_more_than_random_features(made):
    accuracy = made.probe_accuracy.sel(tau=0.2)
    assert accuracy[made.role == "full"].mean() > accuracy[made.role == "scratch"].mean()


def test_the_page_tables_and_figures_are_there(smoke, made):
    results = smoke / "results"
    table = pd.read_csv(results / "relatedness/optdigits/source/reference.csv")
    assert len(table) == made.bound.size
    written = (results / "report/index.html").read_text(encoding="utf-8")
    for text in ("what is promised before a transfer", "Does a source class near a target class help it?"):
        assert text in written
    for name in ("bounds", "models", "classes", "trace"):
        assert (results / f"report/relatedness/optdigits/source/reference/{name}.svg").stat().st_size > 5000


def test_near_classes_are_set_beside_the_influences(smoke):
    results = open_results(smoke / "results")
    found = results.relatedness_and_influence("optdigits", "fixed", "source", "reference")
    report = results.influence("optdigits", "fixed", "p_true").sel(half="report")
    np.testing.assert_array_equal(found.influence, report.class_effect)
    assert found.same_name.sum() == 10
    assert found.agreement_p.notnull().all()
    assert (found.agreement_low < found.agreement_high).all()


def test_the_published_small_scale_is_planned(tmp_path):
    counts = planned_jobs(copy_project(tmp_path), "--configfile", "configs/relatedness-small.yaml")
    # four targets, of which one is the source itself; of all, both splits
    assert (counts["relatedness"], counts["relatedness_figures"], counts["features"]) == (4, 4, 8)
    assert "relatedness_reading" not in counts


def test_the_published_large_scale_can_be_asked_for(tmp_path, monkeypatch):
    """As a dry run does, without Snakemake: networks, weights and classes are checked, jobs are listed."""
    pytest.importorskip("timm")
    torchvision = pytest.importorskip("torchvision")
    monkeypatch.chdir(tmp_path)
    given = yaml.safe_load((REPOSITORY / "configs/relatedness-large.yaml").read_text(encoding="utf-8"))
    for name in ("swav", "simclr"):  # ResNet-50 from a file, as by MoCo
        del given["encoders"][name], given["relatedness"]["models"][f"encoders/{name}"]
    for name in ("resnet18", "resnet50"):  # zeros in place of weights that have to be fetched
        with torch.device("meta"):
            network = getattr(torchvision.models, name)()
        zeros = {key: torch.zeros_like(value, device="cpu") for key, value in network.state_dict().items()}
        torch.save(zeros, f"{name}.pth")
    for encoder in given["encoders"].values():
        if encoder["weights"].startswith("weights/"):
            encoder["weights"] = f"{encoder['architecture']['name']}.pth"
            encoder.pop("prefix", None)
    run = run_of(given)
    run.check_networks()
    run.check_data()
    # seven targets with a reference each, five encoders; features of eight data sets, both splits
    assert len(run.jobs_of("relatedness")) == len(run.jobs_of("relatedness_figures")) == 7 * 5
    assert len(run.jobs_of("features")) == 8 * 2 * 5
