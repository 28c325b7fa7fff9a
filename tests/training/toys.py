"""Toy recipes: each uses a part of the seam that today's recipes leave alone."""

import copy

import torch
from torch import nn

from transferlens.models.network import Network, Parts
from transferlens.training.recipes.base import Group, Recipe

DECAY = 0.8
PULL = 0.5


class MeanTeacher(Recipe):
    """Two networks and four views: a student learns its labels, and what its moving average answers.

    The average is taken before the optimiser's step, and it is what is evaluated.
    """

    views = 4

    def start(self, network, source, data, seed):
        super().start(network, source, data, seed)
        self.beside["teacher"] = copy.deepcopy(network).requires_grad_(False)

    def phases(self):
        self.mode()
        yield self.whole_phase(views=[self.settings.training] * 4)

    def step(self, views, labels):
        first, second, third = (self.logits(view) for view in views[:3])
        with torch.no_grad():
            answer = self.logits(views[3], self.beside["teacher"])
        own = self.phase.criterion(first, labels) + self.phase.criterion(second, labels)
        return own + nn.functional.mse_loss(third, answer), first

    def before_step(self, step):
        for mean, parameter in zip(self.inference().parameters(), self.network.parameters(), strict=True):
            mean.mul_(DECAY).add_(parameter.detach(), alpha=1 - DECAY)

    def inference(self):
        return self.beside["teacher"]


class Staged(Recipe):
    """First the head; then everything, the backbone at a tenth of the rate and without weight decay."""

    def phases(self):
        self.network.train()
        yield self.whole_phase(self.network.head.parameters())
        backbone, head = (list(part.parameters()) for part in (self.network.backbone, self.network.head))
        yield self.whole_phase(groups=[Group(head), Group(backbone, rate=0.1, weight_decay=0.0)], seed=7)


class Adapter(nn.Module):
    """A linear layer beside the identity, which it is at first."""

    def __init__(self, features: int):
        super().__init__()
        self.change = nn.Linear(features, features, bias=False)
        nn.init.zeros_(self.change.weight)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features + self.change(features)


class Anchored(Recipe):
    """An adapter on the features, parameters pulled to the source's, and a head divided in the end."""

    keeps_source = True
    watched = ("backbone",)

    def convert(self, network):
        adapted = nn.Sequential(network.backbone, Adapter(network.head.in_features))
        converted = Network(adapted, network.head, Parts(f"0.{network.class_map_layer}", pools=False))
        return converted.to(next(network.parameters()).device)

    def loss(self, logits, features, labels, parameters):
        assert torch.equal(self.network.head(features["backbone"]), logits)
        assert not self.source.training
        pull = sum(
            (parameter - parameters[f"backbone.0.{name}"]).square().sum()
            for name, parameter in self.source.backbone.named_parameters()
        )
        return super().loss(logits, features, labels, parameters) + PULL * pull

    def finish(self):
        with torch.no_grad():
            self.network.head.weight /= 2


class Projected(Recipe):
    """Every step ends with a head of rows of length one, as it begins."""

    def start(self, network, source, data, seed):
        super().start(network, source, data, seed)
        self.events = []
        self.after_step(-1)

    def before_step(self, step):
        assert self.network.head.weight.grad.abs().sum() > 0
        self.events.append(("before", step, self.lengths()))

    def after_step(self, step):
        stepped = self.lengths()
        with torch.no_grad():
            self.network.head.weight.div_(self.network.head.weight.norm(dim=1, keepdim=True))
        self.events.append(("after", step, stepped))

    def lengths(self):
        """Lengths of the head's rows."""
        return self.network.head.weight.detach().norm(dim=1).tolist()


class Soup(Recipe):
    """The mean of two runs' weights."""

    def combine(self, networks):
        first, second = networks
        with torch.no_grad():
            for parameter, other in zip(first.parameters(), second.parameters(), strict=True):
                parameter.add_(other).div_(2)
        return first
