"""Two encoders of different sizes and normalisations through the scripts, on small real images."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from tests.conftest import INPUT, TRAINING, changed
from transferlens import open_results
from transferlens.capabilities import run_of
from transferlens.core import job, provenance
from transferlens.core.settings import NetworkSettings
from transferlens.data import index, pipeline
from transferlens.encoders import page
from transferlens.training import networks, source

FAST = changed(TRAINING, epochs=20, lr=0.5).model_dump()
ADAPTED = {"target": "patterns", "recipe": "fixed"}
SHARD = {"shard": "0000"}
ENCODERS = ("small", "wide")
STEPS = ("dataset", "beton", "draw_masks", "load_pretrained", "transfer", "summary", "candidates", "report")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(image_folder, tmp_path_factory):
    """A project in which two files of weights are encoders, compared on another name of the same images."""
    place = tmp_path_factory.mktemp("encoders")
    given = {
        "source": "textures",
        "targets": {"patterns": {}},
        "datasets": {name: {"path": str(image_folder)} for name in ("textures", "patterns")},
        "architecture": {"name": "small_resnet", "width": 8},
        "input": INPUT.model_dump(),
        "source_training": FAST,
        "recipes": {"fixed": {"training": FAST}},
        "studies": dict.fromkeys(("reference", "influence", "repeated", "counterfactual")),
        "encoders": {
            "small": encoder(place, 8, repeats=2, input={"resolution": 24, "mean": [0.5] * 3}),
            "wide": encoder(place, 16, repeats=1, input={"resolution": 20, "crop_ratio": 1.0}),
        },
    }
    run = run_of(given)
    run.check_data()
    with pytest.MonkeyPatch.context() as patch, provenance.nothing():
        patch.chdir(place)
        patch.setattr(job, "run", lambda main, arguments: main(arguments))
        for step in STEPS:
            for wildcards in run.jobs_of(step):
                do(run, step, wildcards, patch)
        for name in ENCODERS:
            of = {**SHARD, "study": f"encoders/{name}", "dataset": "patterns", "split": "val"}
            do(run, "features", of, patch)
    return run, place


def encoder(place, width, **more):
    """A random network of a width, saved as its own weights."""
    architecture = NetworkSettings(name="small_resnet", width=width)
    network = source.initial_network(architecture, 3, width)
    torch.save(network.state_dict(), place / f"{width}.pt")
    return {
        "architecture": {"name": "small_resnet", "width": width},
        "weights": str(place / f"{width}.pt"),
        **more,
    }


def do(run, step, wildcards, patch):
    """Run a job of a step, as Snakemake would, in this process."""
    outputs = {name: made.at(**wildcards) for name, made in run.steps[step].outputs.items()}
    words = run.words(step, wildcards, run.inputs(step, wildcards), outputs)
    patch.setattr(sys, "argv", words)
    runpy.run_path(words[0], run_name="__main__")


@pytest.fixture
def results(folder, monkeypatch):
    monkeypatch.chdir(folder[1])
    return open_results("results")


def test_each_encoder_is_read_like_any_study(results):
    assert results.studies == ["encoders/small", "encoders/wide"]
    for name, models in zip(ENCODERS, (4, 2), strict=True):
        summary = results.summary(f"encoders/{name}", **ADAPTED)
        assert summary.sizes["model"] == models
        assert summary.role.values.tolist() == ["pretrained", "scratch"] * (models // 2)
    record = results.source_models("encoders/small")
    # A probe of the source's classes on features of random convolutions.
    assert float(record.accuracy[0]) > 0.6


@pytest.mark.parametrize(("name", "width", "side", "crop"), [("small", 8, 24, 0.9), ("wide", 16, 20, 1.0)])
def test_features_are_those_of_its_network_on_its_input(results, folder, name, width, side, crop):
    made = results.features(f"encoders/{name}", "patterns", "val", "0000")
    assert made.sizes["feature"] == 4 * width
    mean = [0.5] * 3 if name == "small" else INPUT.mean
    images = changed(INPUT, resolution=side, crop_ratio=crop, mean=mean)
    examples = index.read_index("results/data/patterns/index.h5").val
    val = pipeline.open_images(Path("results/data/patterns/val.beton"), examples, images, CPU)
    network = source.initial_network(NetworkSettings(name="small_resnet", width=width), 3, width).eval()
    with torch.no_grad():
        expected = network.backbone(val.pick(np.arange(len(examples)))[0]).numpy()
    np.testing.assert_allclose(made.features.values[0], expected, rtol=1e-4, atol=1e-5)


def test_the_source_models_are_the_weights_that_were_given(folder, results):
    run, place = folder
    path = place / "results/studies/encoders/wide/source/0000.h5"
    architecture = NetworkSettings.read(run.architecture_of("encoders/wide"))
    given, scratch = networks.source_networks([path], architecture, CPU)
    state = torch.load(place / "16.pt")
    first = next(name for name in state if state[name].ndim == 4)
    for name in (name for name in state if not name.startswith("head")):
        assert torch.equal(given.state_dict()[name], state[name]), name
    assert not torch.equal(scratch.state_dict()[first], state[first])


def test_the_comparison_is_in_a_file_in_a_table_and_on_the_page(folder, results):
    run, place = folder
    made = results.candidate_sources(**ADAPTED)
    assert made.candidate.values.tolist() == ["encoders/small", "encoders/wide"]
    assert made.resolution.values.tolist() == [24, 20]
    assert made.models.values.tolist() == [2, 1]
    summary = results.summary("encoders/small", **ADAPTED, outputs=[])
    accuracy = summary.accuracy.sel(half="report").values
    assert float(made.accuracy[0]) == pytest.approx(accuracy[::2].mean())
    assert float(made.gain[0]) == pytest.approx((accuracy[::2] - accuracy[1::2]).mean())
    table = pd.read_csv(place / "results/candidates/patterns/fixed.csv")
    assert table.accuracy.tolist() == pytest.approx(made.accuracy.values.tolist())
    written = (place / "results/report/index.html").read_text(encoding="utf-8")
    assert "Candidate sources" in written
    assert 'href="statistics.html#candidate-sources"' in written
    (section,) = page.sections(run, results)
    (shown,) = section.blocks
    assert [row[0] for row in shown.rows] == ["encoders/small", "encoders/wide"]
    assert section.warnings == (
        "patterns (fixed): of encoders/small, encoders/wide there are fewer than 3 models, so that intervals "
        "are very wide or missing.",
    )
