"""What no honest study asks for is refused in planning; every number of a configuration has its limits."""

import math

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from transferlens.capabilities import CAPABILITIES, run_of
from transferlens.core.errors import ConfigError
from transferlens.operations.reference import schema

MINIMAL = {"source": "digits-and-clothes", "targets": {"optdigits": {}}}
SCHEMA = schema(CAPABILITIES)
RESIZED = {"resize": {"low": 64, "high": 32, "start": 0, "end": 1}}


def nested(path, value):
    for key in reversed(path.split(".")):
        value = {key: value}
    return value


def load(path, value):
    return run_of({**MINIMAL, **nested(path, value)})


REFUSED = [
    ("input.resolution", 1_000_000, "at most 4,096: a batch of larger images fills any memory"),
    ("input.crop_ratio", 1e-9, "at least 0.125: the crop of an image of 8 px would have no pixel"),
    ("datasets.optdigits.crop_ratio", 1e-9, "at least 0.125"),
    ("input.std", [1e-12, 1.0, 1.0], "'input.std.0' is 1e-12; it can be at least 0.001"),
    ("input.mean", [123.7, 116.3, 103.5], "divide what is of pixels in [0, 255] by 255"),
    ("source_training.lr", 1e308, "at most 1,000: weights would overflow"),
    ("source_training.lr", 1e-300, "which is lost in arithmetic; it must be at least 1e-12"),
    ("source_training.epochs", 2**64, "at most 100,000: more would train for years"),
    ("source_training.scale", [1e-9, 1.0], "at least 0.0001: a smaller part of an image is no pixel"),
    ("source_training", RESIZED, "'source_training.resize' grows from low 64 to high 32"),
    ("recipes.fixed.training", RESIZED, "low must be the smaller (in recipes.fixed)"),
    ("targets.optdigits.overrides.training", {"lr": 1e308}, "(in targets.optdigits.overrides)"),
    ("source_training", {"crop": "translate", "padding": 224}, "images have a side of 224 px"),
    ("recipes.fixed.training", {"crop": "translate", "padding": 300}, "'recipes.fixed.padding' is 300"),
    ("targets.optdigits.sizes", [0], "'targets.optdigits.sizes.0' is 0; it can be at least 1"),
    ("datasets.optdigits.classes", {"random": 3, "seed": 2**64}, "seeds have 63 bits"),
    ("architecture", {"name": "small_resnet", "width": 2**20}, "more than 300 million parameters"),
    ("architecture", {"name": "vit_b_16", "dropout": math.nan}, "'architecture.dropout' is nan"),
    ("studies.influence", {"models": 960_000}, "60,000 shards of 16; at most 10,000 can be named"),
    ("studies.reference.repeats", 1_000_000, "raise its shard_size to 200"),
    ("relatedness.models", {"reference": 10**12}, "'relatedness.models.reference' is 1000000000000"),
    ("data_root", "", "'data_root' is '', an empty text"),
    ("datasets.optdigits.path", " \n", "'datasets.optdigits.path' is ' \\n', an empty text"),
    ("datasets.optdigits.groups", "", "an empty text"),
    ("studies.pretrained.weights", "", "an empty text"),
    ("studies.counterfactual.order_files", {"mine": ""}, "an empty text"),
    ("architecture.file", "", "write the file and the function in it"),
    ("data_root", "a\0b", "with a null character; remove it"),
    ("data_root", "data/" + "a" * 256, "with a name of 256 bytes; no file has one of more than 255"),
    ("recipes", {"fixed": {}, "a" * 101: {}}, "of 101 letters; write at most 100"),
]


@pytest.mark.parametrize(("path", "value", "message"), REFUSED)
def test_what_cannot_be_meant_is_refused_in_one_line(path, value, message):
    with pytest.raises(ConfigError) as refused:
        load(path, value)
    assert message in str(refused.value)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 300


def numbers(field):
    """The schemas of the numbers that a key takes."""
    if field.get("type") in ("integer", "number"):
        yield field
    parts = [*field.get("anyOf", []), *(field.get("patternProperties") or {}).values()]
    parts += [field[name] for name in ("items", "additionalProperties") if isinstance(field.get(name), dict)]
    for part in parts:
        yield from numbers(part)


KEYS = {
    f"{name}.{key}": field
    for name, section in {**SCHEMA["$defs"], "": SCHEMA}.items()
    for key, field in section.get("properties", {}).items()
}


def test_every_number_of_the_schema_has_both_ends():
    found = {key: number for key, field in KEYS.items() for number in numbers(field)}
    assert len(found) > 100
    for key, number in found.items():
        assert "minimum" in number or "exclusiveMinimum" in number, key
        assert number.get("maximum", number.get("exclusiveMaximum", math.inf)) < 2**63, key


TRAINING = [key for key in KEYS if key.startswith(("TrainingSettings.", "InputSettings."))]
EXTREME = [
    1e308,
    -1e308,
    1e-300,
    -0.0,
    2**63,
    2**64,
    -1,
    math.inf,
    math.nan,
    "",
    " ",
    "\0",
    "a" * 300,
    None,
    [],
]


@seed(17)
@settings(max_examples=60, deadline=None)
@given(st.sampled_from(TRAINING), st.sampled_from(EXTREME), st.booleans())
def test_extremes_are_refused_in_one_line_or_within_the_limits(key, value, listed):
    section, name = key.split(".")
    place = {"TrainingSettings": "source_training", "InputSettings": "input"}[section]
    told, taken = outcome(f"{place}.{name}", [value, value] if listed else value)
    assert "\n" not in told
    assert len(told) < 500
    assert told or taken is None or taken == 0, (key, value)  # -0.0, and null where that is allowed


def outcome(path, value):
    """(the message that refuses a value, '' for none; the value that is taken)."""
    try:
        settings = load(path, value).settings
    except ConfigError as error:
        return str(error), None
    return "", getattr(getattr(settings, path.split(".")[0]), path.split(".")[1])
