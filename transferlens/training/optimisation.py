"""Optimisers by name, and how a step of theirs is taken."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from transferlens.core.settings import TrainingSettings
from transferlens.training import fused, schedule
from transferlens.training.recipes.base import Group


class Optimiser:
    """The optimiser of a phase: its learning rates, gradient scaling and clipping.

    Args:
        groups: parameters, each group with a factor of the learning rate and perhaps a weight decay.
        scaler: multiplies the loss where gradients of half precision would vanish.
        recorded: whether a GPU records a step to do it again: learning rates are then tensors of theirs.
    """

    def __init__(
        self,
        training: TrainingSettings,
        groups: Sequence[Group],
        scaler: torch.amp.GradScaler,
        recorded: bool = False,
    ):
        self.training, self.scaler, self.recorded = training, scaler, recorded
        self._rates = [group.rate for group in groups]
        self._parameters = [parameter for group in groups for parameter in group.parameters]
        self._inner = _make(training, groups, scaler.is_enabled())
        if recorded:
            device = self._parameters[0].device
            # What the fused steps read on a GPU is float32; on the CPU float64 gives the bits of a number.
            dtype = torch.float64 if device.type == "cpu" else torch.float32
            for group in self._inner.param_groups:
                group["lr"] = torch.zeros((), dtype=dtype, device=device)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        self._inner.zero_grad()

    def set_rate(self, step: int, steps_per_epoch: int) -> float:
        """Set the learning rates of a step of the phase; returns the first group's."""
        rate = schedule.learning_rate(self.training, step, steps_per_epoch)
        for group, factor in zip(self._inner.param_groups, self._rates, strict=True):
            if self.recorded:
                group["lr"].fill_(rate * factor)
            else:
                group["lr"] = rate * factor
        return rate * self._rates[0]

    def unscale(self) -> None:
        """Bring the gradients to their own scale, and clip them."""
        self.scaler.unscale_(self._inner)
        if self.training.clip is not None:
            torch.nn.utils.clip_grad_norm_(self._parameters, self.training.clip)

    def state(self) -> dict[str, Any]:
        """What is remembered from step to step."""
        return {"inner": self._inner.state_dict(), "scaler": self.scaler.state_dict()}

    def forget(self) -> None:
        """Be as before the first step, in place: steps of no consequence have made all that is remembered."""
        self._inner.forget()

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take up what `state` said."""
        self._inner.load_state_dict(state["inner"])
        if state["scaler"]:  # empty where nothing is scaled
            self.scaler.load_state_dict(state["scaler"])

    def step(self) -> None:
        """Change the parameters."""
        self.scaler.step(self._inner)
        self.scaler.update()


def _make(
    training: TrainingSettings, groups: Sequence[Group], scaled: bool
) -> fused.Fused | torch.optim.Optimizer:
    """The optimiser that settings ask for; where gradients are scaled torch's own, which skips steps on the
    device."""
    decays = (training.weight_decay if g.weight_decay is None else g.weight_decay for g in groups)
    tensors = [
        {"params": list(group.parameters), "weight_decay": decay}
        for group, decay in zip(groups, decays, strict=True)
    ]
    if training.optimizer == "adamw":
        betas = tuple(training.betas)
        if scaled:
            return torch.optim.AdamW(tensors, lr=0.0, betas=betas, fused=True)
        return fused.AdamW(tensors, betas)
    momentum, nesterov = training.momentum, training.nesterov
    if scaled:
        return torch.optim.SGD(tensors, lr=0.0, momentum=momentum, nesterov=nesterov, fused=True)
    return fused.SGD(tensors, momentum, nesterov)
