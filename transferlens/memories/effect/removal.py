"""Is an example rescued by blurring the region where its memory shows?

The region of most evidence for the memory is blurred, and the change of the true class's margin is compared
with that of the same region shifted at random (on a torus: shape and area stay). If the place did not matter,
the true region's change would be one more draw of the same, so that p = (1 + number of shifts that change the
margin as much) / (1 + number of shifts) is exact, one-sided.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from transferlens.core import job
from transferlens.core.seeding import rng_for
from transferlens.core.statistics import permutation_p, q_values
from transferlens.models.network import Network
from transferlens.training import fitting
from transferlens.training.outputs import raw_margins

# Standard deviation of the blur, as a share of the image's side: 11 pixels of 224.
_BLUR = 0.05
_BATCH = 64


@dataclass(frozen=True)
class Tested:
    """A change on each tested example against its null; every array has one entry an example.

    Attributes:
        effect: float64, change of the margin.
        null_mean: float64, mean change of what it is compared with.
        p, q: float64, one-sided, and Benjamini-Hochberg over the tested examples.
    """

    effect: np.ndarray
    null_mean: np.ndarray
    p: np.ndarray

    @property
    def q(self) -> np.ndarray:
        """Benjamini-Hochberg q-values float64[n] over the examples."""
        return q_values(self.p)


def region(evidence: torch.Tensor, side: int, share: float) -> torch.Tensor:
    """The `share` of an image's pixels with the most evidence, bool[side, side], of a map [h, w]."""
    large = functional.interpolate(
        evidence[None, None].float(), size=(side, side), mode="bilinear", align_corners=False
    )
    count = max(1, round(share * side**2))
    chosen = torch.zeros(side**2, dtype=torch.bool, device=evidence.device)
    chosen[large.flatten().topk(count).indices] = True
    return chosen.view(side, side)


def shifted(mask: torch.Tensor, shifts: int, rng: np.random.Generator) -> torch.Tensor:
    """The mask bool[side, side] moved by different random steps on the torus: bool[shifts, side, side].

    Of an image so small that there are fewer steps, all of them.
    """
    side = len(mask)
    steps = rng.choice(side**2 - 1, size=min(shifts, side**2 - 1), replace=False) + 1
    return torch.stack([mask.roll((int(s) // side, int(s) % side), (0, 1)) for s in steps])


def blurred(images: torch.Tensor) -> torch.Tensor:
    """Images [..., 3, side, side] through a Gaussian blur."""
    from torchvision.transforms import functional as pictures

    sigma = _BLUR * images.shape[-1]
    reach = min(round(3 * sigma), images.shape[-1] - 1)
    return pictures.gaussian_blur(images, 2 * reach + 1, sigma)


@torch.inference_mode()
def changes(network: Network, image: torch.Tensor, label: int, masks: torch.Tensor) -> np.ndarray:
    """Change of the margin of class `label` when each of the masks bool[R, side, side] is blurred: [R]."""
    soft = blurred(image)
    none = torch.zeros_like(masks[:1])

    def margin(chosen: torch.Tensor) -> torch.Tensor:
        logits = network(torch.where(chosen[:, None], soft, image))
        return raw_margins(logits, torch.full((len(chosen),), label, device=logits.device))

    margins, _ = fitting.in_parts(margin, torch.cat([none, masks]), _BATCH)
    return (margins[1:] - margins[0]).cpu().numpy()


def measure(
    network: Network,
    images: torch.Tensor,
    labels: np.ndarray,
    maps: torch.Tensor,
    share: float,
    shifts: int,
    seed: int,
) -> Tested:
    """Blur the memories' regions of images [n, 3, side, side] with true classes int64[n].

    Args:
        maps: [n, h, w], evidence for the memories.
        share: of the image that is blurred.
        shifts: random shifts of the region that it is compared with.
    """
    effects, nulls, ps = [], [], []
    for i in job.progress(range(len(images)), "remove memories", "images"):
        mask = region(maps[i], images.shape[-1], share)
        masks = torch.cat([mask[None], shifted(mask, shifts, rng_for(seed, "shifts", i))])
        effect, *null = changes(network, images[i], int(labels[i]), masks)
        effects.append(effect)
        nulls.append(np.mean(null))
        ps.append(permutation_p(effect, np.array(null)))
    return Tested(*(np.array(values, dtype=np.float64) for values in (effects, nulls, ps)))
