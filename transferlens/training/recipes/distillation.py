"""Keeping what the source head says, on the features that are fine-tuned, beside the cross-entropy (CE).

    lwf        CE + strength * KL(softmax(t / T) | softmax(s / T)), an image's mean, without a factor T^2;
               t: the frozen source, s: its frozen head on the present features
    co_tuning  CE + strength * cross-entropy of p(source class | target class) and softmax(s);
               s: the source head, trained with the rest, on the present features

(Li and Hoiem 2016, Learning without Forgetting; You et al. 2020, Co-Tuning.)

Published code of `lwf` records t once, on augmented images; here the source answers the very images that the
student sees. What `co_tuning` aims at is found once, by `relationship`, on the evaluation crops.
"""

import copy
from collections.abc import Iterator, Mapping

import torch
from torch.nn import functional

from transferlens.core.seeding import rng_for
from transferlens.models.network import Network
from transferlens.training import engine
from transferlens.training.recipes import relationship
from transferlens.training.recipes.base import Data, Group, Phase
from transferlens.training.recipes.penalised import Penalised
from transferlens.training.recipes.settings.distillation import CoTuningSettings, LwfSettings


class Lwf(Penalised):
    """The source head on the features that are fine-tuned answers as the source does."""

    settings: LwfSettings
    keeps_source = True
    watched = ("backbone",)

    def phases(self) -> Iterator[Phase]:
        """One phase, in whole batches: the source sees each before it is known how it would be divided."""
        self.mode()
        yield self.whole_phase(divisible=False)

    def extra_images(self, batch: torch.Tensor) -> None:
        """None; the source answers the batch."""
        with torch.no_grad():
            self._taught = self.logits(batch, self.source)

    def penalty(self, features: Mapping[str, torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
        """The divergence of the source head's answers."""
        answers, temperature = self.source.head(features["backbone"].float()), self.settings.temperature
        return self.settings.strength * divergence(self._taught / temperature, answers / temperature)


class CoTuning(Penalised):
    """The source head is trained, too: to answer with what source classes stand for the label."""

    settings: CoTuningSettings
    keeps_source = True
    watched = ("backbone",)

    def start(self, network: Network, source: Network | None, data: Data, seed: int) -> None:
        """Take up a run, with a source head to be trained."""
        super().start(network, source, data, seed)
        self.beside["source_head"] = copy.deepcopy(self.source.head).requires_grad_(True)

    def groups(self) -> list[Group]:
        """With the source head."""
        head = list(self.beside["source_head"].parameters())
        return [*super().groups(), Group(head, rate=self.settings.source_rate)]

    def phases(self) -> Iterator[Phase]:
        """One phase, once the classes are related."""
        self.targets = self._relate()
        self.mode()
        yield self.whole_phase(divisible=not self.settings.training.class_weighted)

    def _relate(self) -> torch.Tensor:
        """p(source class | target class), float32[target classes, source classes]."""
        images, positions = self.data.images, self.data.positions
        answers = engine.evaluate(self.source, images).double().softmax(1).cpu().numpy()[positions]
        labels, classes = images.labels.cpu().numpy()[positions], self.network.head.out_features
        if self.settings.relationship == "direct":
            related = relationship.direct(answers, labels, classes)
        else:
            related = relationship.learned(answers, labels, classes, rng_for(self.seed, "relationship"))
        return torch.from_numpy(related).float().to(images.device)

    def penalty(self, features: Mapping[str, torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
        """The cross-entropy of the source head."""
        answers = self.beside["source_head"](features["backbone"].float())
        return self.settings.strength * functional.cross_entropy(answers, self.targets[labels])


def divergence(teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
    """Mean over images of KL(softmax(teacher) | softmax(student)), of logits [N, C] each."""
    return functional.kl_div(
        student.log_softmax(1), teacher.log_softmax(1), reduction="batchmean", log_target=True
    )
