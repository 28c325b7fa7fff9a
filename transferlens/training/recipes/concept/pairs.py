"""Which patches of two images stand for the same concept: pairs of an entropic transport between them.

Of two sets of nine unit vectors with the cost M = 1 - X Y' of a pair, the plan P minimises

    <P, M> - eps H(P),  rows and columns of P summing to 1/9,

by Sinkhorn's iterations. The plan only says which pairs are compared: it has no gradient.

They scale the rows and columns of exp(-M / eps), and do not work on potentials: an iteration then needs no
exponentials. With a cosine distance these entries lie between e^-200 and 1, and nothing is lost in float64.
After a few iterations the scaled kernel is nearly the plan, and what float32 takes for 0 is 0 in it: the rest
is done in the precision of the cost.

Source: Yang et al., ICCV 2023; Cuturi, Sinkhorn distances (NeurIPS 2013).
"""

import torch

EPSILON = 0.01
_WIDE = 10  # iterations in float64
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
    kernel = (cost.permute(1, 2, 0).double() / -epsilon).exp_().contiguous()  # [n, n, B]
    small, first = tolerance / epsilon, min(_WIDE, iterations)
    kernel, stopped = _balanced(kernel, first, small)
    if not stopped:
        kernel, _ = _balanced(kernel.to(cost.dtype), iterations - first, small)
    return kernel.div_(len(kernel)).permute(2, 0, 1).to(cost.dtype)


def _balanced(kernel: torch.Tensor, iterations: int, small: float) -> tuple[torch.Tensor, bool]:
    """Scale the rows, and then the columns, of kernels [n, n, B] to sums of 1, again and again, in place.

    Returns:
        The kernels, and whether logarithms of the rows' scales changed by less than `small`.
    """
    by_row, by_column = kernel.unbind(0), kernel.unbind(1)
    rows, columns = torch.ones_like(kernel[0]), torch.ones_like(kernel[0])
    stopped = False
    for _ in range(iterations):
        before = rows.clone() if small else rows
        _scale(by_column, columns, out=rows)
        _scale(by_row, rows, out=columns)
        if small and (rows / before).log_().abs_().sum(0).mean() < small:
            stopped = True
            break
    return kernel.mul_(rows[:, None]).mul_(columns), stopped


def _scale(parts: tuple[torch.Tensor, ...], weights: torch.Tensor, out: torch.Tensor) -> None:
    """1 / (sum over j of parts[j] weights[j]), without a product as large as all parts [n, B]."""
    weight = weights.unbind(0)
    torch.mul(parts[0], weight[0], out=out)
    for j in range(1, len(parts)):
        out.addcmul_(parts[j], weight[j])
    out.reciprocal_()


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
