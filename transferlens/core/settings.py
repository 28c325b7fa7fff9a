"""Settings: typed, bounded and documented sections of the configuration, refused in one line when wrong.

A section is a class; its fields are the keys, each with a type, bounds, a default and one sentence. Sections
that several rooms share are here; those of a capability live with it, and `Run` puts them together.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Self, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from transferlens.core import files
from transferlens.core.errors import ConfigError, nearest

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Share = Annotated[float, Field(gt=0, le=1)]


class Section(BaseModel):
    """A section of the configuration. Sections are frozen, strict about types, and know all their keys."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        validate_default=True,
    )

    @classmethod
    def read(cls, given: Mapping[str, Any], where: str = "settings") -> Self:
        """Read a section.

        Raises:
            ConfigError: the first key that is unknown (with the nearest known one), missing, of the wrong
                type, or impossible.
        """
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise ConfigError(explain(error, cls, where)) from None


def refuse(reason: str) -> None:
    """Refuse a section, from one of its validators, in these words."""
    raise PydanticCustomError("refused", "{reason}", {"reason": reason})


def different(values: list | None) -> list | None:
    """A validator of lists: refuses what names anything twice."""
    if values is not None and len(set(values)) < len(values):
        raise ValueError("it must not name anything twice")
    return values


def explain(error: ValidationError, section: type[Section], where: str = "config") -> str:
    """The first mistake of a validation in one line: the key, what was found, and what would be right.

    Args:
        where: the section's own name; keys of the whole configuration stand without one.
    """
    first = min(error.errors(), key=lambda given: len(given["loc"]))
    prefix = "" if where in ("config", "settings") else f"{where}."
    start = "settings" if where == "settings" else "config"
    place, given, kind = first["loc"], first["input"], first["type"]
    key = prefix + ".".join(str(part) for part in place if not _is_branch(part))
    if kind == "refused":
        return f"{start}: {first['ctx']['reason']}"
    if kind == "extra_forbidden":
        return f"{start}: unknown key '{key}'" + nearest(str(place[-1]), _keys_at(section, place[:-1]))
    if kind == "missing":
        return f"{start}: '{key}' is missing; it has no default"
    if kind == "literal_error":
        return f"{start}: '{key}' is {given!r}" + nearest(str(given), _quoted(first["ctx"]["expected"]))
    if place and place[-1] == "[key]":
        name = f"{prefix}{'.'.join(str(part) for part in place[:-2])}"
        return f"{start}: '{name}' has the name {given!r}; names are letters, digits, '_' and '-'"
    if kind in _TYPES or kind == "finite_number":
        wanted = _TYPES.get(kind, "number")
        return f"{start}: '{key}' is {_shown(given)} ({type(given).__name__}); it must be of type {wanted}"
    return f"{start}: '{key or start}' is impossible: {_shown(given)}; {_reworded(first['msg'])}"


def _is_branch(part: int | str) -> bool:
    """Whether a part of a place is no key, but one of the types that a value may have, or that of a key."""
    return isinstance(part, str) and ("[" in part or part.startswith("constrained-"))


_TYPES = {
    "int_type": "integer",
    "int_from_float": "integer",
    "float_type": "number",
    "bool_type": "boolean",
    "string_type": "string",
    "list_type": "array",
    "dict_type": "object",
    "mapping_type": "object",
    "model_type": "object",
    "none_required": "null",
}


def _shown(value: Any) -> str:
    """A value in a message, at most so long as a line can bear."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _reworded(message: str) -> str:
    """The words of the validation, as those of the house."""
    words = message.removeprefix("Value error, ").removeprefix("Input ").replace("should", "must")
    return words.replace("List must have", "it must have").replace("Dictionary must have", "it must have")


def _quoted(expected: str) -> list[str]:
    """The values in pydantic's "'a', 'b' or 'c'"."""
    return [part.strip().strip("'") for part in expected.replace(" or ", ", ").split(", ")]


def _keys_at(section: Any, place: tuple[int | str, ...]) -> list[str]:
    """The known keys of the section at a place below another one."""
    for part in place:
        section = _inside(section, part)
    return sorted(section.model_fields) if isinstance(section, type) and issubclass(section, Section) else []


def _inside(annotation: Any, part: int | str) -> Any:
    """The type of a field, of a mapping's values, or of a list's items."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return _plain(annotation.model_fields[str(part)].annotation)
    return _plain(get_args(annotation)[-1])


def _plain(annotation: Any) -> Any:
    """A type without `| None` and without its bounds."""
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return _plain(next(a for a in get_args(annotation) if a is not type(None)))
    return annotation


class InputSettings(Section):
    """How images enter the networks; the same for source and targets."""

    resolution: int = Field(
        224, ge=8, description="Side of the square network input at evaluation, in pixels."
    )
    crop_ratio: Share = Field(
        0.875,
        description="Side of the centre crop taken before resizing, as a fraction of the shorter image side.",
    )
    enlarging: Literal["area", "bicubic"] = Field(
        "area",
        description="How images smaller than the input are enlarged: `area`, as FFCV does (at whole factors "
        "it repeats pixels), or `bicubic`, smoothly, which weights trained on larger images take better. "
        "Random resized crops of streamed images are enlarged by `area` in any case.",
    )
    mean: list[float] = Field(
        [0.485, 0.456, 0.406],
        min_length=3,
        max_length=3,
        description="Channel means subtracted after scaling pixels to [0, 1].",
    )
    std: list[Annotated[float, Field(gt=0)]] = Field(
        [0.229, 0.224, 0.225],
        min_length=3,
        max_length=3,
        description="Channel standard deviations divided by after subtracting the mean.",
    )
    loading: Literal["auto", "resident", "streaming", "shared"] = Field(
        "auto",
        description="`resident` decodes a split once and keeps it as bytes on the device; `streaming` "
        "decodes every epoch with FFCV; `auto` is resident for splits up to `resident_limit_gb`. `shared` "
        "streams, and source models that are trained together share one stream of training images: each is "
        "decoded once a pass for all of them. All source models of the run then see the images in one order, "
        "and with the same crops and mirrorings.",
    )
    resident_limit_gb: float = Field(
        4, gt=0, description="Largest decoded split kept on the device under `auto`, in gigabytes."
    )


SMALL_RESNET = "small_resnet"
_WEIGHTS = "weights are named in studies.pretrained.weights"
# What builders of networks take that is no option of an architecture, and where the run says it.
_NO_OPTIONS = {
    "num_classes": "the number of classes is that of the data",
    "weights": _WEIGHTS,
    "pretrained": _WEIGHTS,
    "checkpoint_path": _WEIGHTS,
}
_FILE = r"^.+\.py:[A-Za-z_][A-Za-z0-9_]*$"


def digest_of(function: str) -> str | None:
    """SHA-256 of a user's file, `my_net.py:make_net`; None if there is none (which is refused by name)."""
    path = Path(function.rpartition(":")[0])
    return files.sha256(path) if path.is_file() else None


class PartSettings(Section):
    """Where a network keeps its parts, if what is found is wrong; null for what is found."""

    head: str | list[str] | None = Field(
        None,
        description="Path of the last linear layer (`fc`, `classifier.6`); what follows it is dropped. Of "
        "several paths the outputs are averaged.",
    )
    class_map_layer: str | None = Field(
        None,
        description="Path of the layer whose output class maps are made of (`layer4`, `blocks.11.norm1`).",
    )
    prefix_tokens: int | None = Field(
        None, ge=0, description="Tokens before those of the picture's cells (class token, registers)."
    )
    blocks: list[str] | None = Field(
        None, min_length=1, description="Paths of the blocks in depth order (`layer1.0`, `layer1.1`, ...)."
    )


class ArchitectureSettings(Section):
    """A network. Every further key is an option of it, passed on to what builds it (`width` of
    `small_resnet`, `image_size` of `vit_b_16`).
    """

    model_config = ConfigDict(extra="allow")

    name: str | None = Field(
        None,
        description="`small_resnet` (its option `width`, 32, is a multiple of 8), `efficientnet_lite0` to "
        "`efficientnet_lite2`, a classification model of torchvision, or `timm/<name>` (needs the package "
        "timm). null for `resnet18`, or with `file`.",
    )
    file: str | None = Field(
        None,
        description="A network of one's own: `my_net.py:make_net`, a Python file and a function in it that "
        "takes the number of classes (and the options) and returns a module from images to logits. Its "
        "content is part of what decides results.",
    )
    parts: PartSettings = Field(
        PartSettings(),
        description="Where the network keeps its parts, if what `snakemake network` prints is wrong.",
    )

    @model_validator(mode="before")
    @classmethod
    def _by_name_or_file(cls, given: Any) -> Any:
        """One of the two; resnet18 for none."""
        if not isinstance(given, Mapping):
            return given
        if given.get("name") is not None and given.get("file") is not None:
            refuse("architecture names both a network and a file; leave `name` or `file` out")
        if given.get("name") is None and given.get("file") is None:
            return {**given, "name": "resnet18"}
        # In words, so that a width that is written and one that is not are the same network.
        return {"width": 32, **given} if given.get("name") == SMALL_RESNET else given

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if self.file is not None and not re.match(_FILE, self.file):
            refuse(
                f"'architecture.file' is '{self.file}'; write the file and the function in it: "
                "my_net.py:make_net"
            )
        for key in self.options.keys() & _NO_OPTIONS.keys():
            refuse(f"'architecture.{key}' is no option of a network, as {_NO_OPTIONS[key]}; leave it out")
        if self.name == SMALL_RESNET:
            self._check_width()
        return self

    def _check_width(self) -> None:
        for key in self.options:
            if key != "width":
                refuse(
                    f"unknown key 'architecture.{key}'" + nearest(key, ["width", *type(self).model_fields])
                )
        width = self.options["width"]
        if type(width) is not int:
            refuse(f"'architecture.width' is {width!r} ({type(width).__name__}); it must be of type integer")
        # With 4 or 6, torch's channels-last convolutions wrote out of bounds on a CPU (torch 2.15, AVX2).
        if width < 8 or width % 8:
            refuse(f"'architecture.width' is impossible: {width}; must be a multiple of 8")

    @property
    def options(self) -> dict[str, Any]:
        """What is passed on to what builds the network, beside the number of classes."""
        return dict(self.model_extra or {})

    @property
    def title(self) -> str:
        """What the network is called."""
        return self.file or self.name

    def described(self) -> str:
        """What the network is called, with its options."""
        return ", ".join([self.title, *(f"{key} {value}" for key, value in self.options.items())])


class NetworkSettings(ArchitectureSettings):
    """An architecture with what else decides the network that a job builds."""

    resolution: int = Field(224, ge=8, description="Side of the images that it takes, in pixels.")
    digest: str | None = Field(None, description="SHA-256 of the file that makes it.")


_Epochs = Annotated[int, Field(ge=1)]


class ResizeSettings(Section):
    """Progressive resizing: from `low` pixels up to epoch `start`, linearly to `high` at epoch `end`."""

    low: int = Field(ge=8, description="Side of training images at first, in pixels.")
    high: int = Field(ge=8, description="Side of training images in the end, in pixels.")
    start: int = Field(ge=0, description="The last epoch with `low` pixels.")
    end: int = Field(ge=0, description="The first epoch with `high` pixels.")


class TrainingSettings(Section):
    """Optimisation and augmentation."""

    epochs: int = Field(16, ge=1, description="Passes over the training images.")
    iterations: int | None = Field(
        None,
        ge=1,
        description="Optimiser steps of the whole training, however many images there are: a multiple of "
        "`epochs`, which then are equal parts of it in place of passes. null for the steps of the passes.",
    )
    batch_size: int = Field(
        512,
        ge=2,
        description="Images a step; all of them, if there are fewer.",
    )
    last_batch: Literal["dropped", "rounded"] = Field(
        "dropped",
        description="What becomes of an epoch's last incomplete batch. `dropped`: an epoch has the steps of "
        "its complete batches. `rounded`: all epochs of a model have one step more, with the probability of "
        "the incomplete batch's share of a batch, as the model's seed decides; the expected number of steps "
        "is then exactly proportional to the images.",
    )
    lr: float = Field(0.5, gt=0, description="Peak learning rate.")
    schedule: Literal["triangular", "step", "cosine"] = Field(
        "triangular",
        description="`triangular` rises from 0 to `lr` at `lr_peak_epoch`, then falls to 0 at the end; "
        "`step` multiplies `lr` by `gamma` after every `step_epochs` epochs, or after those; `cosine` falls "
        "from `lr` to 0 along half a cosine.",
    )
    lr_peak_epoch: float = Field(2, ge=0, description="Epoch of the peak (schedule triangular).")
    step_epochs: _Epochs | Annotated[list[_Epochs], Field(min_length=1)] = Field(
        10,
        description="Epochs between two steps, or a list of the epochs after which one is (schedule step).",
    )
    gamma: Share = Field(0.1, description="Factor of the learning rate at a step (schedule step).")
    warmup_epochs: float = Field(
        0,
        ge=0,
        description="Epochs in which the learning rate rises linearly at first (schedules step and cosine; "
        "triangular rises by itself).",
    )
    optimizer: Literal["sgd", "adamw"] = Field(
        "sgd", description="`sgd` with momentum, or `adamw` (weight decay apart from the gradient)."
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum (optimizer sgd).")
    nesterov: bool = Field(False, description="Whether momentum is Nesterov's (optimizer sgd).")
    betas: list[Annotated[float, Field(ge=0, lt=1)]] = Field(
        [0.9, 0.999],
        min_length=2,
        max_length=2,
        description="Decay of the running means of gradients and of their squares (optimizer adamw).",
    )
    weight_decay: float = Field(0.0005, ge=0, description="Weight decay on every parameter.")
    clip: float | None = Field(
        None, gt=0, description="Largest norm of the gradient, which is scaled down to it; null for any."
    )
    label_smoothing: float = Field(
        0, ge=0, lt=1, description="Share of the target probability spread over all classes."
    )
    class_weighted: bool = Field(
        False,
        description="Whether the loss weighs every class alike, however many images it has (each image by "
        "the inverse of its class's share).",
    )
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto",
        description="Arithmetic of the network in training. `auto` is bfloat16 where the hardware is fast at "
        "it (GPUs since Ampere, CPUs with AMX or AVX512-BF16), float16 with loss scaling on older GPUs, else "
        "float32. Evaluation is always float32.",
    )
    implementation: Literal["auto", "sequential", "grouped", "graphs"] = Field(
        "auto",
        description="How the models of a job are trained. `sequential`: one after the other; `grouped`: "
        "networks side by side as one, on a CPU (source models and `full`; else it is refused). `auto`: "
        "`grouped` where it can be and is faster, else `sequential`; or in turn, where source models share "
        "one stream of images (`input.loading`). `graphs`: several at once on a GPU, by recorded steps; "
        "never tried on one. Which one it was is recorded; they differ by rounding.",
    )
    crop: Literal["random_resized", "translate", "none"] = Field(
        "random_resized",
        description="`random_resized` (ImageNet style), `translate` (random shifts by up to `padding` "
        "pixels, for small images), or `none` (the evaluation crop).",
    )
    padding: int = Field(4, ge=1, description="Largest shift of the translate crop, in pixels.")
    scale: list[Share] = Field(
        [0.08, 1.0],
        min_length=2,
        max_length=2,
        description="Range of the area of a random resized crop, as a fraction of the image.",
    )
    flip: bool = Field(True, description="Whether images are mirrored at random.")
    resize: ResizeSettings | None = Field(
        None,
        description="Progressive resizing: train at `low` pixels up to epoch `start`, then grow linearly (in "
        "steps of 32) to `high` at epoch `end`; null to train at the input resolution.",
    )

    def check(self, where: str) -> None:
        """Refuse settings that cannot hold together; `where` names them.

        Raises:
            ConfigError: naming the two that disagree.
        """
        if self.schedule == "triangular" and self.lr_peak_epoch > self.epochs:
            raise ConfigError(
                f"config: {where}: lr_peak_epoch is {self.lr_peak_epoch}, after the last of "
                f"{self.epochs} epochs; lower it, or raise epochs"
            )
        self._check_length(where)
        if self.nesterov and not self.momentum:
            raise ConfigError(f"config: {where}: nesterov needs momentum above 0")
        if self.scale[0] > self.scale[1]:
            raise ConfigError(f"config: {where}: scale is {self.scale}; the first must be the smaller")
        if self.resize and self.crop != "random_resized":
            raise ConfigError(f"config: {where}: resize needs crop random_resized")
        if self.resize and self.resize.start > self.resize.end:
            raise ConfigError(f"config: {where}: resize.start is after resize.end; lower it")

    def _check_length(self, where: str) -> None:
        if self.iterations is not None and self.iterations % self.epochs:
            raise ConfigError(
                f"config: {where}: iterations is {self.iterations}, not a multiple of {self.epochs} epochs "
                "as it must be"
            )
        if self.warmup_epochs and self.schedule == "triangular":
            raise ConfigError(
                f"config: {where}: warmup_epochs is for the schedules step and cosine; triangular "
                "rises up to lr_peak_epoch"
            )
        if self.warmup_epochs > self.epochs:
            raise ConfigError(
                f"config: {where}: warmup_epochs is {self.warmup_epochs}, more than the {self.epochs} "
                "epochs; lower it"
            )


class SelfSupervision(Section):
    """Training without labels: two views of an image are to be alike, and unlike those of all others."""

    temperature: float = Field(
        0.5,
        gt=0,
        description="Cosine similarities are divided by it; the lower, the more the nearest count.",
    )
    projection: int = Field(
        128, ge=1, description="Outputs of the two-layer network on the features that views are compared by."
    )
    jitter: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Strength of random changes of brightness, contrast, saturation and hue of a view; 0 for "
        "none.",
    )
    grayscale: float = Field(0.2, ge=0, le=1, description="Share of views that lose their colours.")
    probe: TrainingSettings = Field(
        TrainingSettings(),
        description="How the head over the classes is then fitted, on the frozen features of the evaluation "
        "crop of the same images.",
    )

    def without_difference(self, training: TrainingSettings) -> str:
        """Why the two views of an image would be the same, in words; '' if they differ."""
        if training.crop != "none" or training.flip or self.jitter or self.grayscale:
            return ""
        return "both views of an image are the same; set crop, flip, jitter or grayscale"


class Attack(Section):
    """Training on images changed to raise the loss: projected gradient ascent within an l2 ball."""

    radius: float = Field(
        0.5,
        ge=0,
        description="Largest l2 norm of the change of an image as it enters the network, of pixels in [0, "
        "1]; 0 for none. What is large grows with the side: 0.5 at 32 px is about 3.5 at 224 px.",
    )
    steps: int = Field(7, ge=1, description="Steps of gradient ascent in each training step.")
    step_size: float | None = Field(
        None, gt=0, description="Length of one of them; null for 2.5 radii over all of them together."
    )

    @property
    def length(self) -> float:
        """Length of a step."""
        return 2.5 * self.radius / self.steps if self.step_size is None else self.step_size


class SourceTrainingSettings(TrainingSettings):
    """How source models are trained."""

    objective: Literal["supervised", "simclr", "adversarial"] = Field(
        "supervised",
        description="`supervised`: the cross-entropy of the labels; `simclr`: two views of an image against "
        "those of others, without labels, and a linear probe as the head (`contrast`); `adversarial`: the "
        "cross-entropy of images changed to raise it (`attack`). Probes of given weights are supervised in "
        "any case.",
    )
    contrast: SelfSupervision = Field(SelfSupervision(), description="Of the objective simclr.")
    attack: Attack = Field(Attack(), description="Of the objective adversarial.")

    def supervised(self) -> TrainingSettings:
        """Optimisation and augmentation alone."""
        return TrainingSettings(**{key: getattr(self, key) for key in TrainingSettings.model_fields})

    def check(self, where: str) -> None:
        """As of all training, and of the probe; and that the views of an image differ."""
        super().check(where)
        if self.objective == "simclr":
            self.contrast.probe.check(f"{where}.contrast.probe")
            if reason := self.contrast.without_difference(self):
                raise ConfigError(f"config: {where}: {reason}")


class ClassSelection(Section):
    """A part of a data set's classes: exactly one of `names`, `first` and `random`."""

    names: list[str] | None = Field(None, min_length=1, description="These classes, in this order.")
    first: int | None = Field(None, ge=1, description="So many of its first classes.")
    random: int | None = Field(None, ge=1, description="So many of its classes, drawn by `seed`.")
    seed: int = Field(0, ge=0, description="What draws random classes; the run's own seed does not.")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        given = [way for way in ("names", "first", "random") if getattr(self, way) is not None]
        if len(given) != 1:
            refuse(
                f"a selection of classes gives {given or 'none of names, first, random'}; give one of them"
            )
        if self.names and len(set(self.names)) < len(self.names):
            refuse("a selection of classes holds a class twice; name each once")
        return self


class DatasetSettings(Section):
    """What of a data set is used, and how it is stored."""

    path: str | None = Field(
        None,
        description="Where the images are, if not in the data root: a folder with `train/<class>/*` and "
        "`val/<class>/*`, an archive of one, a CSV table with the columns `path`, `label` and `split`, a "
        "text file with a line `path label` for each training image (and `test.txt` beside it), or an HDF5 "
        "file (see docs/data.md).",
    )
    complete: bool = Field(
        True,
        description="Whether a registered data set must have exactly the images that its publishers state; "
        "false to use a part of it. Its classes must all be there in any case.",
    )
    archive_limit_gb: float = Field(
        500, gt=0, description="Archives that hold more than so many gigabytes are refused."
    )
    of: str | None = Field(
        None,
        description="The registered data set whose images these are, so that one can be used twice with "
        "other settings (say, as a source by classes and as a target by groups).",
    )
    groups: str | None = Field(
        None,
        description="Coarser names of the classes: a CSV table with the columns `class` and `group`, one row "
        "a class, or `wordnet-<level>` for classes named by WordNet ids (level 0 is the root; needs Debian's "
        "wordnet-base).",
    )
    labels: Literal["classes", "groups"] = Field(
        "classes", description="What the labels of a target are: its classes, or the groups of them."
    )
    classes: ClassSelection | None = Field(
        None,
        description="The classes in use: `{names: [...]}`, `{first: n}` or `{random: n, seed: s}`; null for "
        "all. A source or target of its own: give it another name and `of` the registered one.",
    )
    train_per_class: int | None = Field(
        None, ge=1, description="Labelled training images used a class (a seeded choice); null for all."
    )
    train_share: Share | None = Field(
        None,
        description="Share of every class's training images that is used (a seeded choice), rounded up; the "
        "images of a smaller share are among those of a larger one. null for all; not beside "
        "`train_per_class`.",
    )
    val_per_class: int | None = Field(
        None, ge=1, description="Evaluation images used a class (a seeded choice); null for all."
    )
    select_fraction: Fraction = Field(
        0.5,
        description="Share of the evaluation images that may be looked at (influences, choosing k); the rest "
        "is only reported on.",
    )
    unreadable: Literal["error", "skip"] = Field(
        "error",
        description="What to do with an image that cannot be decoded: stop, or leave it out and count it.",
    )
    metric: Literal["global", "per_class", "auroc"] | None = Field(
        None,
        description="What accuracy means on this data set: the share of correct examples (`global`), the "
        "mean over classes of that share (`per_class`), or, of two classes, the area under the ROC curve of "
        "the probability of the second (`auroc`); null for what is usual on it (docs/data.md).",
    )
    crop_ratio: Share | None = Field(
        None,
        description="The data set's own `input.crop_ratio` (say, 1 for images that leave no border to "
        "spare); null for that.",
    )
    format: Literal["raw", "jpg"] = Field("raw", description="How FFCV stores images: raw bytes, or JPEG.")
    max_resolution: int | None = Field(
        None, ge=8, description="Images are shrunk to this longer side before writing; null to keep them."
    )
    jpeg_quality: int = Field(90, ge=1, le=100, description="JPEG quality (format jpg).")

    @model_validator(mode="after")
    def _one_amount(self) -> Self:
        if self.train_per_class is not None and self.train_share is not None:
            refuse(
                f"a data set has train_per_class {self.train_per_class} and train_share {self.train_share}; "
                "give one of them"
            )
        return self
