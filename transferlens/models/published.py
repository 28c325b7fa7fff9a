"""Published weights by name: of torchvision, of timm, and of packages that ship them.

A name is checked when a run is planned; what it names is read, or downloaded where the run allows it, by the
job.
"""

import re
from pathlib import Path

import torch

from transferlens.core import files
from transferlens.core.errors import ConfigError, nearest
from transferlens.core.settings import ArchitectureSettings
from transferlens.models import architectures, packages, weight_files

_TIMM = "timm/"
_THE_USUAL = "pretrained"  # timm's own choice among the weights of a network
_IMAGENET = 1000


def check(settings: ArchitectureSettings, weights: str, named: str) -> None:
    """Refuse a name of weights that there are not for this network; nothing is downloaded.

    Args:
        named: the setting that names the weights.

    Raises:
        ConfigError: no such weights, or those of another network.
        SetupError: weights of a package that is not installed.
    """
    package = packages.PACKAGES.get(weights)
    if package is not None and package.architecture == settings.name:
        packages.file_of(weights)
        return
    if package is not None:
        raise ConfigError(
            f"{named}: '{weights}' are weights of {package.architecture}, not of {settings.title}; set "
            f"architecture.name to {package.architecture}"
        )
    known = _names(settings)
    if weights not in known:
        cure = nearest(weights, known) if known else "; give a .pt, .pth or .safetensors file of it"
        raise ConfigError(
            f"{named}: '{weights}' is no file, and {settings.title} has no published weights"
            f"{' of that name' * bool(known)}{cure}"
        )


def _names(settings: ArchitectureSettings) -> list[str]:
    """The names of a network's published weights."""
    name = settings.name or ""
    shipped = [weights for weights, package in packages.PACKAGES.items() if package.architecture == name]
    if name.startswith(_TIMM):
        own = _without_tag(name)
        tags = [
            full.partition(".")[2] for full in architectures.timm_package(name).list_pretrained(f"{own}.*")
        ]
        return [_THE_USUAL, *tags] if tags else []
    if name in architectures.torchvision_names():
        import torchvision

        return [*torchvision.models.get_model_weights(name).__members__]
    return shipped


def _without_tag(name: str) -> str:
    return name.removeprefix(_TIMM).partition(".")[0]


def outputs(settings: ArchitectureSettings, weights: str) -> int:
    """How many outputs the head of published weights has; 0 for a backbone without one."""
    if not (settings.name or "").startswith(_TIMM):
        return _IMAGENET
    return (
        architectures.timm_package(settings.name)
        .get_pretrained_cfg(_full_name(settings, weights))
        .num_classes
    )


def _full_name(settings: ArchitectureSettings, weights: str) -> str:
    """timm's name of a network with these weights."""
    own = settings.name.removeprefix(_TIMM)
    return own if weights == _THE_USUAL else f"{_without_tag(own)}.{weights}"


def expected_input(settings: ArchitectureSettings, weights: str) -> architectures.ExpectedInput | None:
    """How images enter published weights."""
    name = settings.name or ""
    if name.startswith(_TIMM):
        full = _TIMM + _full_name(settings, weights)
        return architectures.expected_input(ArchitectureSettings(name=full))
    return architectures.expected_input(settings)


def state(
    settings: ArchitectureSettings, weights: str, named: str, download: bool
) -> dict[str, torch.Tensor]:
    """Published weights with their publishers' names.

    Args:
        named: the setting that named them.
        download: whether they may be downloaded; otherwise they must be on this machine.

    Raises:
        ConfigError: as `check`; or they are not here and may not, or cannot, be downloaded.
        SetupError: weights of a package that is not installed.
    """
    check(settings, weights, named)
    if weights in packages.PACKAGES:
        path = packages.file_of(weights)
        (content,) = weight_files.read(path, path.stat().st_size)
        return content.tensors
    reader = _of_timm if settings.name.startswith(_TIMM) else _of_torchvision
    with torch.random.fork_rng(devices=[]):  # the publishers' own code builds the network, too
        network = reader(settings, weights, named, download)
    return network.state_dict()


def _of_torchvision(
    settings: ArchitectureSettings, weights: str, named: str, download: bool
) -> torch.nn.Module:
    import torchvision

    published = torchvision.models.get_model_weights(settings.name)[weights]
    here = Path(torch.hub.get_dir()) / "checkpoints" / Path(published.url).name
    if not download and not here.is_file():
        raise _not_allowed(weights, named, published.url)
    try:
        return torchvision.models.get_model(settings.name, weights=published, progress=False)
    except OSError as error:
        raise _not_downloaded(weights, named, published.url, error) from error


def _of_timm(settings: ArchitectureSettings, weights: str, named: str, download: bool) -> torch.nn.Module:
    """timm's network with its weights, fitted by timm to the options (positions to another size, say)."""
    timm, full = architectures.timm_package(settings.name), _full_name(settings, weights)
    given = timm.get_pretrained_cfg(full)
    origin = given.hf_hub_id or given.url
    here = _in_hub_cache(given.hf_hub_id)
    if not download and here is None:
        raise _not_allowed(weights, named, origin)
    # What is here is read as a plain file, so that nobody is asked whether there is something newer.
    place = {} if here is None else {"pretrained_cfg_overlay": {"file": str(here), "custom_load": False}}
    try:
        return timm.create_model(full, pretrained=True, **place, **settings.options)
    except Exception as error:  # those of the hub's client, of which there are many
        raise _not_downloaded(weights, named, origin, error) from error


def _in_hub_cache(repository: str | None) -> Path | None:
    """A repository's file of weights in the cache of the hub's client."""
    from huggingface_hub import try_to_load_from_cache

    found = repository and try_to_load_from_cache(repository, "model.safetensors")
    return Path(found) if isinstance(found, str) else None


def _not_allowed(weights: str, named: str, origin: str) -> ConfigError:
    return ConfigError(
        f"{named}: '{weights}' are not on this machine, and `download` is false; set it to true, or put "
        f"the file ({origin}) here and give its path"
    )


def _not_downloaded(weights: str, named: str, origin: str, error: Exception) -> ConfigError:
    reason = re.sub(r"\s+", " ", files.first_line(error))
    return ConfigError(
        f"{named}: '{weights}' could not be downloaded ({reason}); put the file ({origin}) on this "
        "machine and give its path"
    )
