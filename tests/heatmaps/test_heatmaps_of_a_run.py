"""What heatmaps ask of a run: which are made, of what, and what is refused before anything runs."""

import json

import pytest

from transferlens.core.errors import ConfigError
from transferlens.core.run import Run
from transferlens.data.capability import CAPABILITY as DATA
from transferlens.heatmaps.capability import CAPABILITY as HEATMAPS
from transferlens.influence.capability import CAPABILITY as INFLUENCE
from transferlens.training.capability import CAPABILITY as TRAINING

OF_TARGET = {"target": "optdigits", "recipe": "fixed"}


def run_of(**changes):
    given = {"source": "digits-and-clothes", "targets": {"optdigits": {}}, **changes}
    return Run(given, [DATA, TRAINING, INFLUENCE, HEATMAPS])


def test_heatmaps_are_drawn_by_default_and_faithfulness_is_asked_for():
    run = run_of()
    assert run.jobs_of("heatmaps") == [OF_TARGET]
    assert run.jobs_of("faithfulness") == []
    assert run_of(heatmaps={"faithfulness": {}}).jobs_of("faithfulness") == [OF_TARGET]


@pytest.mark.parametrize(
    ("changes", "heatmaps", "faithfulness"),
    [
        ({"heatmaps": None}, False, False),
        ({"studies": {"influence": None, "repeated": None}}, False, True),
        ({"studies": {"reference": None}}, False, False),
    ],
)
def test_nothing_is_made_where_there_is_nothing_to_make_it_of(changes, heatmaps, faithfulness):
    run = run_of(**{"heatmaps": {"faithfulness": {}}, **changes})
    assert bool(run.jobs_of("heatmaps")) == heatmaps
    assert bool(run.jobs_of("faithfulness")) == faithfulness
    assert bool(list(HEATMAPS.transfers(run))) == (heatmaps or faithfulness)


def test_a_job_knows_its_files_and_exactly_what_decides_them():
    run = run_of(heatmaps={"faithfulness": {"examples": 30}, "layer": "layer3"}, seed=5)
    inputs = run.inputs("heatmaps", OF_TARGET)
    assert inputs["source"] == "results/studies/reference/source/0000.h5"
    assert inputs["transfer"] == "results/studies/reference/transfer/optdigits/fixed/0000.h5"
    assert inputs["val"] == "results/data/optdigits/val.beton"
    assert inputs["influence"] == "results/influence/optdigits/fixed.h5"
    drawn = json.loads(run.settings_of("heatmaps", OF_TARGET))
    assert set(drawn) == {"method", "layer", "examples", "output", "colormap", "architecture", "input"}
    scored = json.loads(run.settings_of("faithfulness", OF_TARGET))
    assert set(scored) == {"methods", "layer", "examples", "steps", "seed", "architecture", "input"}
    assert (scored["examples"], scored["layer"], scored["seed"]) == (30, "layer3", 5)
    assert run.wants_gpu("heatmaps")
    assert run.wants_gpu("faithfulness")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"heatmaps": {"output": "correct"}},
            r"heatmaps.output is 'correct', which is not among",
        ),
        ({"heatmaps": {"method": "LayerCam"}}, r"'heatmaps.method' is 'LayerCam' \(did you mean 'LayerCAM'"),
        ({"heatmaps": {"faithfulness": {"methods": ["CAM", "CAM"]}}}, "names a method twice"),
        ({"heatmaps": {"layer": ""}}, "'heatmaps.layer' is impossible"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(changes, message):
    with pytest.raises(ConfigError, match=message) as caught:
        run_of(**changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"method": "LayerCAM", "layer": "layer5"}, "the network has no layer 'layer5'"),
        ({"method": "LeGrad"}, "LeGrad follows the attention"),
        ({"layer": "layer2"}, "CAM is the evidence at the layer that is pooled"),
    ],
)
def test_layers_are_checked_against_the_network(given, message):
    with pytest.raises(ConfigError, match=message):
        HEATMAPS.check_networks(run_of(heatmaps=given))


def test_settings_that_every_network_allows_are_not_checked():
    HEATMAPS.check_networks(run_of(heatmaps=None))
    HEATMAPS.check_networks(run_of(heatmaps={"method": "GradCAM"}))
