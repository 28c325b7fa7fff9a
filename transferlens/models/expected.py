"""How images enter published weights, where it is known without torch."""

from dataclasses import dataclass

_LITE = {"mean": (0.5,) * 3, "std": (0.5,) * 3}


@dataclass(frozen=True)
class ExpectedInput:
    """How images enter the published weights of a network.

    Attributes:
        resolution: side in pixels.
        mean, std: of the channels, after scaling to [0, 1].
    """

    resolution: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


EFFICIENTNETS = {
    "efficientnet_lite0": ExpectedInput(224, **_LITE),
    "efficientnet_lite1": ExpectedInput(240, **_LITE),
    "efficientnet_lite2": ExpectedInput(260, **_LITE),
}
