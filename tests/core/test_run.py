"""The configuration is complete, typed, and refused with one line."""

from pathlib import Path

import pytest
import yaml

from transferlens.capabilities import CAPABILITIES, run_of
from transferlens.core import configuration, written
from transferlens.core.errors import ConfigError
from transferlens.core.run import Run
from transferlens.core.settings import Section, TrainingSettings

REPOSITORY = Path(__file__).resolve().parents[2]
MINIMAL = {"source": "digits-and-clothes", "targets": {"optdigits": {}}}


def load(**changes):
    return run_of({**MINIMAL, **changes})


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
        (
            {"architecture": {"name": "small_resnet", "width": 12}},
            "'architecture.width' is impossible: 12; must be a multiple of 8",
        ),
        ({"targets": {}}, "'targets' is impossible"),
        ({"targets": {"optdigits": {"recipes": ["ful"]}}}, "names 'ful', which is no recipe"),
        (
            {"recipes": {"fixed": {}, "mine": {"kind": "inside"}}},
            "recipes.mine.kind is 'inside', which is made of what an analysis finds; ask for it with "
            "`memories.remedies: [inside]`",
        ),
        (
            {"targets": {"optdigits": {"overrides": {"training": {"lrr": 1}}}}},
            "unknown key 'training.lrr' (did you mean 'lr'?) (in targets.optdigits.overrides)",
        ),
        ({"studies": {"influence": {"models": 100}}}, "use 96 or 112"),
        ({"studies": {"reuse": {"recipe": "full"}}}, "'studies.reuse.architecture' is missing"),
        ({"studies": {"influence": {"models": 8}}}, "use 16, so"),
        ({"source_training": {"lr": float("nan")}}, "'source_training.lr' is nan (float)"),
        ({"source_training": {"lr": float("inf")}}, "'source_training.lr' is inf (float)"),
        ({"studies": {"counterfactual": {"repeats": 9}}}, "studies.reference.repeats is 8"),
        ({"heatmaps": {"output": "raw_margin"}}, "not among influence.outputs"),
        (memories("fixed", ["uniform"]), "recipe 'fixed' keeps the source's features; remedies change them"),
        (
            memories("ful", ["uniform"]),
            "memories.recipes names 'ful', which is no recipe (did you mean 'full'?)",
        ),
        (memories("full", ["uniforn"]), "'memories.remedies.0' is 'uniforn' (did you mean 'uniform'?)"),
        ({"recipes": {"fixed": {}, "full+uniform": {}}}, "'recipes' has the name 'full+uniform'"),
        ({"memories": {"recipes": ["fixde"]}}, "names 'fixde', which is no recipe (did you mean 'fixed'?)"),
        (
            {
                "memories": {"recipes": ["fixed"], "without": 1},
                "studies": {"influence": None, "reference": None, "counterfactual": None},
            },
            "but studies.reference is null; set it, or set memories: null",
        ),
        (
            {"memories": {"recipes": ["fixed"], "models": 5}},
            "studies.reference.repeats is 8; raise the latter",
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
            {"memories": {"recipes": ["fixed"], "without": 1, "repeats": 9}},
            "memories.repeats is 9, but models without a class share",
        ),
        (
            {"memories": {"recipes": ["fixed"], "composites": {"per_cell": 10}}},
            "memories.smallest_cell is 20, but a pair of classes gets 10 composites",
        ),
        ({"influence": {"estimator": "lasso"}, "influence_maps": {}}, "'lasso' is not: use least_squares"),
        ({"heatmaps": {"method": "LayerCam"}}, "'heatmaps.method' is 'LayerCam' (did you mean 'LayerCAM'?)"),
        ({"source_training": {"lr_peak_epoch": 99}}, "after the last of 16 epochs"),
        ({"source_training": {"scale": [1.0, 0.5]}}, "the first must be the smaller"),
        ({"source_training": {"step_epochs": 0}}, "'source_training.step_epochs' is impossible: 0; must be"),
        (
            {"source_training": {"objective": "simclr", "contrast": {"probe": {"epochs": 1}}}},
            "source_training.contrast.probe: lr_peak_epoch is 2.0, after the last of 1 epochs",
        ),
        (
            {
                "source_training": {
                    "objective": "simclr",
                    "crop": "none",
                    "flip": False,
                    "contrast": {"jitter": 0.0, "grayscale": 0.0},
                }
            },
            "source_training: both views of an image are the same; set crop, flip, jitter or grayscale",
        ),
        (
            {"source_training": {"objective": "simclr", "contrast": {"temperture": 1.0}}},
            "unknown key 'source_training.contrast.temperture' (did you mean 'temperature'?)",
        ),
        ({"source_training": {"attack": {"radius": -1.0}}}, "'source_training.attack.radius' is impossible"),
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
        run_of({"targets": {"optdigits": {}}})


def test_defaults_are_filled_in_and_the_input_is_left_alone():
    raw = {**MINIMAL, "datasets": {"optdigits": {"train_per_class": 3}}}
    run = run_of(raw)
    assert run.dataset("optdigits").select_fraction == 0.5
    assert run.dataset("digits-and-clothes").unreadable == "error"
    assert run.recipe("optdigits", "fixed")["training"]["momentum"] == 0.9
    assert raw["datasets"] == {"optdigits": {"train_per_class": 3}}


def test_a_checked_configuration_can_be_checked_again():
    whole = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
    run = run_of(whole)
    assert run_of(run.as_given()).as_given() == run.as_given()


def test_overrides_lie_over_the_recipe():
    run = load(targets={"optdigits": {"overrides": {"training": {"epochs": 3, "lr_peak_epoch": 1}}}})
    training = run.recipe("optdigits", "fixed")["training"]
    assert (training["epochs"], training["lr"]) == (3, 0.5)


NAMES = [
    {"targets": {"optdigits\n": {}}},
    {"targets": {"opt digits": {}}},
    {"recipes": {"fixed": {}, "a/b": {}}},
    {"datasets": {"..": {}}},
]


@pytest.mark.parametrize("changes", NAMES)
def test_names_are_safe_in_paths_and_shells(changes):
    with pytest.raises(ConfigError, match="names are letters, digits"):
        load(**changes)


def test_composed_names_never_meet():
    """Targets `opt` with recipe `a-b` and `opt-a` with `b`; a part of a target, and a target of its name."""
    datasets = {name: {"of": "optdigits"} for name in ("opt", "opt-a", "opt-5-a-class")}
    run = load(
        recipes={"a-b": {}, "b": {}},
        targets={
            "opt": {"recipes": ["a-b"], "sizes": [5]},
            "opt-a": {"recipes": ["b"]},
            "opt-5-a-class": {"recipes": ["b"]},
        },
        datasets=datasets,
    )
    made = [
        made.at(**wildcards)
        for step in run.steps.values()
        for wildcards in run.jobs_of(step.name)
        for made in step.outputs.values()
        if step.name != "load_pretrained"
    ]
    assert len(made) == len(set(made))
    assert len(run.dataset_names) == len(set(run.dataset_names)) == 5


def test_studies_are_optional():
    """A run may hold only what needs none of them."""
    nothing = dict.fromkeys(("influence", "counterfactual", "repeated", "reference"))
    run = load(studies=nothing)
    assert not run.studies
    assert not run.transfers
    made = [name for name, step in run.steps.items() if step.outputs and run.jobs_of(name)]
    assert made == ["dataset", "beton", "report"]
    alone = load(studies={"influence": None})
    assert list(alone.studies) == ["reference"]


def test_command_line_values_get_the_type_of_their_spelling():
    """Snakemake hands over nested values as text."""
    given = {"a": {"b": "3", "c": "1e-3", "d": "True", "e": ["2.0", "x"], "f": "null"}, "g": 7}
    assert configuration.typed(given) == {
        "a": {"b": 3, "c": 0.001, "d": True, "e": [2.0, "x"], "f": None},
        "g": 7,
    }
    assert isinstance(configuration.typed("2.0"), float)
    for text in ("a: b", "2026-01-01", "[draft", "@home", "null island"):
        assert configuration.typed(text) == text


def test_settings_given_by_hand_are_checked_too():
    section = load().settings.source_training.supervised().model_dump()
    assert TrainingSettings.read(section).epochs == 16
    with pytest.raises(ConfigError, match=r"unknown key 'epoch' .did you mean 'epochs'"):
        TrainingSettings.read({**section, "epoch": 1})


def keys(section, path=""):
    for name, field in section.model_fields.items():
        yield f"{path}.{name}", field
        inner = field.default_factory or field.annotation
        for kind in (inner, *getattr(field.annotation, "__args__", ())):
            if isinstance(kind, type) and issubclass(kind, Section):
                yield from keys(kind, f"{path}.{name}")


def test_every_key_is_documented():
    known = dict(keys(configuration.configuration_of(CAPABILITIES)))
    known |= {k: f for kind in load().recipe_kinds.values() for k, f in keys(kind.settings, kind.path)}
    assert len(known) > 100
    assert [name for name, field in known.items() if not field.description] == []


@pytest.mark.parametrize("name", [None, *(p.name for p in (REPOSITORY / "configs").glob("*.yaml"))])
def test_shipped_configurations_are_valid(name):
    from snakemake.utils import update_config

    merged = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
    written.check_file(REPOSITORY / (f"configs/{name}" if name else "config.yaml"))
    if name:
        own = yaml.safe_load((REPOSITORY / "configs" / name).read_text())
        if {"source", "targets"} <= own.keys():
            merged = own
        else:
            update_config(merged, own)
    run = run_of(merged)
    assert run.adaptations


def published(raw, settings):
    return Run(raw, CAPABILITIES, settings)


def test_settings_shared_by_an_anchor_stay_apart():
    raw = yaml.safe_load(
        "{source: a, targets: {b: &both {published: true}, c: *both}, datasets: {b: &own {}, c: *own}}"
    )
    run = published(raw, {"b": {"lr": 0.1}, "c": {"lr": 0.2}})
    assert [run.recipe(target, "fixed")["training"]["lr"] for target in ("b", "c")] == [0.1, 0.2]


def test_published_settings_lie_below_overrides():
    use = {"published": True, "overrides": {"training": {"epochs": 3, "lr_peak_epoch": 1}}}
    run = published({**MINIMAL, "targets": {"optdigits": use}}, {"optdigits": {"lr": 0.3, "epochs": 24}})
    training = run.recipe("optdigits", "fixed")["training"]
    assert (training["lr"], training["epochs"]) == (0.3, 3)
    with pytest.raises(
        ConfigError, match="no settings were published for 'optdigits'; there are some for food"
    ):
        published({**MINIMAL, "targets": {"optdigits": use}}, {"food": {}})
