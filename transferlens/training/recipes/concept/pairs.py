"""Which patches of two images stand for the same concept: pairs of an entropic transport between them.

Of two sets of nine unit vectors with the cost M = 1 - X Y' of a pair, the plan P minimises

    <P, M> - eps H(P),  rows and columns of P summing to 1/9,

by Sinkhorn's iterations. The plan only says which pairs are compared: it has no gradient.

They run on u = exp(potential / eps) in float64 and not on potentials: with a cosine distance, entries of
exp(-M / eps) lie between e^-200 and 1, where nothing is lost, and an iteration needs no exponentials.

Source: Yang et al., ICCV 2023; Cuturi, Sinkhorn distances (NeurIPS 2013).
"""

import torch

EPSILON = 0.01
_BLOCK = 8192  # problems at a time on a CPU, whose caches they fit


@torch.no_grad()
def sinkhorn_plan(
    cost: torch.Tensor, epsilon: float = EPSILON, iterations: int = 200, tolerance: float = 1e-3
) -> torch.Tensor:
    """The plans [B, n, n] of costs [B, n, n], all in [0, 300 epsilon].

    Args:
        tolerance: iterations stop when the potentials of the rows (in units of cost) change by less than
            this in one, summed over the rows, in the mean over the problems; 0 for all iterations.
    """
    if not cost.is_cuda and len(cost) > _BLOCK:
        parts = cost.split(_BLOCK)
        return torch.cat([sinkhorn_plan(part, epsilon, iterations, tolerance) for part in parts])
    kernel = (cost.permute(1, 2, 0).double() / -epsilon).exp().contiguous()  # [n, n, B]
    share = 1 / len(kernel)
    rows, columns = (torch.ones_like(kernel[0]) for _ in range(2))  # [n, B]
    for _ in range(iterations):
        before = rows
        rows = share / _weighted(kernel, columns)
        columns = share / _weighted(kernel.transpose(0, 1), rows)
        if tolerance and epsilon * (rows / before).log().abs().sum(0).mean() < tolerance:
            break
    return (rows[:, None] * kernel * columns).permute(2, 0, 1).to(cost.dtype)


def _weighted(kernel: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """The sum over j of kernel[:, j, B] weights[j, B], without a product as large as the kernel."""
    total = kernel[:, 0] * weights[0]
    for j in range(1, kernel.shape[1]):
        total.addcmul_(kernel[:, j], weights[j])
    return total


def select_pairs(
    plan: torch.Tensor, k: int, generator: torch.Generator | None = None, one: bool = False
) -> torch.Tensor:
    """The places of the k largest entries of plans [..., n, n], in their rows one after the other.

    Args:
        generator: of the draw; torch's own by default.
        one: a single one of them, drawn at random.

    Returns:
        int64[..., k], or int64[..., 1].
    """
    best = plan.flatten(-2).topk(k, dim=-1).indices
    if not one:
        return best
    draw = torch.randint(k, (*best.shape[:-1], 1), generator=generator, device=best.device)
    return best.gather(-1, draw)
