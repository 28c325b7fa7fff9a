"""What is recorded of a model on each example: the outputs that influences are estimated on.

Imports torch for its types alone: jobs that only read outputs start two seconds sooner without it.
"""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

KIND = "transfer runs"

# name: (storage type, meaning)
OUTPUTS = {
    "p_true": (np.float32, "softmax probability of the true class"),
    "margin": (np.float32, "true logit minus the log-sum-exp of the others: log(p / (1 - p))"),
    "raw_margin": (np.float32, "true logit minus the best other logit"),
    "correct": (bool, "whether the most probable class is the true one"),
    "prediction": (np.int32, "index of the most probable class"),
}
UNITS = {"p_true": "probability", "margin": "nats", "raw_margin": "logit units"}


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
    values = {
        "p_true": margin.sigmoid(),
        "margin": margin,
        "raw_margin": true - others.max(1).values,
        "correct": prediction == labels,
        "prediction": prediction,
    }
    return {name: v.cpu().numpy().astype(OUTPUTS[name][0]) for name, v in values.items()}


def accuracies(
    correct: np.ndarray, labels: np.ndarray, halves: np.ndarray, classes: int, metric: str
) -> tuple[np.ndarray, np.ndarray]:
    """Accuracy overall float64[halves], and by class float64[halves, classes], of correct bool[N].

    Args:
        metric: what overall accuracy is: the share of correct examples (`global`), or the mean over classes
            of that share (`per_class`).

    NaN where a half has no example of the class.
    """
    counts = np.zeros((2, classes))
    hits = np.zeros((2, classes))
    np.add.at(counts, (halves, labels), 1.0)
    np.add.at(hits, (halves, labels), correct.astype(np.float64))
    with np.errstate(invalid="ignore"):
        by_class = hits / counts
        overall = np.nanmean(by_class, axis=1) if metric == "per_class" else hits.sum(1) / counts.sum(1)
    return overall, by_class
