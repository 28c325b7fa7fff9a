"""The whole configuration: the keys that all capabilities share, with the sections that capabilities declare.

Also what is done to a configuration as it was written, before it is read.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import yaml
from pydantic import Field, create_model

from transferlens.core.capability import Capability
from transferlens.core.settings import (
    ArchitectureSettings,
    DatasetSettings,
    InputSettings,
    Name,
    Section,
    Share,
    SourceTrainingSettings,
)

OUTPUTS = Literal["margin", "p_true", "raw_margin", "softmax_margin", "correct"]


class TargetSettings(Section):
    """A transfer task."""

    recipes: list[str] = Field(
        ["fixed"], min_length=1, description="Recipes this target is adapted by (keys of `recipes`)."
    )
    overrides: dict[str, Any] = Field(
        {}, description="Recipe settings that differ for this target, laid over every recipe it uses."
    )
    published: bool = Field(
        False,
        description="Whether to lay the training settings that the original study published for this data "
        "set over its recipes, below `overrides` (docs/data.md lists them).",
    )
    sizes: list[int] = Field(
        [],
        description="Also transfer the influence and reference models with only so many training images a "
        "class, to see how influences depend on the size of the target.",
    )


_EXPECTED = "null for what the network's published weights expect, else for the run's own"


class EncoderInput(Section):
    """How images enter an encoder."""

    resolution: int | None = Field(
        None, ge=8, description=f"Side of its square input, in pixels; {_EXPECTED}."
    )
    crop_ratio: Share | None = Field(
        None,
        description="Side of the centre crop, as a fraction of the shorter image side; null for the run's "
        "own (`input.crop_ratio`), so that all candidates see the same part of an image. A data set's own "
        "goes before both.",
    )
    enlarging: Literal["area", "bicubic"] = Field(
        "bicubic", description="How smaller images are enlarged, as `input.enlarging`."
    )
    mean: list[float] | None = Field(
        None, min_length=3, max_length=3, description=f"Channel means; {_EXPECTED}."
    )
    std: list[Annotated[float, Field(gt=0)]] | None = Field(
        None, min_length=3, max_length=3, description=f"Channel standard deviations; {_EXPECTED}."
    )


class EncoderSettings(Section):
    """A given network with given weights, a candidate source of every target."""

    architecture: ArchitectureSettings = Field(description="Its network.")
    weights: str = Field(
        description="Its weights, as `studies.pretrained.weights`: the path of a file, or the name of "
        "published ones."
    )
    prefix: str | None = Field(
        None,
        description="Where in a file the network is, as `studies.pretrained.prefix`; null for the copy that "
        "fits best.",
    )
    head: Literal["given", "probe"] = Field(
        "probe",
        description="The head over the source classes: a linear `probe`, fitted with source_training on the "
        "frozen features of the source's training images, so that every candidate speaks of the same "
        "classes; or the `given` one of the weights.",
    )
    input: EncoderInput = Field(EncoderInput(), description="How images enter it.")
    repeats: int = Field(
        3,
        ge=1,
        description="Models of each of two kinds: transfers of the same weights, which differ in their "
        "seeds, and the same network from scratch, with the same seeds. With fewer than 3, intervals are "
        "very wide, or missing.",
    )


class ReportSettings(Section):
    """The HTML page."""

    title: str = Field("Transferlens report", description="Title of the page.")
    output: OUTPUTS = Field("margin", description="The output whose influences are shown.")
    top_classes: int = Field(
        8, ge=1, description="Source classes listed as most helpful and as most harmful."
    )


class Configuration(Section):
    """The keys that all capabilities share; `configuration_of` adds theirs."""

    seed: int = Field(
        0,
        ge=0,
        lt=2**63,
        description="The one seed of the run. Masks, initial weights, data order and splits all derive from "
        "it.",
    )
    data_root: str = Field("data", description="Folder where raw data sets lie, or are downloaded to.")
    download: bool = Field(
        True,
        description="Whether what is not found locally may be downloaded: a data set into data_root, "
        "published weights into the caches of their publishers' libraries.",
    )
    source: str = Field(
        description="Name of the source data set (a key of `datasets`, or a registered name)."
    )
    targets: dict[Name, TargetSettings] = Field(
        min_length=1,
        description="The transfer tasks, by data set name. Each is run with each of its recipes.",
    )
    datasets: dict[Name, DatasetSettings] = Field(
        {},
        description="Settings of data sets, by name. A registered name needs no entry; any other name needs "
        "a `path`.",
    )
    input: InputSettings = Field(
        InputSettings(), description="How images enter the networks; the same for source and targets."
    )
    architecture: ArchitectureSettings = Field(
        ArchitectureSettings(), description="The network of every source model."
    )
    source_training: SourceTrainingSettings = Field(
        SourceTrainingSettings(), description="How source models are trained."
    )
    source_weights: Literal["auto", "keep", "temporary"] = Field(
        "auto",
        description="What becomes of trained source models when all their transfers are done: `keep` them, "
        "or delete them (`temporary`; models of the whole source always stay). A later target or recipe then "
        "trains them again. `auto` is temporary from 1,000 models on, not counting those of the whole "
        "source.",
    )
    resume_minutes: float | None = Field(
        10,
        ge=0,
        description="Minutes between two times that training in progress is kept beside its output, from "
        "where a killed job goes on to the same bits (docs/training.md); null to keep nothing.",
    )
    models_at_once: int = Field(
        8,
        ge=2,
        description="How many models a job trains side by side, where it can (`implementation`), or in turn "
        "on one stream of images (`input.loading: shared`): less takes less memory. It changes no result, "
        "and nothing runs again.",
    )
    encoders: dict[Name, EncoderSettings] = Field(
        {},
        description="Given networks with their weights, by name: candidate sources of every target, beside "
        "the models that the run trains (docs/encoders.md).",
    )
    recipes: dict[Name, dict[str, Any]] = Field(
        {"fixed": {}}, description="How a source model is adapted to a target, by name."
    )
    report: ReportSettings = Field(ReportSettings(), description="The HTML page.")


class CapabilitySection(Section):
    """A section that a capability declares.

    Attributes:
        key: its place in the configuration, dotted.
        nullable: whether null stands for "none".
        default_null: whether it is null where the configuration does not name it.
    """

    key: ClassVar[str]
    nullable: ClassVar[bool] = False
    default_null: ClassVar[bool] = False


def configuration_of(capabilities: Sequence[Capability]) -> type[Configuration]:
    """The whole configuration: the shared keys and the sections of all capabilities."""
    tree: dict[str, Any] = {}
    for capability in capabilities:
        for section in capability.settings:
            *parents, leaf = section.key.split(".")
            place = tree
            for parent in parents:
                place = place.setdefault(parent, {})
            place[leaf] = section
    return create_model("Configuration", __base__=Configuration, **_fields(tree))


def _fields(tree: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Fields of a model from a tree of sections."""
    made = {}
    for name, entry in tree.items():
        if isinstance(entry, Mapping):
            inner = create_model(name.title(), __base__=Section, **_fields(entry))
            made[name] = (inner, Field(default_factory=inner, description=_DESCRIPTIONS.get(name, "")))
        else:
            words = (entry.__doc__ or "").split("\n\n")[0].strip()
            annotation = entry | None if entry.nullable else entry
            default = {"default": None} if entry.default_null else {"default_factory": entry}
            made[name] = (annotation, Field(description=words, **default))
    return made


_DESCRIPTIONS = {
    "studies": "The tables of source models to train (one row, one model).",
    "analyses": "What influences show, each with tables and a figure.",
}


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` laid over `base`, key by key at every depth."""
    made = dict(base)
    for key, value in over.items():
        nested = isinstance(value, Mapping) and isinstance(base.get(key), Mapping)
        made[key] = merged(base[key], value) if nested else value
    return made


def together(defaults: Mapping[str, Any], layers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What files of settings say together, each laid over those before it, and all over the defaults.

    Files that name a source and targets are a study of their own: nothing of the defaults is mixed in.
    """
    own: dict[str, Any] = {}
    for layer in layers:
        own = merged(own, layer)
    below = [] if {"source", "targets"} <= own.keys() else [defaults]
    given = merged(defaults, own) if below else own
    if architecture := architecture_of([*below, *layers]):
        given["architecture"] = architecture
    return given


def architecture_of(layers: Sequence[Mapping[str, Any]]) -> Any:
    """The architecture that configurations ask for, the later laid over the earlier.

    A layer that names another network than those before it gets none of their options, which are not its own.
    """
    chosen: Any = {}
    for given in (layer["architecture"] for layer in layers if "architecture" in layer):
        both = isinstance(given, Mapping) and isinstance(chosen, Mapping)  # anything else is refused later
        same = both and all(given.get(key) in (None, chosen.get(key)) for key in ("name", "file"))
        chosen = merged(chosen, given) if same else given
    return chosen


def with_every_dataset(given: Mapping[str, Any]) -> dict[str, Any]:
    """A copy in which source and targets have an entry under `datasets`, so that each gets its defaults."""
    copied = _unshared(given)
    datasets = copied.setdefault("datasets", {})
    if isinstance(datasets, dict) and isinstance(copied.get("targets"), dict):
        for name in [copied.get("source"), *copied["targets"]]:
            if isinstance(name, str):
                datasets.setdefault(name, {})
    return copied


def _unshared(value: Any) -> Any:
    """A copy in which no two places share an object, as YAML's anchors make them."""
    if isinstance(value, Mapping):
        return {key: _unshared(nested) for key, nested in value.items()}
    if isinstance(value, list):
        return [_unshared(nested) for nested in value]
    return value


def typed(value: Any) -> Any:
    """Command-line settings with the types their spelling has in YAML (Snakemake leaves nested ones text)."""
    if isinstance(value, Mapping):
        return {key: typed(nested) for key, nested in value.items()}
    if isinstance(value, list):
        return [typed(nested) for nested in value]
    if not isinstance(value, str) or not value:  # an empty text is none, and no null
        return value
    try:
        spelled = yaml.safe_load(value)
    except (yaml.YAMLError, ValueError):  # ValueError: a date that there is not
        return value
    if isinstance(spelled, bool | int | float | list | None) or value.startswith("{"):
        return spelled
    try:  # YAML 1.1 takes 1e-3 for text
        return float(value)
    except ValueError:
        return value  # names, and what YAML would make a date or a mapping of
