"""Networks by name or from a user's file, as their publishers have them: from images to logits."""

import hashlib
import importlib.util
import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from transferlens.core.errors import ConfigError, SetupError, nearest
from transferlens.core.settings import SMALL_RESNET, ArchitectureSettings, NetworkSettings
from transferlens.models import efficientnet
from transferlens.models.expected import EFFICIENTNETS, ExpectedInput
from transferlens.models.small_resnet import small_resnet

_TIMM = "timm/"
# What is otherwise than torchvision's defaults: one output in training, and the published scaling of the input.
_TORCHVISION_OPTIONS: dict[str, dict[str, Any]] = {
    name: {"aux_logits": False, "transform_input": True, "init_weights": True}
    for name in ("googlenet", "inception_v3")
}


def make(settings: ArchitectureSettings, classes: int) -> nn.Module:
    """A freshly initialised network (torch's global seed decides it).

    Raises:
        ConfigError: an unknown name, an option that it does not take, or a file that makes no network.
        SetupError: a network of a package that is not installed.
    """
    if settings.file is not None:
        return _from_file(settings, classes)
    maker = _maker(settings.name)
    try:
        return maker(classes, **settings.options)
    except (TypeError, ValueError, AssertionError, KeyError, RuntimeError) as error:
        raise ConfigError(
            f"architecture: {settings.name} cannot be built with the options {settings.options} "
            f"({first_line(error)}); correct or remove the option"
        ) from error


def _maker(name: str) -> Callable[..., nn.Module]:
    """What builds the network of a name: a function of the number of classes and the options."""
    if name == SMALL_RESNET:
        return small_resnet
    if name in efficientnet.SCALES:
        return lambda classes, **options: efficientnet.EfficientNetLite(
            classes, *efficientnet.SCALES[name], **options
        )
    if name.startswith(_TIMM):
        timm, own = timm_package(name), name.removeprefix(_TIMM)
        return lambda classes, **options: timm.create_model(
            own, pretrained=False, num_classes=classes, **options
        )
    if name not in torchvision_names():
        raise ConfigError(f"config: 'architecture.name' is '{name}'" + nearest(name, known_names()))
    import torchvision

    usual = _TORCHVISION_OPTIONS.get(name, {})
    return lambda classes, **options: torchvision.models.get_model(
        name, weights=None, num_classes=classes, **{**usual, **options}
    )


@cache
def torchvision_names() -> list[str]:
    """The classification models of torchvision."""
    import torchvision

    return torchvision.models.list_models(module=torchvision.models)


def known_names() -> list[str]:
    """Every name but timm's, which are many."""
    return [SMALL_RESNET, *efficientnet.SCALES, *torchvision_names()]


def timm_package(name: str) -> ModuleType:
    """The package timm, if it knows the network.

    Raises:
        SetupError: it is not installed.
        ConfigError: it has no such network.
    """
    try:
        import timm
    except ImportError as error:
        raise SetupError(
            f"architecture.name '{name}' needs the package timm, which is not installed: pip install timm"
        ) from error
    own = name.removeprefix(_TIMM)
    if not timm.is_model(own):
        known = [_TIMM + other for other in timm.list_models()]
        raise ConfigError(
            f"config: 'architecture.name' is '{name}', which timm does not know" + nearest(name, known)
        )
    return timm


def expected_input(settings: ArchitectureSettings) -> ExpectedInput | None:
    """How images enter the network's published weights; None where there are none."""
    name = settings.name or ""
    if name in EFFICIENTNETS:
        return EFFICIENTNETS[name]
    if name.startswith(_TIMM):
        given = timm_package(name).get_pretrained_cfg(name.removeprefix(_TIMM))
        return given and ExpectedInput(given.input_size[-1], tuple(given.mean), tuple(given.std))
    if name not in torchvision_names():
        return None
    import torchvision

    given = torchvision.models.get_model_weights(name).DEFAULT.transforms()
    return ExpectedInput(given.crop_size[0], tuple(given.mean), tuple(given.std))


def _from_file(settings: ArchitectureSettings, classes: int) -> nn.Module:
    """The network that a user's function returns."""
    function = user_function(settings)
    try:
        made = function(classes, **settings.options)
    except Exception as error:
        raise ConfigError(
            f"architecture.file: {settings.file} raises {_where(error, settings.file)}; it must return a network "
            f"for {classes} classes and the options {settings.options}"
        ) from error
    if not isinstance(made, nn.Module):
        raise ConfigError(
            f"architecture.file: {settings.file} returns {type(made).__name__}, not a torch.nn.Module; return the "
            "network"
        )
    return made


def user_function(settings: ArchitectureSettings) -> Callable[..., Any]:
    """The function that a user's file holds.

    Raises:
        ConfigError: there is no such file or function, the file raises, or it is another one than was planned.
    """
    file, _, name = settings.file.rpartition(":")
    path = Path(file)
    if not path.is_file():
        raise ConfigError(f"architecture.file: there is no file '{file}'")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if isinstance(settings, NetworkSettings) and settings.digest not in (None, digest):
        raise ConfigError(
            f"architecture.file: {file} has changed since the run was planned; start snakemake again"
        )
    module = _imported(path.resolve(), digest, settings.file)
    if not callable(getattr(module, name, None)):
        functions = [
            key for key, value in vars(module).items() if callable(value) and not key.startswith("_")
        ]
        raise ConfigError(f"architecture.file: {file} has no function '{name}'" + nearest(name, functions))
    return getattr(module, name)


@cache
def _imported(path: Path, digest: str, named: str) -> ModuleType:
    """The module of a file with this content."""
    spec = importlib.util.spec_from_file_location(f"network_{digest[:16]}", path)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"architecture.file: {path.name} imports '{error.name}', which is not installed; a file must stand for "
            "itself: put all of the network into it, or install the package"
        ) from error
    except Exception as error:
        raise ConfigError(
            f"architecture.file: {named} raises {_where(error, named)} when it is imported"
        ) from error
    return module


def _where(error: Exception, named: str) -> str:
    """What a user's code raised, and in which of its lines."""
    file = Path(named.rpartition(":")[0]).name
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).name == file
    ]
    if isinstance(error, SyntaxError):
        lines = [error.lineno]
    place = f" in line {lines[-1]}" if lines else ""
    return f"{type(error).__name__}{place} ({first_line(error)})"


def first_line(error: Exception) -> str:
    """The first line of what an error says."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
