"""Does the prediction change when the memory's direction is removed from the features?

v is the source head's row of the memory, without its part along the target head's row of the true class, of
length one. Features f become f - v (v . f): the true class's logit stays, every other logit j loses
(W_j . v)(v . f). Nothing is trained, and it works on frozen backbones and on networks of any kind. The change
of the margin is compared with that of other source classes' directions, drawn at random.
"""

import numpy as np
import torch
from torch import nn

from transferlens.core.seeding import rng_for
from transferlens.core.statistics import permutation_p
from transferlens.memories.effect.removal import Tested
from transferlens.training.outputs import raw_margins


def directions(source_head: nn.Linear, target_row: torch.Tensor) -> torch.Tensor:
    """Unit rows [C, D] of the source head without their part along a target row [D]; 0 if nothing is left."""
    rows = source_head.weight.double()
    unit = nn.functional.normalize(target_row.double(), dim=0)
    return nn.functional.normalize(rows - (rows @ unit)[:, None] * unit, dim=1)


@torch.no_grad()
def changes(features: torch.Tensor, label: int, target_head: nn.Linear, source_head: nn.Linear) -> np.ndarray:
    """Change of the margin of class `label`, with each source class's direction removed: float64[C].

    Args:
        features: [D], of one image.
    """
    v = directions(source_head, target_head.weight[label])
    weight, bias = target_head.weight.double(), target_head.bias.double()
    before = weight @ features.double() + bias
    after = before - (v @ features.double())[:, None] * (v @ weight.T)
    labels = torch.full((len(v) + 1,), label, device=features.device)
    margins = raw_margins(torch.cat([before[None], after]), labels)
    return (margins[1:] - margins[0]).cpu().numpy()


def measure(
    features: torch.Tensor,
    labels: np.ndarray,
    memories: np.ndarray,
    target_head: nn.Linear,
    source_head: nn.Linear,
    overlap: np.ndarray,
    permutations: int,
    seed: int,
) -> Tested:
    """Remove the memories' directions from features [n, D] of images with true classes int64[n].

    Args:
        memories: int64[n], source classes.
        overlap: bool[C, K]; source classes that mean the true class are no controls.
        permutations: other source classes that each memory is compared with, at most.
    """
    effects, nulls, ps = [], [], []
    for i, (label, memory) in enumerate(zip(labels, memories, strict=True)):
        changed = changes(features[i], int(label), target_head, source_head)
        others = np.setdiff1d(np.flatnonzero(~overlap[:, label]), [memory])
        others = rng_for(seed, "directions", i).permutation(others)[:permutations]
        effects.append(changed[memory])
        nulls.append(changed[others].mean() if len(others) else np.nan)
        ps.append(permutation_p(changed[memory], changed[others]))
    return Tested(*(np.array(values, dtype=np.float64) for values in (effects, nulls, ps)))
