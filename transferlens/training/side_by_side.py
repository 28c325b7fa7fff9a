"""Models in training whose networks stand side by side as one network."""

from collections.abc import Iterator, Sequence

import torch

from transferlens.models.grouping import Grouped, as_images, place, room_for
from transferlens.training import device as devices
from transferlens.training import engine, schedule
from transferlens.training.recipes.base import Group
from transferlens.training.runs import Run

_LEAST = 2  # slots: one alone takes other code
_IN_USE = 0.75  # of the slots; when it is less, those that are left move together


class Model:
    """A model in training: where it stands, and what it takes along when it moves.

    Attributes:
        network: its own, which is up to date when it stands in no slot, or has been read from it.
        velocity: momenta of its parameters by name; none before the first step.
    """

    def __init__(self, run: Run):
        recipe, kept = run.recipe, run.kept.state()
        self.run, self.network = run, recipe.network
        self.velocity: dict[str, torch.Tensor] = {}
        (self.phase,) = recipe.phases()
        recipe.enter(self.phase, {})
        self.steps = engine.steps_per_epoch(self.phase)
        self.standing = engine.begun(recipe, self.phase, run.checkpoints, kept, run.kept)
        if kept:
            self.network.load_state_dict(kept["network"])
            self.velocity = kept["velocity"]
        else:
            self.standing.open(0, self.phase.training.epochs)
        self.begin_batches()

    def begin_batches(self) -> None:
        """Its batches to come, from the step on where it stands."""
        self.batches = engine.view_batches(self.phase, self.steps, self.standing.step)

    @property
    def over(self) -> bool:
        """Whether it has taken all its steps."""
        return self.standing.step == self.phase.training.epochs * self.steps

    @property
    def rate(self) -> float:
        """The learning rate of its next step."""
        return schedule.learning_rate(self.phase.training, self.standing.step, self.steps)

    def groups(self) -> Iterator[tuple[str, Group]]:
        """The name of every parameter that is trained, with its group."""
        names = {parameter: name for name, parameter in self.network.named_parameters()}
        for group in self.phase.groups:
            for parameter in group.parameters:
                yield names[parameter], group

    def took(self, loss: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor, rate: float) -> None:
        """Note a step at this rate.

        Raises:
            NumericalError: a loss of the epoch that ends with it is not finite.
        """
        self.standing.took(loss, logits, labels)
        if self.standing.step % self.steps == 0:
            engine.require_finite(self.standing, self.run.recipe, self.steps)
            self.standing.close_epoch(self.steps, rate * self.phase.groups[0].rate)

    def keep(self) -> None:
        """Keep it as it stands, should the job be interrupted; its network is up to date."""
        self.run.checkpoints.lay_by(self.run.kept)
        self.run.kept.keep_state(
            {
                "standing": self.standing.as_kept(),
                "network": self.network.state_dict(),
                "velocity": self.velocity,
            }
        )


class SideBySide:
    """Models that take their steps together, by stochastic gradient descent.

    Args:
        models: of networks of one architecture, with batches of one size, trained by one recipe.
    """

    def __init__(self, models: Sequence[Model]):
        first = models[0]
        self.models = dict(enumerate(models))  # by slot; those that are over leave it
        self.training, self.autocast = first.phase.training, first.phase.autocast
        self.network = Grouped(first.network, max(_LEAST, len(models)))
        self.parameters = dict(self.network.named_parameters())
        self.groups = dict(first.groups())
        self.velocity = {name: torch.zeros_like(self.parameters[name]) for name in self.groups}
        self.statistics = [t for name, t in self.network.tensors.items() if name not in self.parameters]
        self.room: torch.Tensor | None = None
        for slot in range(self.network.slots):
            self._take(slot, self.models.get(slot, first))

    def _take(self, slot: int, model: Model) -> None:
        """Put a model into a slot."""
        self.network.load(slot, model.network.state_dict())
        for name, velocity in model.velocity.items():
            self.network.stack(name, self.velocity[name])[slot].copy_(velocity)

    def _read(self, slot: int) -> Model:
        """The model of a slot, brought up to date."""
        model = self.models[slot]
        model.network.load_state_dict(self.network.state(slot))
        model.velocity = {
            name: self.network.stack(name, velocity)[slot].clone() for name, velocity in self.velocity.items()
        }
        return model

    def train(self) -> None:
        """Take steps until so many models are over that those that are left had better move together.

        Those that are left are brought up to date.

        Raises:
            NumericalError: a loss that is not finite.
            torch.OutOfMemoryError: all stand as if the step that failed had not begun.
        """
        try:
            while self.models and (len(self.models) == 1 or len(self.models) >= _IN_USE * self.network.slots):
                self._step()
        finally:
            for slot in self.models:
                self._read(slot)

    def _step(self) -> None:
        """A step of every model."""
        rates = {slot: model.rate for slot, model in self.models.items()}
        before = [tensor.clone() for tensor in self.statistics]
        try:
            with devices.allocations():
                labels = self._batches()
                logits, losses = self._gradients(labels)
        except torch.OutOfMemoryError:
            for tensor, value in zip(self.statistics, before, strict=True):
                tensor.copy_(value)
            for model in self.models.values():
                model.begin_batches()
            raise
        self.network.count()
        self._descend(rates)
        for slot, model in list(self.models.items()):
            model.took(losses[slot], logits[slot], labels[slot], rates[slot])
            if model.standing.done in model.run.checkpoints.steps:
                self._read(slot).run.checkpoints.reached(model.standing.done, model.run.recipe)
            if model.over:
                self._read(slot)
                del self.models[slot]
        if any(model.run.kept.due() for model in self.models.values()):
            for slot in self.models:
                self._read(slot).keep()

    def _batches(self) -> dict[int, torch.Tensor]:
        """Put the next batch of every model into the room for images; returns their labels by slot."""
        labels = {}
        for slot, model in self.models.items():
            (images,), labels[slot] = next(model.batches)
            if self.room is None:
                self.room = room_for(self.network.slots, images.shape, images.device)
            place(self.room, slot, images)
        return labels

    def _gradients(self, labels: dict[int, torch.Tensor]) -> tuple[torch.Tensor, dict[int, torch.Tensor]]:
        """Put the gradients of the models' losses in place; returns logits [slots, N, C] and losses."""
        for parameter in self.parameters.values():
            parameter.grad = None
        with self.autocast():
            logits = self.network(as_images(self.room))
        logits = logits.float()
        losses = {slot: self.models[slot].phase.criterion(logits[slot], own) for slot, own in labels.items()}
        sum(losses.values()).backward()
        return logits.detach(), {slot: loss.detach() for slot, loss in losses.items()}

    @torch.no_grad()
    def _descend(self, rates: dict[int, float]) -> None:
        """Change the parameters of every model, by a rate of its own; a slot that is free has rate 0."""
        by_slot = torch.tensor([rates.get(slot, 0.0) for slot in range(self.network.slots)])
        shares = self._clipped()
        for name, group in self.groups.items():
            weights, gradient, velocity = (
                tensor.unflatten(0, (self.network.slots, -1))
                for tensor in (self.parameters[name], self.parameters[name].grad, self.velocity[name])
            )
            if shares is not None:
                gradient.mul_(_along(shares, gradient))
            decay = self.training.weight_decay if group.weight_decay is None else group.weight_decay
            gradient.add_(weights, alpha=decay)
            velocity.mul_(self.training.momentum).add_(gradient)
            change = velocity
            if self.training.nesterov:
                change = gradient.add_(velocity, alpha=self.training.momentum)
            weights.addcmul_(change, _along(by_slot, change), value=-group.rate)

    def _clipped(self) -> torch.Tensor | None:
        """What the gradients of every slot are multiplied by, as `clip_grad_norm_` does; None for nothing."""
        if self.training.clip is None:
            return None
        gradients = (self.parameters[name].grad for name in self.groups)
        squares = sum(g.unflatten(0, (self.network.slots, -1)).flatten(1).square().sum(1) for g in gradients)
        return (self.training.clip / (squares.sqrt() + 1e-6)).clamp(max=1)


def _along(by_slot: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Values [slots] in a shape that they multiply [slots, ...] by."""
    return by_slot.view(-1, *[1] * (like.ndim - 1))
