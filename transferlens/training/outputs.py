"""What is recorded of a model on each example: the outputs that influences are estimated on.

Imports torch for its types alone: jobs that only read outputs start two seconds sooner without it.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import scipy  # its functions load at their first use

from transferlens.core.statistics import dense_ranks, roc_area
from transferlens.data.artefacts import read_examples
from transferlens.training.artefacts import OUTPUTS

if TYPE_CHECKING:
    import torch


def compact(name: str, values: np.ndarray, classes: int) -> np.ndarray:
    """Values of a summarised output as a summary stores them.

    Margins are rounded to half precision: the relative error is at most 2**-11 (0.05 %; 3e-8 absolute for
    those below 6e-5), hundreds of times less than models of one mask differ by, and 1.1e-4 of the probability
    that follows. Those beyond +-65,504 become that.
    """
    if name == "prediction":
        return values.astype(np.min_scalar_type(classes - 1))
    most = np.finfo(np.float16).max
    return values.clip(-most, most).astype(np.float16)


# What an output that a summary does not store follows from.
_FOLLOWS = {"p_true": ("margin",), "softmax_margin": ("margin", "raw_margin"), "correct": ("prediction",)}


class Output:
    """An output of every model on every example, read from a file where it is sliced: [models, examples].

    What the file stores is read. Else the probability is the margin's sigmoid; the softmax margin is that
    minus the probability of the best other class, which the raw margin tells (to a factor of
    exp(+-2**-10 m), where m is the larger of the two margins, by their rounding); and correct is whether the
    prediction is the true class.
    """

    def __init__(self, file: h5py.File, name: str):
        self.name, self.stored = name, name in file
        if not self.stored:
            self.labels = read_examples(file)[1]
        self._bases = [file[basis] for basis in ((name,) if self.stored else _FOLLOWS[name])]
        self.shape, self.chunks = self._bases[0].shape, self._bases[0].chunks

    def __getitem__(self, key: Any) -> np.ndarray:
        """Values at a slice (of models) or two (of models, of examples)."""
        models, examples = key if isinstance(key, tuple) else (key, slice(None))
        values = [basis[models, examples] for basis in self._bases]
        if not self.stored and self.name == "correct":
            return values[0] == self.labels[examples]
        dtype = OUTPUTS[self.name][0]
        values = [part.astype(np.result_type(part, dtype), copy=False) for part in values]
        if self.stored:
            return values[0]
        return scipy.special.expit(values[0]) if self.name == "p_true" else _softmax_margins(*values)


def _softmax_margins(margins: np.ndarray, raw_margins: np.ndarray) -> np.ndarray:
    """The probability of the true class minus that of the best other one."""
    log_p = -np.logaddexp(0, -margins)
    best_other = np.minimum(np.exp(log_p - raw_margins), scipy.special.expit(-margins))
    return scipy.special.expit(margins) - best_other


def raw_margins(logits: "torch.Tensor", labels: "torch.Tensor") -> "torch.Tensor":
    """The true logit minus the best other one, float64[N], of logits [N, C] with true classes int64[N]."""
    logits = logits.double()
    others = logits.scatter(1, labels[:, None], -np.inf)
    return logits.gather(1, labels[:, None])[:, 0] - others.amax(1)


def per_example(logits: "torch.Tensor", labels: "torch.Tensor") -> dict[str, np.ndarray]:
    """The stored outputs of logits [N, C] with true classes [N]; each value has shape [N].

    The margin is computed as a difference of logits, in float64, so that it stays exact where the
    probability rounds to 0 or 1.
    """
    logits = logits.double()
    true = logits.gather(1, labels[:, None])[:, 0]
    others = logits.scatter(1, labels[:, None], -np.inf)
    margin = true - others.logsumexp(1)
    prediction = logits.argmax(1)
    raw_margin = raw_margins(logits, labels)
    values = {
        "p_true": margin.sigmoid(),
        "margin": margin,
        "raw_margin": raw_margin,
        "softmax_margin": margin.sigmoid() - (true - raw_margin - logits.logsumexp(1)).exp(),
        "correct": prediction == labels,
        "prediction": prediction,
    }
    return {name: v.cpu().numpy().astype(OUTPUTS[name][0]) for name, v in values.items()}


def accuracies(
    values: Mapping[str, np.ndarray], labels: np.ndarray, halves: np.ndarray, classes: int, metric: str
) -> tuple[np.ndarray, np.ndarray]:
    """Accuracy overall float64[halves], and by class float64[halves, classes], of one model's outputs.

    Args:
        values: by name, of N examples: `correct`, and `margin` for `auroc`.
        metric: what overall accuracy is: the share of correct examples (`global`), the mean over classes of
            that share (`per_class`), or, of two classes, the area under the ROC curve of the probability of
            the second (`auroc`). By class it is always the share of correct examples.

    NaN where a half has no example of the class; the area, where it has none of either.
    """
    correct = values["correct"]
    counts = np.zeros((2, classes))
    hits = np.zeros((2, classes))
    np.add.at(counts, (halves, labels), 1.0)
    np.add.at(hits, (halves, labels), correct.astype(np.float64))
    with np.errstate(invalid="ignore"):
        by_class = hits / counts
        if metric == "auroc":
            overall = _roc_areas(values["margin"], labels, halves)
        else:
            overall = np.nanmean(by_class, axis=1) if metric == "per_class" else hits.sum(1) / counts.sum(1)
    return overall, by_class


def _roc_areas(margins: np.ndarray, labels: np.ndarray, halves: np.ndarray) -> np.ndarray:
    """Area under the ROC curve of the second of two classes, by half: float64[halves].

    The log-odds of the second class are the true class's, with the other sign where that is the first. They
    order examples as its probability does, but do not round to 1 where that does.
    """
    log_odds = np.where(labels == 1, margins, -margins)
    places = dense_ranks(log_odds)
    return np.array([roc_area(places, labels == 1, (halves == half).astype(float)) for half in range(2)])
