"""Recipes that begin with a converged linear probe: the head is right before the backbone moves.

* `lp_ft` (Kumar et al. 2022, LP-FT): a multinomial logistic regression on the features of the evaluation
  crop, with the source's running statistics; then every parameter is trained from there.
  The probe minimises C * sum CE + |W|^2 / 2 on features that are centred and divided by one number each,
  the mean and the deviation of all their entries, which is folded back into (W, b). C is the best of a
  grid from 1e-7 to 1e2 on a held-out part of every class's training images (the smallest of equals), each
  fit begun from the last; then all training images are fitted with it.
  Caveat: by default running statistics stay in training, too; with batch statistics the head was fitted to
  other features than it then sees. Where features are small the head's weights are large, and so are the
  backbone's gradients: they want `training.clip`. The probe's time is not in the log's epochs.
* `wise_ft` (Wortsman et al. 2022, WiSE-FT): theta_alpha = (1 - alpha) theta_0 + alpha theta_1, of all
  weights and running statistics; theta_0 is the source's backbone under the probe, theta_1 what `lp_ft`
  makes of it. Integers (counters of batches) are those of theta_1.
  Caveat: interpolated running statistics are not those of the interpolated network, so that they are
  estimated again by default where they moved (`batchnorm: train`). Near theta_0 that is not continuous: the
  probe was fitted under the source's statistics. Both ends must know the same classes, which they do, as
  one begins at the other.
"""

import copy
from collections.abc import Iterator

import numpy as np
import scipy  # its functions load at their first use
import torch

from transferlens.core.seeding import rng_for
from transferlens.models.network import Network
from transferlens.training import engine
from transferlens.training.recipes.base import Phase, Recipe
from transferlens.training.recipes.running_statistics import reestimate
from transferlens.training.recipes.settings.probing import LpFtSettings, WiseFtSettings

_GRID = (-7, 2)  # decimal exponents of C
_ITERATIONS = 200  # of L-BFGS, for every C
_TOLERANCE = 1e-6  # largest entry of the gradient of the mean loss


class LpFt(Recipe):
    """Fine-tunes from a converged probe."""

    settings: LpFtSettings

    def phases(self) -> Iterator[Phase]:
        """One phase; the probe is fitted before it."""
        self.fit_probe()
        self.mode()
        yield self.whole_phase()

    def fit_probe(self) -> None:
        """Put a converged probe into the network's head."""
        self.network.eval()
        images, positions = self.data.images, torch.from_numpy(self.data.positions)
        features = engine.evaluate(self.network.backbone, images).cpu()[positions].double().numpy()
        labels = images.labels.cpu()[positions].numpy()
        held = held_out(labels, self.settings.held_out, rng_for(self.seed, "held out"))
        grid = np.logspace(*_GRID, self.settings.grid)
        head = self.network.head
        weight, bias = probe(features, labels, held, grid, head.out_features)
        with torch.no_grad():
            head.weight.copy_(torch.from_numpy(weight))
            head.bias.copy_(torch.from_numpy(bias))


class WiseFt(LpFt):
    """Interpolates between the probe's network and what became of it.

    Attributes:
        first: theta_0, the state of the network under its probe.
    """

    settings: WiseFtSettings
    first: dict[str, torch.Tensor]

    def fit_probe(self) -> None:
        """Put a converged probe into the network's head, and remember all weights."""
        super().fit_probe()
        self.first = {name: value.clone() for name, value in self.network.state_dict().items()}

    def inference(self) -> Network:
        """theta_alpha, in a network of its own."""
        network, alpha = copy.deepcopy(self.network), self.settings.alpha
        network.load_state_dict(interpolated(self.first, network.state_dict(), alpha))
        moved = self.settings.batchnorm == "train"  # or both ends, and all between, have the source's
        if moved and self.settings.bn == "reestimate" and 0 < alpha < 1:
            reestimate(network, self.data, self.settings.training, self.seed)
        return network


def interpolated(
    first: dict[str, torch.Tensor], last: dict[str, torch.Tensor], alpha: float
) -> dict[str, torch.Tensor]:
    """(1 - alpha) first + alpha last, exactly one of them at the ends; in between integers are the last's."""
    if alpha in (0, 1):
        return last if alpha else first
    return {
        name: torch.lerp(first[name], value, alpha) if value.is_floating_point() else value
        for name, value in last.items()
    }


def held_out(labels: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """bool[n]: a share of every class, at least one image of it and not all; none of a class of one image."""
    held = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        count = min(max(1, round(share * len(members))), len(members) - 1)
        held[members[:count]] = True
    return held


def probe(
    features: np.ndarray, labels: np.ndarray, held: np.ndarray, grid: np.ndarray, classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """A logistic regression of labels int64[n] on features float64[n, D]: weights [classes, D], and biases.

    Classes without an image have zeros, which no other class's logits are all below: they add up to zero.

    Args:
        held: bool[n], the images that choose among the grid of C.
    """
    present, known = np.unique(labels, return_inverse=True)
    centre, scale = features.mean(), features.std() or 1.0
    scaled = (features - centre) / scale
    strength, start = _chosen(scaled, known, held, grid, len(present))
    fitted = logistic(scaled, known, strength, start)
    weight, bias = np.zeros((classes, features.shape[1])), np.zeros(classes)
    weight[present] = fitted[:, :-1] / scale
    bias[present] = fitted[:, -1]
    return weight, bias - centre * weight.sum(1)


def _chosen(
    features: np.ndarray, labels: np.ndarray, held: np.ndarray, grid: np.ndarray, classes: int
) -> tuple[float, np.ndarray]:
    """The C that is most accurate on held-out images, and what the others were fitted to with it."""
    fitted, best = np.zeros((classes, features.shape[1] + 1)), None
    for strength in grid:
        fitted = logistic(features[~held], labels[~held], strength, fitted)
        answers = (features[held] @ fitted[:, :-1].T + fitted[:, -1]).argmax(1)
        right = (answers == labels[held]).sum()
        if best is None or right > best[0]:
            best = right, strength, fitted
    return best[1:]


def logistic(features: np.ndarray, labels: np.ndarray, strength: float, start: np.ndarray) -> np.ndarray:
    """Minimise strength * sum CE + |W|^2 / 2: weights and bias [classes, D + 1], begun from `start`."""
    mass = strength * len(features)  # by which all is divided, so that tolerances mean the same everywhere
    truth = np.eye(len(start))[labels]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weight, bias = np.split(flat.reshape(start.shape), [-1], axis=1)
        log_p = scipy.special.log_softmax(features @ weight.T + bias.T, axis=1)
        error = (np.exp(log_p) - truth) / len(features)
        gradient = np.append(error.T @ features + weight / mass, error.sum(0)[:, None], axis=1)
        return (weight**2).sum() / 2 / mass - (log_p * truth).sum() / len(features), gradient.ravel()

    options = {"maxiter": _ITERATIONS, "gtol": _TOLERANCE, "ftol": 0}
    found = scipy.optimize.minimize(loss, start.ravel(), jac=True, method="L-BFGS-B", options=options)
    return found.x.reshape(start.shape)
