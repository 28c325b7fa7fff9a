"""What encoders declare: studies with their own networks and inputs; what is refused before anything runs."""

import subprocess
import sys

import pytest

from transferlens.capabilities import run_of
from transferlens.core.configuration import merged
from transferlens.core.errors import ConfigError
from transferlens.encoders import page

BASE = {
    "source": "digits-and-clothes",
    "targets": {"optdigits": {"recipes": ["fixed"]}},
    "recipes": {"fixed": {}, "full": {"kind": "full"}},
    "input": {"resolution": 32, "crop_ratio": 0.9},
    "architecture": {"name": "small_resnet"},
    "studies": {"influence": None, "repeated": None, "counterfactual": None},
}
LITE1 = {"architecture": {"name": "efficientnet_lite1"}, "weights": "efficientnet-lite1"}
OWN = {"architecture": {"name": "small_resnet", "width": 8}, "weights": "mine.pt"}


def run_with(encoders, **more):
    return run_of(merged({**BASE, "encoders": encoders}, more))


def check(run):
    """As planning does."""
    run.check_networks()
    run.check_data()


def test_each_encoder_is_a_study_with_its_own_network_and_input():
    run = run_with({"lite1": LITE1, "own": {**OWN, "input": {"resolution": 24, "mean": [0.1, 0.2, 0.3]}}})
    lite1, own = (run.studies[f"encoders/{name}"] for name in ("lite1", "own"))
    assert lite1.rows == own.rows == 6
    assert lite1.loads["weights"] == "efficientnet-lite1"
    assert lite1.loads["head"] == "probe"
    network = run.architecture_of("encoders/lite1")
    assert (network["name"], network["resolution"]) == ("efficientnet_lite1", 240)
    images = run.input_of("optdigits", "encoders/lite1")
    assert (images["resolution"], images["mean"], images["std"]) == (240, [0.5] * 3, [0.5] * 3)
    assert images["crop_ratio"] == 0.9
    assert run.architecture_of("encoders/own")["width"] == 8
    images = run.input_of("optdigits", "encoders/own")
    assert (images["resolution"], images["mean"]) == (24, [0.1, 0.2, 0.3])
    assert images["std"] == run.settings.input.std
    assert run.input_of("optdigits")["resolution"] == run.architecture_of()["resolution"] == 32


def test_a_data_sets_own_crop_goes_before_the_encoders():
    given = {"own": {**OWN, "input": {"crop_ratio": 0.5}}}
    run = run_with(given, datasets={"optdigits": {"crop_ratio": 1.0}})
    assert run.input_of("optdigits", "encoders/own")["crop_ratio"] == 1.0
    assert run.input_of("digits-and-clothes", "encoders/own")["crop_ratio"] == 0.5


def test_encoders_are_loaded_transferred_summarised_and_compared():
    run = run_with({"lite1": LITE1, "own": {**OWN, "repeats": 1}}, variance=None)
    studies = {(study, target, recipe) for study, target, recipe in run.transfers}
    assert studies == {(s, "optdigits", "fixed") for s in ("reference", "encoders/lite1", "encoders/own")}
    loaded = {w["study"] for w in run.jobs_of("load_pretrained")}
    assert loaded == {"encoders/lite1", "encoders/own"}
    assert {w["study"] for w in run.jobs_of("train_source")} == {"reference"}
    (job,) = run.jobs_of("candidates")
    assert run.inputs("candidates", job)["summaries"] == [
        f"results/studies/{study}/summary/optdigits/fixed.h5"
        for study in ("reference", "encoders/lite1", "encoders/own")
    ]
    shard = {"study": "encoders/own", "shard": "0000"}
    assert run.inputs("load_pretrained", shard)["weights"] == "mine.pt"
    assert "weights" not in run.inputs("load_pretrained", {**shard, "study": "encoders/lite1"})


def test_jobs_of_an_encoder_are_made_with_its_input():
    run = run_with({"lite1": LITE1})
    shard = {"study": "encoders/lite1", "shard": "0000"}
    for step, wildcards in {
        "load_pretrained": shard,
        "transfer": {**shard, "target": "optdigits", "recipe": "fixed"},
        "features": {**shard, "dataset": "optdigits", "split": "val"},
    }.items():
        settings = run.steps[step].settings(run, wildcards)
        assert settings["input"]["resolution"] == settings["architecture"]["resolution"] == 240, step
        assert settings["input"]["mean"] == [0.5] * 3, step


def test_without_encoders_there_is_nothing_of_them():
    run = run_with({})
    assert not [study for study in run.studies if study.startswith("encoders/")]
    assert run.jobs_of("candidates") == []


def test_a_known_input_is_looked_up_without_torch():
    program = (
        "import sys; from tests.encoders.test_encoders import LITE1, OWN, run_with;"
        "run_with({'a': LITE1, 'b': OWN}).studies; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    ("encoders", "message"),
    [
        ({"own": {**OWN, "wieghts": 1}}, "unknown key 'encoders.own.wieghts' (did you mean 'weights'?)"),
        ({"own": {**OWN, "input": {"size": 8}}}, "unknown key 'encoders.own.input.size'"),
        ({"a/b": OWN}, "'encoders' has the name 'a/b'; names are letters, digits, '_' and '-'"),
        ({"own": {"weights": "mine.pt"}}, "'encoders.own.architecture' is missing"),
        ({"own": {**OWN, "repeats": 0}}, "'encoders.own.repeats' is impossible: 0"),
    ],
)
def test_bad_settings_are_named(encoders, message):
    with pytest.raises(ConfigError) as error:
        run_with(encoders)
    assert message in str(error.value)


def test_resizing_in_pixels_is_refused_for_images_of_another_size():
    resizing = {"training": {"resize": {"low": 16, "high": 32, "start": 0, "end": 4}}}
    recipes = {"full": {"kind": "full", **resizing}, "fixed": resizing}
    used = {"optdigits": {"recipes": ["full"]}}
    with pytest.raises(ConfigError, match=r"encoders\.lite1 takes images of 240 px .* 16 to 32"):
        run_with({"lite1": LITE1}, recipes=recipes, targets=used)
    run_with({"own": OWN}, recipes=recipes, targets=used)
    # Fixed features are those of the evaluation crop.
    run_with({"lite1": LITE1}, recipes=recipes)


@pytest.mark.parametrize(
    ("encoders", "message"),
    [
        ({"own": OWN}, "encoders.own.weights: no file 'mine.pt'"),
        ({"lite1": {**LITE1, "weights": "lite1"}}, "encoders.lite1.weights: 'lite1' is no file"),
        ({"lite1": {**LITE1, "head": "given"}}, "the source class 'digit 0' is none of them"),
        (
            {"vit": {"architecture": {"name": "vit_b_16"}, "weights": "x.pt", "input": {"resolution": 30}}},
            "encoders/vit: architecture: vit_b_16 cannot take images of 30 px",
        ),
    ],
)
def test_weights_heads_and_sizes_are_checked_before_anything_runs(encoders, message, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as error:
        check(run_with(encoders))
    assert message in str(error.value)


def test_an_input_at_odds_with_the_published_weights_is_told():
    odd = {**LITE1, "input": {"mean": [0.485, 0.456, 0.406]}}
    (warning,) = page.other_inputs(run_with({"usual": LITE1, "odd": odd, "own": OWN}))
    assert "encoders.odd: images enter with mean [0.485, 0.456, 0.406]" in warning
    assert "expect [0.5, 0.5, 0.5] and [0.5, 0.5, 0.5]" in warning
