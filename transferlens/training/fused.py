"""SGD and AdamW as torch's fused kernels compute them, bit for bit.

The classes of `torch.optim` import torch's compiler when the first of them is made, which takes every job
seconds of CPU and serves none. Its functions, which the classes call, do not.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd


class Fused:
    """An optimiser: groups of parameters with their learning rates, and what it remembers of each parameter.

    Args:
        groups: each with its `params` and `weight_decay`; `lr` is set in `param_groups` before a step.
    """

    def __init__(self, groups: Sequence[Mapping[str, Any]]):
        self.param_groups = [{**group, "lr": 0.0} for group in groups]
        self._remembered: dict[torch.Tensor, dict[str, torch.Tensor]] = {}

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self._parameters():
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Change the parameters that have gradients."""
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            self._step(parameters, [parameter.grad for parameter in parameters], group)

    def forget(self) -> None:
        """Be as before the first step: all that is remembered becomes zero where it is."""
        for kept in self._remembered.values():
            for value in kept.values():
                value.zero_()

    def state_dict(self) -> dict[str, Any]:
        """What is remembered, by the places of parameters."""
        known = enumerate(self._parameters())
        return {"remembered": {i: self._remembered[p] for i, p in known if p in self._remembered}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` said."""
        parameters = list(self._parameters())
        self._remembered = {
            parameters[i]: {name: value.to(parameters[i].device) for name, value in kept.items()}
            for i, kept in state["remembered"].items()
        }

    def _parameters(self) -> Iterator[torch.Tensor]:
        for group in self.param_groups:
            yield from group["params"]

    def _step(
        self, parameters: list[torch.Tensor], gradients: list[torch.Tensor], group: Mapping[str, Any]
    ) -> None:
        raise NotImplementedError


class SGD(Fused):
    """As `torch.optim.SGD(..., fused=True)`."""

    def __init__(self, groups: Sequence[Mapping[str, Any]], momentum: float, nesterov: bool):
        super().__init__(groups)
        self._momentum, self._nesterov = momentum, nesterov

    def _step(
        self, parameters: list[torch.Tensor], gradients: list[torch.Tensor], group: Mapping[str, Any]
    ) -> None:
        buffers = [self._remembered.get(parameter, {}).get("momentum") for parameter in parameters]
        sgd(
            parameters,
            gradients,
            buffers,  # the first step fills it
            fused=True,
            weight_decay=group["weight_decay"],
            momentum=self._momentum,
            lr=group["lr"],
            dampening=0,
            nesterov=self._nesterov,
            maximize=False,
        )
        if self._momentum:
            kept = zip(parameters, buffers, strict=True)
            self._remembered.update((parameter, {"momentum": buffer}) for parameter, buffer in kept)


class AdamW(Fused):
    """As `torch.optim.AdamW(..., fused=True)`."""

    def __init__(self, groups: Sequence[Mapping[str, Any]], betas: tuple[float, float]):
        super().__init__(groups)
        self._betas = betas

    def _step(
        self, parameters: list[torch.Tensor], gradients: list[torch.Tensor], group: Mapping[str, Any]
    ) -> None:
        for parameter in parameters:
            if parameter not in self._remembered:
                self._remembered[parameter] = _begin(parameter)
        kept = [self._remembered[parameter] for parameter in parameters]
        adamw(
            parameters,
            gradients,
            *([of[name] for of in kept] for name in ("mean", "square")),
            [],
            [of["steps"] for of in kept],
            fused=True,
            amsgrad=False,
            beta1=self._betas[0],
            beta2=self._betas[1],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=1e-8,
            maximize=False,
        )


def _begin(parameter: torch.Tensor) -> dict[str, torch.Tensor]:
    """What AdamW remembers of a parameter before its first step: moments of its gradient, and steps."""
    steps = torch.zeros((), dtype=torch.float32, device=parameter.device)
    return {"mean": torch.zeros_like(parameter), "square": torch.zeros_like(parameter), "steps": steps}
