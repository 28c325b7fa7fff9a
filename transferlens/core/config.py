"""The configuration: checked against the schema before anything runs, then seen as typed settings."""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Self

import jsonschema
import yaml

from transferlens.core import settings as sections
from transferlens.core.errors import ConfigError, nearest


def load(
    raw: Mapping[str, Any],
    schema: Mapping[str, Any],
    published: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> dict[str, Any]:
    """A complete configuration: `raw` checked against the JSON schema, with every default filled in.

    Args:
        published: training settings that the original study published, by data set; laid below the
            overrides of the targets that ask for them.

    Raises:
        ConfigError: the first unknown key (with the nearest known one), wrong type, impossible
            value, or pair of settings that cannot hold together.
    """
    config = _unshared(raw)
    _name_every_dataset(config)
    validator = _filling_validator(schema["$defs"])(schema)
    errors = sorted(validator.iter_errors(config), key=lambda e: len(e.absolute_path))
    if errors:
        raise ConfigError(_explain(errors[0]))
    for name, use in config["targets"].items():
        if use["published"]:
            images = config["datasets"][name].get("of", name)
            use["overrides"] = _merged({"training": _published(name, images, published)}, use["overrides"])
    _check_consistency(config, schema)
    return config


def remedied_recipes(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The recipes `<recipe>-<remedy>` that the study of memories makes and compares, with their settings."""
    given = config["memories"] or {"recipes": [], "remedies": []}
    return {
        f"{name}-{remedy}": {**config["recipes"][name], "remedy": {"kind": remedy, **given["remedy"]}}
        for name in given["recipes"]
        for remedy in given["remedies"]
    }


def _unshared(value: Any) -> Any:
    """A copy in which no two places share an object, as YAML's anchors make them: defaults are filled in."""
    if isinstance(value, Mapping):
        return {key: _unshared(nested) for key, nested in value.items()}
    if isinstance(value, list):
        return [_unshared(nested) for nested in value]
    return value


def _published(target: str, images: str, published: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    if images not in published:
        raise ConfigError(
            f"config: targets.{target}.published is true, but no settings were published for '{images}'; "
            f"there are some for {', '.join(sorted(published))}"
        )
    return published[images]


def _name_every_dataset(config: dict[str, Any]) -> None:
    """Give source and targets an entry under `datasets`, so that each gets its defaults."""
    datasets = config.setdefault("datasets", {})
    if isinstance(datasets, dict) and isinstance(config.get("targets"), dict):
        for name in [config.get("source"), *config["targets"]]:
            if isinstance(name, str):
                datasets.setdefault(name, {})


def typed(value: Any) -> Any:
    """Command-line settings with the types their spelling has in YAML (Snakemake leaves nested ones text)."""
    if isinstance(value, Mapping):
        return {key: typed(nested) for key, nested in value.items()}
    if isinstance(value, list):
        return [typed(nested) for nested in value]
    if not isinstance(value, str):
        return value
    try:
        found = yaml.safe_load(value)
    except yaml.YAMLError:
        return value
    if isinstance(found, bool | int | float | list | None) or value.startswith("{"):
        return found
    try:  # YAML 1.1 takes 1e-3 for text
        return float(value)
    except ValueError:
        return value  # names, and what YAML would make a date or a mapping of


def recipe(config: Mapping[str, Any], target: str, name: str) -> dict[str, Any]:
    """The settings of a recipe for a target: the recipe with the target's overrides laid over it."""
    recipes = {**config["recipes"], **remedied_recipes(config)}
    return _merged(recipes[name], config["targets"][target]["overrides"])


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        nested = isinstance(value, Mapping) and isinstance(base.get(key), Mapping)
        merged[key] = _merged(base[key], value) if nested else value
    return merged


def _filling_validator(definitions: Mapping[str, Any]):
    """A validator that fills in defaults, takes 3.0 for a number but not an integer, and no infinities."""
    base = jsonschema.Draft202012Validator
    check_properties = base.VALIDATORS["properties"]

    def fill_then_check(validator, properties, instance, schema) -> Iterator:
        if validator.is_type(instance, "object"):
            for key, property_schema in properties.items():
                reference = property_schema.get("$ref", "").removeprefix("#/$defs/")
                filled = {**definitions.get(reference, {}), **property_schema}
                if "default" in filled:
                    instance.setdefault(key, deepcopy(filled["default"]))
        yield from check_properties(validator, properties, instance, schema)

    strict = base.TYPE_CHECKER.redefine_many(
        {
            "integer": lambda _, value: isinstance(value, int) and not isinstance(value, bool),
            "number": lambda _, value: (
                isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            ),
        }
    )
    return jsonschema.validators.extend(base, {"properties": fill_then_check}, type_checker=strict)


def _explain(error: jsonschema.ValidationError) -> str:
    """One line: the key, what was found, and what would be right."""
    key = ".".join(str(part) for part in error.absolute_path) or "config"
    found = error.instance
    match error.validator:
        case "additionalProperties":
            known = sorted(error.schema.get("properties", {}))
            unknown = next(k for k in found if k not in known)
            return f"config: unknown key '{_join(key, unknown)}'" + nearest(str(unknown), known)
        case "required":
            missing = error.message.split("'")[1]  # by now a default may have filled it
            return f"config: '{_join(key, missing)}' is missing; it has no default"
        case "type":
            wanted = error.validator_value
            wanted = " or ".join(wanted) if isinstance(wanted, list) else wanted
            return f"config: '{key}' is {found!r} ({type(found).__name__}); it must be of type {wanted}"
        case "enum":
            known = [str(value) for value in error.validator_value]
            return f"config: '{key}' is {found!r}" + nearest(str(found), known)
        case _:
            return f"config: '{key}' is impossible: {error.message}"


def _join(prefix: str, key: str) -> str:
    return str(key) if prefix == "config" else f"{prefix}.{key}"


def _check_consistency(config: dict[str, Any], schema: Mapping[str, Any]) -> None:
    """What a schema cannot say: keys that must agree with each other."""
    if config["memories"]:
        _check_remedies(config)
    made = remedied_recipes(config)
    for target, use in config["targets"].items():
        for name in use["recipes"]:
            if name in made:
                raise ConfigError(
                    f"config: targets.{target}.recipes names '{name}', which memories.remedies makes and "
                    "compares for itself; leave it out"
                )
            if name not in config["recipes"]:
                raise ConfigError(
                    f"config: targets.{target}.recipes names '{name}', which is no recipe"
                    + nearest(name, list(config["recipes"]))
                )
        for name in dict.fromkeys([*use["recipes"], *(config["memories"] or {"recipes": []})["recipes"]]):
            _check_override(config, target, name, schema)
            _check_training(f"targets.{target}.{name}", recipe(config, target, name)["training"])
    reuse = config["studies"]["reuse"]
    if reuse and reuse["recipe"] and reuse["recipe"] not in config["recipes"]:
        raise ConfigError(
            f"config: studies.reuse.recipe is '{reuse['recipe']}', which is no recipe"
            + nearest(reuse["recipe"], list(config["recipes"]))
        )
    _check_training("source_training", config["source_training"])
    _check_studies(config["studies"])
    if config["memories"]:
        _check_memories(config["memories"], config["studies"])
    for section in ("heatmaps", "report", "counterfactual"):
        settings = config["studies"][section] if section == "counterfactual" else config[section]
        if settings["output"] not in config["influence"]["outputs"]:
            raise ConfigError(
                f"config: {section}.output is '{settings['output']}', which is not among "
                f"influence.outputs {config['influence']['outputs']}; add it there"
            )
    _check_heatmaps(config)
    _check_influence_maps(config)


def _check_remedies(config: Mapping[str, Any]) -> None:
    """Recipes that memories are studied of, and whether the remedies can be made of them."""
    known = config["recipes"]
    for name in config["memories"]["recipes"]:
        if name not in known:
            raise ConfigError(
                f"config: memories.recipes names '{name}', which is no recipe" + nearest(name, list(known))
            )
        for remedy in config["memories"]["remedies"]:
            if known[name]["kind"] != "full":
                raise ConfigError(
                    f"config: memories.remedies: recipe '{name}' keeps the source's features; remedies "
                    "change them: name recipes of kind `full` in memories.recipes"
                )
            if f"{name}-{remedy}" in known:
                raise ConfigError(f"config: recipes.{name}-{remedy}: made by memories.remedies; rename it")
            if remedy == "inside" and config["architecture"]["name"] == "vgg16":
                raise ConfigError(
                    "config: memories.remedies: 'inside' needs a network ending in pooling and one linear "
                    "layer; vgg16 does not: leave it out, or choose another architecture"
                )


def _check_heatmaps(config: Mapping[str, Any]) -> None:
    """What needs no network to be seen; the rest is `explain.class_maps.check`."""
    heatmaps = config["heatmaps"]
    compared = heatmaps["faithfulness"]["methods"] if heatmaps["faithfulness"] else []
    for key, methods in (("method", [heatmaps["method"]]), ("faithfulness.methods", compared)):
        if config["architecture"]["name"] == "vgg16" and "CAM" in methods:
            raise ConfigError(
                f"config: heatmaps.{key} is 'CAM', which needs a network ending in pooling and one linear "
                "layer; vgg16 does not: use GradCAM or LayerCAM"
            )


def _check_influence_maps(config: Mapping[str, Any]) -> None:
    if config["influence_maps"] is None:
        return
    if config["architecture"]["name"] == "vgg16":
        raise ConfigError(
            "config: influence_maps need a network ending in pooling and one linear layer, whose class maps "
            "add up to its logits; architecture.name 'vgg16' does not: set influence_maps: null"
        )
    if config["influence"]["estimator"] == "lasso":
        raise ConfigError(
            "config: influence_maps need an estimator that is linear in the outputs, so that maps add up to "
            "the influence on the logit; influence.estimator 'lasso' is not: use least_squares, "
            "difference_of_means or ridge"
        )


def _check_override(config: dict, target: str, name: str, schema: Mapping[str, Any]) -> None:
    recipe_schema = {
        **schema["properties"]["recipes"]["additionalProperties"],
        "$defs": schema["$defs"],
    }
    validator = _filling_validator(schema["$defs"])(recipe_schema)
    errors = list(validator.iter_errors(recipe(config, target, name)))
    if errors:
        raise ConfigError(_explain(errors[0]) + f" (in targets.{target}.overrides)")


def _check_training(where: str, training: Mapping[str, Any]) -> None:
    if training["schedule"] == "triangular" and training["lr_peak_epoch"] > training["epochs"]:
        raise ConfigError(
            f"config: {where}: lr_peak_epoch is {training['lr_peak_epoch']}, after the last of "
            f"{training['epochs']} epochs"
        )
    low, high = training["scale"]
    if low > high:
        raise ConfigError(f"config: {where}: scale is {[low, high]}; the first must be the smaller")
    if training["resize"] and training["crop"] != "random_resized":
        raise ConfigError(f"config: {where}: resize needs crop random_resized")
    if training["resize"] and training["resize"]["start"] > training["resize"]["end"]:
        raise ConfigError(f"config: {where}: resize.start is after resize.end")


def _check_studies(studies: Mapping[str, Any]) -> None:
    influence, shard = studies["influence"]["models"], studies["influence"]["shard_size"]
    if influence % shard:
        below = influence - influence % shard
        near = f"{below} or {below + shard}" if below else f"{shard}"
        raise ConfigError(
            f"config: studies.influence.models is {influence}, not a multiple of its shard_size {shard}; "
            f"use {near}, so that more models never touch finished shards"
        )
    repeated = studies["repeated"]
    if repeated and repeated["models"] > influence:
        raise ConfigError(
            f"config: studies.repeated.models is {repeated['models']}, more than the {influence} masks of "
            "the influence study; lower it, or set studies.repeated: null"
        )
    repeats, reference = studies["counterfactual"]["repeats"], studies["reference"]["repeats"]
    if repeats > reference:
        raise ConfigError(
            f"config: studies.counterfactual.repeats is {repeats}, but each repeat is paired with a "
            f"full-source model and studies.reference.repeats is {reference}; raise the latter"
        )


def _check_memories(memories: Mapping[str, Any], studies: Mapping[str, Any]) -> None:
    models, repeats = memories["models"], studies["reference"]["repeats"]
    if memories["source"] == "trained" and models > repeats:
        raise ConfigError(
            f"config: memories.models is {models}, but each is paired with a from-scratch model and "
            f"studies.reference.repeats is {repeats}; raise the latter"
        )
    if memories["source"] == "pretrained" and not studies["pretrained"]:
        raise ConfigError(
            "config: memories.source is 'pretrained', but there is no such model; name its weights in "
            "studies.pretrained.weights"
        )
    if memories["source"] == "pretrained" and memories["without"]:
        raise ConfigError(
            "config: memories.without leaves classes out of the source, but memories.source is 'pretrained', "
            "which is not trained here; set memories.without: 0 or memories.source: trained"
        )
    if memories["without"] and memories["repeats"] > repeats:
        raise ConfigError(
            f"config: memories.repeats is {memories['repeats']}, but each repeat is paired with a "
            f"full-source model and studies.reference.repeats is {repeats}; raise the latter"
        )
    smallest, per_cell = memories["smallest_cell"], memories["composites"]["per_cell"]
    if smallest > per_cell:
        raise ConfigError(
            f"config: memories.smallest_cell is {smallest}, but a pair of classes gets {per_cell} composites "
            "(memories.composites.per_cell): nothing would be estimated; lower the first or raise the second"
        )


class _Settings:
    """Typed settings made from a section of the configuration."""

    @classmethod
    def of(cls, section: Mapping[str, Any]) -> Self:
        """Read a section; an unknown or missing key is a ConfigError (scripts are also run by hand)."""
        known = [field.name for field in dataclasses.fields(cls)]
        for key in section:
            if key not in known:
                raise ConfigError(f"settings: unknown key '{key}'" + nearest(key, known))
        try:
            return cls(**section)
        except TypeError as error:
            raise ConfigError(f"settings of {cls.__name__}: {error}") from error


@dataclass(frozen=True)
class InputSettings(_Settings):
    """How images enter the networks (schema: `input`)."""

    resolution: int
    crop_ratio: float
    mean: list[float]
    std: list[float]
    loading: str
    resident_limit_gb: float


@dataclass(frozen=True)
class ArchitectureSettings(_Settings):
    """The network (schema: `architecture`)."""

    name: str
    width: int


ResizeSettings = sections.ResizeSettings


class TrainingSettings(sections.TrainingSettings):
    """As in `core.settings`, read by the name that rooms still use."""

    @classmethod
    def of(cls, section: Mapping[str, Any]) -> Self:
        """Read a section."""
        return cls.read(section)


@dataclass(frozen=True)
class DatasetSettings(_Settings):
    """What of a data set is used, and how it is stored (schema: `$defs.dataset`)."""

    train_per_class: int | None
    val_per_class: int | None
    select_fraction: float
    unreadable: str
    path: str | None = None
    groups: str | None = None
    labels: str = "classes"
    format: str = "raw"
    max_resolution: int | None = None
    jpeg_quality: int = 90
