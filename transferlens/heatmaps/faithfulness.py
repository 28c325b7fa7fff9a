"""Do class maps show what a prediction depends on? Each method against maps that know nothing of the model.

Deletion takes the cells that a map ranks highest away first, insertion puts them back first (Petsiuk et al.
2018); the probability of the predicted class is followed. What stands for "away" decides much, so there are
two baselines. Average drop and increase (Chattopadhay et al. 2018) look at the image under its map. Last come
maps of the network with random weights: a method that draws the same for them shows the image, not the model
(Adebayo et al. 2018).
"""

import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from transferlens.core import job
from transferlens.core.seeding import rng_for, seed_for
from transferlens.core.statistics import Interval, mean_interval, q_values, rank_correlations, two_sided_p
from transferlens.heatmaps.artefacts import BASELINES, MEASURES, RANDOMISED
from transferlens.maps import class_maps
from transferlens.models.network import Network
from transferlens.training import fitting

_IMAGES_AT_ONCE = 256
_RANDOM_MAPS = 5
_BLUR = 11 / 224  # standard deviation, in sides of the image
_CENTRE = 1 / 4  # the same of the control
_WINDOW = 7  # pixels of a side that one SSIM is taken over


@dataclass(frozen=True)
class Curves:
    """Probability of each image's class while it is taken away and put back.

    Attributes:
        fractions: float32[points], the share of the pixels that is away, or back.
        deletion, insertion: float32[images, points].
    """

    fractions: np.ndarray
    deletion: np.ndarray
    insertion: np.ndarray

    def areas(self) -> tuple[np.ndarray, np.ndarray]:
        """float64[images] under the deletion and under the insertion curve."""
        deletion = np.trapezoid(self.deletion.astype(np.float64), self.fractions)
        return deletion, np.trapezoid(self.insertion.astype(np.float64), self.fractions)


@dataclass(frozen=True)
class Scores:
    """What was measured, of every method and control.

    Attributes:
        methods: names; the last ones are those of CONTROLS.
        classes, probabilities: int64 and float32[images], predicted by the network.
        fractions: float32[points].
        curves: of each baseline float32[2, methods, images, points]: deletion, then insertion.
        values: of each of MEASURES float64[methods, images].
        randomised: of each of RANDOMISED float64[methods, images]; NaN where a map is constant.
        zero: bool[methods, images], the method finds nothing: such a map ranks cells row by row.
    """

    methods: list[str]
    classes: np.ndarray
    probabilities: np.ndarray
    fractions: np.ndarray
    curves: dict[str, np.ndarray]
    values: dict[str, np.ndarray]
    randomised: dict[str, np.ndarray]
    zero: np.ndarray


def probabilities(network: nn.Module, images: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """float32[N] of class `classes[i]` for image i, on the CPU."""
    with torch.inference_mode():
        of_all, _ = fitting.in_parts(lambda part: network(part).float().softmax(1), images, _IMAGES_AT_ONCE)
    return of_all.cpu()[torch.arange(len(images)), classes]


def enlarged(maps: torch.Tensor, side: tuple[int, int]) -> torch.Tensor:
    """Maps [N, h, w] at the size of the image, [N, H, W]."""
    return functional.interpolate(maps[:, None], side, mode="bilinear", align_corners=False)[:, 0]


def follow(
    network: nn.Module,
    images: torch.Tensor,
    maps: torch.Tensor,
    classes: torch.Tensor,
    baseline: torch.Tensor,
    steps: int,
) -> Curves:
    """Deletion and insertion of float32[N, 3, H, W] in the order of its maps [N, h, w].

    Args:
        classes: int64[N], whose probability is followed.
        baseline: what takes the place of pixels that are away; broadcast to the images.
    """
    order = enlarged(maps, images.shape[2:]).flatten(1).argsort(dim=1, descending=True, stable=True)
    ranks = order.argsort(1).view(len(images), 1, *images.shape[2:])
    pixels = order.shape[1]
    counts = [*range(0, pixels, -(-pixels // steps)), pixels]
    deletion, insertion = [], []
    for count in counts:
        first = ranks < count
        deletion.append(probabilities(network, torch.where(first, baseline, images), classes))
        insertion.append(probabilities(network, torch.where(first, images, baseline), classes))
    fractions = np.array(counts, dtype=np.float32) / pixels
    return Curves(fractions, torch.stack(deletion, 1).numpy(), torch.stack(insertion, 1).numpy())


def drops(
    network: nn.Module, images: torch.Tensor, maps: torch.Tensor, classes: torch.Tensor
) -> tuple[np.ndarray, np.ndarray]:
    """float64[N] share of the probability lost under each map, scaled to 0..1, and whether it rises."""
    large = enlarged(_scaled(maps), images.shape[2:])
    before = probabilities(network, images, classes).double()
    after = probabilities(network, images * large[:, None], classes).double()
    return (torch.relu(before - after) / (before + 1e-7)).numpy(), (after > before).double().numpy()


def _scaled(maps: torch.Tensor) -> torch.Tensor:
    """Each map from 0 to 1; a constant one is zero."""
    maps = maps - maps.amin((1, 2), keepdim=True)
    return maps / (maps.amax((1, 2), keepdim=True) + 1e-8)


def baselines(images: torch.Tensor) -> dict[str, torch.Tensor]:
    """What pixels that are away are replaced by: zero is the mean of normalised images."""
    from torchvision.transforms.v2.functional import gaussian_blur

    sigma = _BLUR * images.shape[-1]
    size = 2 * round(3 * sigma) + 1
    return {"mean": torch.zeros_like(images), "blur": gaussian_blur(images, [size, size], [sigma, sigma])}


def score(
    network: Network, images: torch.Tensor, methods: list[str], layer: str | None, steps: int, seed: int
) -> Scores:
    """All measures of all methods and controls on float32[N, 3, H, W], for the predicted classes."""
    with torch.inference_mode():
        logits, _ = fitting.in_parts(network, images, _IMAGES_AT_ONCE)
    classes = logits.argmax(1).cpu()
    rng = rng_for(seed, "random maps")
    drawn = _all_maps(network, images, classes, methods, layer, rng)
    of_random = _all_maps(randomised(network, seed), images, classes, methods, layer, rng)
    away = baselines(images)
    curves = {name: [] for name in BASELINES}
    values = {name: [] for name in MEASURES}
    similar = {name: [] for name in RANDOMISED}
    for method in job.progress(list(drawn), "faithfulness", "methods"):
        for name, baseline in away.items():
            of_draws = [follow(network, images, m, classes, baseline, steps) for m in drawn[method]]
            fractions = of_draws[0].fractions
            curves[name].append(np.mean([(c.deletion, c.insertion) for c in of_draws], 0))
            areas = np.mean([c.areas() for c in of_draws], 0)
            values[f"deletion_{name}"].append(areas[0])
            values[f"insertion_{name}"].append(areas[1])
        dropped = np.mean([drops(network, images, m, classes) for m in drawn[method]], 0)
        values["average_drop"].append(dropped[0])
        values["increase"].append(dropped[1])
        pairs = list(zip(drawn[method], of_random[method], strict=True))
        similar["spearman"].append(np.mean([spearman(*pair) for pair in pairs], 0))
        similar["ssim"].append(np.mean([ssim(*pair, images.shape[2:]) for pair in pairs], 0))
    return Scores(
        list(drawn),
        classes.numpy(),
        probabilities(network, images, classes).numpy(),
        fractions,
        {name: np.stack(c, 1) for name, c in curves.items()},
        {name: np.stack(v) for name, v in values.items()},
        {name: np.stack(v) for name, v in similar.items()},
        np.stack([~m[0].flatten(1).any(1).cpu().numpy() for m in drawn.values()]),
    )


def _all_maps(
    network: Network,
    images: torch.Tensor,
    classes: torch.Tensor,
    methods: list[str],
    layer: str | None,
    rng: np.random.Generator,
) -> dict[str, list[torch.Tensor]]:
    """Maps [N, h, w] of every method and control; of the random one several, of the first method's size."""
    drawn = {}
    for method in job.progress(methods, "class maps", "methods"):
        maps = class_maps.class_maps(network, images, classes.tolist(), method, layer).maps
        drawn[method] = [torch.from_numpy(maps).to(images.device)]
    draws = rng.random((_RANDOM_MAPS, *drawn[methods[0]][0].shape), dtype=np.float32)
    drawn["random"] = list(torch.from_numpy(draws).to(images.device))
    drawn["centre"] = [_centred(images)]
    return drawn


def _centred(images: torch.Tensor) -> torch.Tensor:
    """The same Gaussian for every image, [N, H, W]."""
    n, _, height, width = images.shape
    y, x = (torch.linspace(-0.5, 0.5, side, device=images.device) for side in (height, width))
    bell = torch.exp(-(y[:, None] ** 2 + x**2) / (2 * _CENTRE**2))
    return bell.expand(n, height, width)


def randomised(network: Network, seed: int) -> Network:
    """A copy with every parameter drawn anew."""
    random = copy.deepcopy(network)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_for(seed, "randomised"))
        for module in random.cpu().modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
    return random.to(next(network.parameters()).device)


def spearman(one: torch.Tensor, other: torch.Tensor) -> np.ndarray:
    """Rank correlation float64[N] of the cells of maps [N, h, w]; NaN where one is constant."""
    return rank_correlations(*(maps.flatten(1).cpu().numpy() for maps in (one, other)))


def ssim(one: torch.Tensor, other: torch.Tensor, side: tuple[int, int]) -> np.ndarray:
    """Structural similarity float64[N] (Wang et al. 2004) of maps scaled to 0..1 and enlarged."""
    x, y = (enlarged(_scaled(m), side).double() for m in (one, other))

    def mean(values: torch.Tensor) -> torch.Tensor:
        return functional.avg_pool2d(values[:, None], min(_WINDOW, *side), stride=1)[:, 0]

    mean_x, mean_y = mean(x), mean(y)
    var_x, var_y = mean(x * x) - mean_x**2, mean(y * y) - mean_y**2
    covariance = mean(x * y) - mean_x * mean_y
    low, contrast = 0.01**2, 0.03**2
    similar = (2 * mean_x * mean_y + low) * (2 * covariance + contrast)
    return (similar / ((mean_x**2 + mean_y**2 + low) * (var_x + var_y + contrast))).mean((1, 2)).cpu().numpy()


@dataclass(frozen=True)
class Summary:
    """Means over images with 95 % intervals.

    Attributes:
        means: of every measure [methods].
        differences: of every measure, method minus random, paired by image [methods] (NaN for random).
        p, q: of a difference of zero; q is Benjamini-Hochberg over all methods and measures.
        randomised: of RANDOMISED [methods], over images with a map that is not constant.
    """

    means: dict[str, Interval]
    differences: dict[str, Interval]
    p: dict[str, np.ndarray]
    q: dict[str, np.ndarray]
    randomised: dict[str, Interval]


def summarise(scores: Scores) -> Summary:
    """Intervals over images, of one model."""
    control = scores.methods.index("random")
    differences, p = {}, {}
    for name, values in scores.values.items():
        change = values - values[control]
        se = change.std(1, ddof=1) / np.sqrt(change.shape[1])
        differences[name] = mean_interval(change)
        p[name] = two_sided_p(change.mean(1), se, change.shape[1] - 1)
        for array in (*vars(differences[name]).values(), p[name]):
            array[control] = np.nan
    q = q_values(np.array(list(p.values())))
    return Summary(
        {name: mean_interval(values) for name, values in scores.values.items()},
        differences,
        p,
        dict(zip(p, q, strict=True)),
        {name: _interval_of_known(values) for name, values in scores.randomised.items()},
    )


def _interval_of_known(values: np.ndarray) -> Interval:
    """`mean_interval` of each row without its NaN; NaN for a row with fewer than two values."""
    rows = [row[~np.isnan(row)] for row in values]
    means = [mean_interval(row) if len(row) > 1 else Interval(*[np.float64(np.nan)] * 3) for row in rows]
    return Interval(*(np.array([getattr(i, key) for i in means]) for key in ("value", "low", "high")))
