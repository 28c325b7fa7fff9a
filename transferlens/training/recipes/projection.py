"""Projection of weights: every step ends nearer to the source's weights than the optimiser alone would.

theta0 are the backbone's weights at the start of the run, Delta = theta - theta0 tensor by tensor; rows
are those of a tensor's first axis (a layer's outputs). The head has no source value and is never
projected.

* `ftp` (Tian et al. 2023, Fast Trainable Projection): c = theta - theta0 after the optimiser's step, r_j =
  the l1 norm of row j of c + 1e-8; row j of theta becomes theta0 + min(gamma / r_j, 1) c_j. The one radius
  gamma of a tensor is 1e-8 at first, and then takes a step of Adam along G = sum_j <g_j, c'_j> / r'_j,
  with the step's gradient g and the last step's c' and r'; it stays between 1e-8 and the largest r_j.
  Caveat: a radius grows by about 0.01 a step at most, so that short trainings hardly leave the source, and
  the first step of all is undone.
* `spd` (Tian et al. 2024, Selective Projection Decay): where sum(g * (theta' - theta0)) > 0, with theta'
  before the step (the descent turns back to the source), a tensor loses `strength` * rho of its Delta,
  where rho = max(0, |Delta| - |Delta'|) / |Delta|.
  Caveat: the published strength is the optimiser's "weight decay"; there is no other decay of the
  backbone.
* `mars_sp` (Gouk et al. 2021, MARS-SP): row j of Delta is divided by max(1, r_j / radius), r_j its l1
  norm; or the whole tensor, by its Frobenius norm. Weights of normalisations move by at most the radius
  per channel, of batch normalisations after division by the running deviation; biases are free.
  Caveat: the radius is per row, and rows of wide layers have larger l1 norms.

A row within its radius keeps the bits that the optimiser gave it, except under `ftp`.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from transferlens.models.network import Network
from transferlens.training.recipes.base import Data, Group, Recipe
from transferlens.training.recipes.settings.projection import FtpSettings, MarsSettings, SpdSettings

_SMALLEST = 1e-8  # radius of `ftp`, and what is added to its norms
_BETAS, _EPSILON = (0.9, 0.999), 1e-8  # of the Adam of `ftp`'s radii
_VARIANCE = 1e-6  # added to running variances by `mars_sp`

Tensors = dict[str, torch.Tensor]


class Projected(Recipe):
    """Remembers where the backbone started.

    Attributes:
        trained: the backbone's parameters by name.
        origin: theta0, copies of them at the start.
    """

    trained: dict[str, nn.Parameter]
    origin: Tensors

    def start(self, network: Network, source: Network | None, data: Data, seed: int) -> None:
        """Take up a run, which is anchored where it starts."""
        super().start(network, source, data, seed)
        self.trained = dict(network.backbone.named_parameters())
        self.origin = {name: value.detach().clone() for name, value in self.trained.items()}

    def groups(self) -> list[Group]:
        """The head, and the backbone without weight decay, whose part the projection takes."""
        head, backbone = list(self.network.head.parameters()), list(self.trained.values())
        return [Group(head), Group(backbone, self.settings.backbone_rate, weight_decay=0.0)]

    def moved(self) -> list[str]:
        """Names of the parameters that this step has a gradient of; the others stayed where they were."""
        return [name for name, parameter in self.trained.items() if parameter.grad is not None]


class Ftp(Projected):
    """Learns one radius a tensor.

    Attributes:
        radius, mean, square: gamma, and the two moments of its Adam, by the parameter's name.
        direction: c'_j / r'_j of the last step; none before a parameter's first.
        updates: steps of a radius, the first of which only sets it.
    """

    settings: FtpSettings
    _TENSORS = ("radius", "mean", "square", "direction")

    def start(self, network: Network, source: Network | None, data: Data, seed: int) -> None:
        """Take up a run with radii of next to nothing."""
        super().start(network, source, data, seed)
        zeros = {name: value.new_zeros(()) for name, value in self.origin.items()}
        self.radius = {name: zero + _SMALLEST for name, zero in zeros.items()}
        self.mean, self.square = dict(zeros), dict(zeros)
        self.direction: Tensors = {}
        self.updates = dict.fromkeys(zeros, 0)

    def state(self) -> dict[str, Any]:
        """Radii, their moments and ages, and the last directions, by parameter."""
        return {kept: dict(getattr(self, kept)) for kept in (*self._TENSORS, "updates")}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from there, on the device of the weights."""
        self.updates = dict(state["updates"])
        for kept in self._TENSORS:
            placed = {name: value.to(self.origin[name].device) for name, value in state[kept].items()}
            setattr(self, kept, placed)

    @torch.no_grad()
    def after_step(self, step: int) -> None:
        """Learn the radii from the step's gradients, and project what the optimiser made of the weights."""
        for name in self.moved():
            parameter, origin = self.trained[name], self.origin[name]
            change = parameter - origin
            norms = row_norms(change) + _SMALLEST
            if name in self.direction:
                self._learn(name, parameter.grad)
                self.radius[name] = self.radius[name].clamp(min=_SMALLEST).minimum(norms.max())
            self.direction[name] = change.div_(norms)
            torch.addcmul(origin, change, norms.minimum(self.radius[name]), out=parameter)
            self.updates[name] += 1

    def _learn(self, name: str, gradient: torch.Tensor) -> None:
        """One step of Adam for a radius; counted from 2 on, as published."""
        slope = (gradient * self.direction[name]).sum()
        slope = torch.where(slope > 0, slope * self.settings.shrinking, slope)
        # A gradient that overflowed in half precision moves nothing: the optimiser's step was left out.
        slope = slope.nan_to_num(0, 0, 0)
        (first, second), age = _BETAS, self.updates[name] + 1
        self.mean[name] = torch.lerp(slope, self.mean[name], first)
        self.square[name] = torch.lerp(slope.square(), self.square[name], second)
        deviation = (self.square[name] / (1 - second**age)).sqrt() + _EPSILON
        step = self.settings.radius_rate * self.mean[name] / (1 - first**age) / deviation
        self.radius[name] = self.radius[name] - step


class Spd(Projected):
    """Takes back a part of what led away from the source, where the descent turns back.

    Attributes:
        before: whether it does, and |Delta'|, by parameter; of the step under way.
    """

    settings: SpdSettings

    @torch.no_grad()
    def before_step(self, step: int) -> None:
        """See where the weights are, and where their gradients point."""
        self.before = {}
        for name in self.moved():
            change = self.trained[name] - self.origin[name]
            back = (self.trained[name].grad * change).sum() > 0
            self.before[name] = back, torch.linalg.vector_norm(change)

    @torch.no_grad()
    def after_step(self, step: int) -> None:
        """Shrink the displacements that have grown against their gradients."""
        for name, (back, radius) in self.before.items():
            change = self.trained[name] - self.origin[name]
            norm = torch.linalg.vector_norm(change)
            share = ((norm - radius) / norm).nan_to_num(0).clamp(min=0)  # nothing, where nothing has moved
            self.trained[name].sub_(change * (self.settings.strength * share * back))


class MarsSp(Projected):
    """Keeps every row, or tensor, within a radius of its source.

    Attributes:
        norms: batch normalisations by the name of their weight.
        scale: of every vector at the start; that of a batch norm's weight is divided by its deviations.
    """

    settings: MarsSettings

    def start(self, network: Network, source: Network | None, data: Data, seed: int) -> None:
        """Take up a run, and remember the scale of every normalisation."""
        super().start(network, source, data, seed)
        self.norms = {
            f"{name}.weight": module
            for name, module in network.backbone.named_modules()
            if isinstance(module, _BatchNorm) and module.weight is not None and module.running_var is not None
        }
        deviations = self.deviations()
        vectors = {name: value for name, value in self.origin.items() if value.ndim < 2}
        self.scale = {name: value / deviations.get(name, 1) for name, value in vectors.items()}

    def deviations(self) -> Tensors:
        """sqrt(running variance + 1e-6) of batch normalisations, [channels], by the name of their weight."""
        return {name: (norm.running_var + _VARIANCE).sqrt() for name, norm in self.norms.items()}

    @torch.no_grad()
    def after_step(self, step: int) -> None:
        """Bring back what is further from its source than allowed."""
        if self.settings.radius is not None:
            deviations = self.deviations()
            for name, parameter in self.trained.items():
                self._project(name, parameter, deviations.get(name))
        if self.settings.head_radius is not None:
            weight = self.network.head.weight
            within(weight, torch.zeros_like(weight), self._norms(weight), self.settings.head_radius)

    def _project(self, name: str, parameter: nn.Parameter, deviation: torch.Tensor | None) -> None:
        if parameter.ndim > 1:
            norms = self._norms(parameter - self.origin[name])
            within(parameter, self.origin[name], norms, self.settings.radius)
        elif not name.endswith("bias"):
            deviation = torch.ones_like(parameter) if deviation is None else deviation
            centre = self.scale[name] * deviation
            within(parameter, centre, (parameter - centre).abs() / deviation, self.settings.radius)

    def _norms(self, change: torch.Tensor) -> torch.Tensor:
        if self.settings.norm == "rows":
            return row_norms(change)
        return torch.linalg.vector_norm(change)


def row_norms(change: torch.Tensor) -> torch.Tensor:
    """The l1 norms of rows, [rows, 1, ...] as it divides the rows; a vector is one row, as is one number."""
    others = tuple(range(1, change.ndim)) or None
    return torch.linalg.vector_norm(change, 1, dim=others, keepdim=True)


def within(parameter: torch.Tensor, centre: torch.Tensor, norms: torch.Tensor, radius: float) -> None:
    """Bring the rows that are further than a radius from their centre to it; the others keep their bits.

    Args:
        norms: the distances, in a shape that divides what they are of.
    """
    nearer = centre + (parameter - centre) * (radius / norms)
    parameter.copy_(torch.where(norms > radius, nearer, parameter))
