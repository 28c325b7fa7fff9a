"""The configuration is complete, typed, and refused with one line."""

from pathlib import Path

import pytest
import yaml

from transferlens.core import config
from transferlens.core.errors import ConfigError
from transferlens.core.settings import TrainingSettings
from transferlens.data import catalogue
from transferlens.training.recipes import settings as recipes

REPOSITORY = Path(__file__).resolve().parents[2]
SCHEMA = yaml.safe_load((REPOSITORY / "workflow/schemas/config.schema.yaml").read_text())
MINIMAL = {"source": "digits-and-clothes", "targets": {"optdigits": {}}}


def load(**changes):
    return config.load({**MINIMAL, **changes}, SCHEMA)


def memories(recipe, remedies, **changes):
    """A study of memories with remedies of a recipe."""
    recipes = {"fixed": {}, "full": {"kind": "full"}}
    return {"recipes": recipes, "memories": {"recipes": [recipe], "remedies": remedies}, **changes}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sead": 1}, "unknown key 'sead' (did you mean 'seed'?)"),
        ({"input": {"resolutoin": 3}}, "'input.resolutoin' (did you mean 'resolution'?)"),
        ({"seed": 1.0}, "'seed' is 1.0 (float); it must be of type integer"),
        ({"seed": "3"}, "'seed' is '3' (str)"),
        ({"seed": True}, "'seed' is True (bool)"),
        ({"source": 5}, "'source' is 5 (int)"),
        ({"input": {"resolution": 4}}, "'input.resolution' is impossible"),
        ({"architecture": {"name": "resnet"}}, "did you mean 'resnet50'?"),
        ({"architecture": {"width": 12}}, "'architecture.width' is impossible: 12 is not a multiple of 8"),
        ({"targets": {}}, "'targets' is impossible"),
        ({"targets": {"optdigits": {"recipes": ["ful"]}}}, "names 'ful', which is no recipe"),
        (
            {"targets": {"optdigits": {"overrides": {"training": {"lrr": 1}}}}},
            "unknown key 'training.lrr' (did you mean 'lr'?) (in targets.optdigits.overrides)",
        ),
        ({"studies": {"influence": {"models": 100}}}, "use 96 or 112"),
        ({"studies": {"reuse": {"recipe": "full"}}}, "'studies.reuse.architecture' is missing"),
        ({"studies": {"influence": {"models": 8}}}, "use 16, so"),
        ({"source_training": {"lr": float("nan")}}, "'source_training.lr' is nan (float)"),
        ({"source_training": {"lr": float("inf")}}, "'source_training.lr' is inf (float)"),
        ({"studies": {"counterfactual": {"repeats": 9}}}, "studies.reference.repeats is 4"),
        ({"heatmaps": {"output": "raw_margin"}}, "not among influence.outputs"),
        (memories("fixed", ["uniform"]), "recipe 'fixed' keeps the source's features; remedies change them"),
        (
            memories("ful", ["uniform"]),
            "memories.recipes names 'ful', which is no recipe (did you mean 'full'?)",
        ),
        (memories("full", ["uniforn"]), "'memories.remedies.0' is 'uniforn' (did you mean 'uniform'?)"),
        (memories("full", ["inside"], architecture={"name": "vgg16"}), "'inside' needs a network ending in"),
        (
            memories("full", ["uniform"], targets={"optdigits": {"recipes": ["full-uniform"]}}),
            "targets.optdigits.recipes names 'full-uniform', which memories.remedies makes",
        ),
        (
            memories(
                "full", ["uniform"], recipes={"fixed": {}, "full": {"kind": "full"}, "full-uniform": {}}
            ),
            "recipes.full-uniform: made by memories.remedies",
        ),
        ({"memories": {"recipes": ["fixde"]}}, "names 'fixde', which is no recipe (did you mean 'fixed'?)"),
        (
            {"memories": {"recipes": ["fixed"], "models": 5}},
            "studies.reference.repeats is 4; raise the latter",
        ),
        (
            {"memories": {"recipes": ["fixed"], "source": "pretrained"}},
            "name its weights in studies.pretrained",
        ),
        (
            {
                "memories": {"recipes": ["fixed"], "source": "pretrained", "without": 1},
                "studies": {"pretrained": {"weights": "IMAGENET1K_V1"}},
            },
            "which is not trained here; set memories.without: 0",
        ),
        (
            {"memories": {"recipes": ["fixed"], "without": 1, "repeats": 5}},
            "memories.repeats is 5, but each repeat is paired",
        ),
        (
            {"memories": {"recipes": ["fixed"], "composites": {"per_cell": 10}}},
            "memories.smallest_cell is 20, but a pair of classes gets 10 composites",
        ),
        ({"architecture": {"name": "vgg16"}}, "heatmaps.method is 'CAM', which needs"),
        (
            {"architecture": {"name": "vgg16"}, "heatmaps": {"method": "GradCAM", "faithfulness": {}}},
            "heatmaps.faithfulness.methods is 'CAM', which needs",
        ),
        (
            {"architecture": {"name": "vgg16"}, "heatmaps": {"method": "GradCAM"}, "influence_maps": {}},
            "'vgg16' does not: set influence_maps: null",
        ),
        ({"influence": {"estimator": "lasso"}, "influence_maps": {}}, "'lasso' is not: use least_squares"),
        ({"heatmaps": {"method": "LayerCam"}}, "'heatmaps.method' is 'LayerCam' (did you mean 'LayerCAM'?)"),
        ({"source_training": {"lr_peak_epoch": 99}}, "after the last of 16 epochs"),
        ({"source_training": {"scale": [1.0, 0.5]}}, "the first must be the smaller"),
        (
            {
                "source_training": {
                    "crop": "none",
                    "resize": {"low": 32, "high": 64, "start": 0, "end": 1},
                }
            },
            "resize needs crop random_resized",
        ),
    ],
)
def test_a_wrong_setting_is_named_in_one_line(changes, message):
    with pytest.raises(ConfigError) as caught:
        load(**changes)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_key_is_named():
    with pytest.raises(ConfigError, match="'source' is missing"):
        config.load({"targets": {"optdigits": {}}}, SCHEMA)


def test_defaults_are_filled_in_and_the_input_is_left_alone():
    raw = {**MINIMAL, "datasets": {"optdigits": {"train_per_class": 3}}}
    found = config.load(raw, SCHEMA)
    assert found["datasets"]["optdigits"]["select_fraction"] == 0.5
    assert found["datasets"]["digits-and-clothes"]["unreadable"] == "error"
    assert found["recipes"]["fixed"]["training"]["momentum"] == 0.9
    assert raw["datasets"] == {"optdigits": {"train_per_class": 3}}


def test_overrides_lie_over_the_recipe():
    found = load(targets={"optdigits": {"overrides": {"training": {"epochs": 3, "lr_peak_epoch": 1}}}})
    recipe = recipes.read(config.recipe(found, "optdigits", "fixed"))
    assert (recipe.training.epochs, recipe.training.lr) == (3, 0.5)
    assert found["recipes"]["fixed"]["training"]["epochs"] == 16


def test_command_line_values_get_the_type_of_their_spelling():
    """Snakemake hands over nested values as text."""
    given = {"a": {"b": "3", "c": "1e-3", "d": "True", "e": ["2.0", "x"], "f": "null"}, "g": 7}
    assert config.typed(given) == {
        "a": {"b": 3, "c": 0.001, "d": True, "e": [2.0, "x"], "f": None},
        "g": 7,
    }
    assert isinstance(config.typed("2.0"), float)
    for text in ("a: b", "2026-01-01", "[draft", "@home", "null island"):
        assert config.typed(text) == text


def test_settings_given_by_hand_are_checked_too():
    section = load()["source_training"]
    assert TrainingSettings.read(section).epochs == 16
    with pytest.raises(ConfigError, match=r"unknown key 'epoch' .did you mean 'epochs'"):
        TrainingSettings.read({**section, "epoch": 1})
    with pytest.raises(ConfigError, match=r"'lr' is 'fast' .str.; it must be of type number"):
        TrainingSettings.read({**section, "lr": "fast"})


def properties(schema, path=""):
    for name, sub in schema.get("properties", {}).items():
        yield f"{path}.{name}", sub
        yield from properties(sub, f"{path}.{name}")
    for key in ("additionalProperties", "items"):
        if isinstance(schema.get(key), dict):
            yield from properties(schema[key], path)


def test_every_key_is_documented():
    resize = SCHEMA["$defs"]["training"]["properties"]["resize"]["properties"]
    for definition in (SCHEMA, *SCHEMA["$defs"].values()):
        for path, sub in properties(definition):
            own = sub.get("description") or "$ref" in sub
            assert own or path.rsplit(".", 1)[1] in resize, path


@pytest.mark.parametrize("name", [None, *(p.name for p in (REPOSITORY / "configs").glob("*.yaml"))])
def test_shipped_configurations_are_valid(name):
    from snakemake.utils import update_config

    merged = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
    if name:
        own = yaml.safe_load((REPOSITORY / "configs" / name).read_text())
        if {"source", "targets"} <= own.keys():
            merged = own
        else:
            update_config(merged, own)
    config.load(merged, SCHEMA, catalogue.published_training())


def test_settings_shared_by_an_anchor_stay_apart():
    raw = yaml.safe_load(
        "{source: a, targets: {b: &both {published: true}, c: *both}, datasets: {b: &own {}, c: *own}}"
    )
    found = config.load(raw, SCHEMA, {"b": {"lr": 0.1}, "c": {"lr": 0.2}})
    rates = [config.recipe(found, target, "fixed")["training"]["lr"] for target in ("b", "c")]
    assert rates == [0.1, 0.2]


def test_published_settings_lie_below_overrides():
    use = {"published": True, "overrides": {"training": {"epochs": 3, "lr_peak_epoch": 1}}}
    published = {"optdigits": {"lr": 0.3, "epochs": 24}}
    found = config.load({**MINIMAL, "targets": {"optdigits": use}}, SCHEMA, published)
    training = config.recipe(found, "optdigits", "fixed")["training"]
    assert (training["lr"], training["epochs"]) == (0.3, 3)
    with pytest.raises(
        ConfigError, match="no settings were published for 'optdigits'; there are some for food"
    ):
        config.load({**MINIMAL, "targets": {"optdigits": use}}, SCHEMA, {"food": {}})
