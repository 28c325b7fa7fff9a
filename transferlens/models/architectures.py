"""Networks by name or from a user's file, as their publishers have them: from images to logits."""

import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from transferlens.core import files
from transferlens.core.errors import ConfigError, SetupError, nearest
from transferlens.core.settings import SMALL_RESNET, ArchitectureSettings, NetworkSettings, digest_of
from transferlens.models import efficientnet
from transferlens.models.expected import EFFICIENTNETS, ExpectedInput
from transferlens.models.small_resnet import small_resnet

_TIMM = "timm/"
# What is otherwise than torchvision's defaults: one output in training, and the published scaling of inputs.
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
    except Exception as error:  # whatever a package does with options that it does not expect
        raise ConfigError(
            f"architecture: {settings.name} cannot be built with the options {settings.options} "
            f"({raised(error, settings)}{_nearest_option(error)}); correct or remove the option"
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


# The option that gives a vision transformer its size, by what tells that a network has one.
_SIZE_OPTIONS = {"timm/": "img_size", "vit_": "image_size"}


def size_option(settings: ArchitectureSettings) -> str | None:
    """The option by which a network is built for another size of images; None where none is known."""
    name = settings.name or ""
    return next((option for start, option in _SIZE_OPTIONS.items() if name.startswith(start)), None)


def _from_file(settings: ArchitectureSettings, classes: int) -> nn.Module:
    """The network that a user's function returns."""
    function = user_function(settings)
    try:
        made = function(classes, **settings.options)
    except (Exception, SystemExit) as error:
        raise ConfigError(
            f"architecture.file: {settings.file} raises {raised(error, settings)}{_nearest_option(error)}; "
            f"it must return a network for {classes} classes and the options {settings.options}"
        ) from error
    if not isinstance(made, nn.Module):
        raise ConfigError(
            f"architecture.file: {settings.file} returns {type(made).__name__}, not a torch.nn.Module; "
            "return the network"
        )
    return made


def user_function(settings: ArchitectureSettings) -> Callable[..., Any]:
    """The function that a user's file holds.

    Raises:
        ConfigError: there is no such file or function, the file raises, or it has changed since planning.
    """
    file, _, name = settings.file.rpartition(":")
    path = Path(file)
    if not path.is_file():
        raise ConfigError(f"architecture.file: there is no file '{file}' (a path from {Path.cwd()})")
    digest = digest_of(settings.file)
    if isinstance(settings, NetworkSettings) and settings.digest not in (None, digest):
        raise ConfigError(
            f"architecture.file: {file} has changed since the run was planned; start snakemake again"
        )
    module = _imported(path.resolve(), digest, settings.file)
    if not callable(getattr(module, name, None)):
        own = [
            key for key, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__
        ]
        raise ConfigError(f"architecture.file: {file} has no function '{name}'" + nearest(name, own))
    return getattr(module, name)


@cache
def _imported(path: Path, digest: str, named: str) -> ModuleType:
    """The module of a file with this content."""
    spec = importlib.util.spec_from_file_location(f"network_{digest[:16]}", path)
    module = importlib.util.module_from_spec(spec)
    before = set(sys.modules)
    try:
        spec.loader.exec_module(module)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"architecture.file: {path.name} imports '{error.name}', which is not installed; a file must "
            "stand for itself: put all of the network into it, or install the package"
        ) from error
    except (Exception, SystemExit) as error:
        raise ConfigError(
            f"architecture.file: {named} raises {_where(error, path)} when it is imported"
        ) from error
    for name in sorted(sys.modules.keys() - before):
        if _is_beside(sys.modules[name], path):
            raise ConfigError(
                f"architecture.file: {path.name} imports '{name}' from beside it, a change of which would go "
                "unnoticed; a file must stand for itself: put all of the network into it"
            )
    return module


def _is_beside(module: ModuleType, path: Path) -> bool:
    """Whether a module is a file, or a package, in the folder of another file; this library is not meant."""
    file = Path(getattr(module, "__file__", None) or "/")
    place = file.parent if file.stem == "__init__" else file
    return place.parent == path.parent and module.__name__.partition(".")[0] != "transferlens"


def raised(error: BaseException, settings: ArchitectureSettings) -> str:
    """What building or calling a network raised; of a user's own, also where."""
    return _where(error, Path(settings.file.rpartition(":")[0])) if settings.file else files.first_line(error)


def _where(error: BaseException, file: Path) -> str:
    """What a user's code raised, and in which of its lines."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename).name == file.name]
    words = files.first_line(error)
    if isinstance(error, SyntaxError):
        lines, words = [error.lineno], error.msg
    place = f" in line {lines[-1]}" if lines else ""
    return f"{type(error).__name__}{place} ({words})"


def _nearest_option(error: BaseException) -> str:
    """The known option nearest to one that a function or class did not expect; "" where neither is told."""
    words = re.match(
        r"(.+?)(\.__init__)?\(\) got an unexpected keyword argument '(\w+)'", files.first_line(error)
    )
    if words is None:
        return ""
    called, option = words[1], words[3]
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)  # the one that called it
    for value in (*frame.f_locals.values(), *frame.f_globals.values()):
        if callable(value) and getattr(value, "__qualname__", None) == called:
            parameters = inspect.signature(value).parameters.values()
            return nearest(option, [p.name for p in parameters if p.kind is not p.VAR_KEYWORD])
    return ""
