"""NCE: minus the conditional entropy of target labels given the classes that the source head names.

    NCE = sum_zy p(z, y) log p(y | z),  z = argmax of the source logits

Source: Tran, Nguyen, Hassner, Transferability and hardness of supervised classification tasks, ICCV 2019.
At most 0. Natural logarithm.
"""

import numpy as np
from scipy.special import rel_entr

from transferlens.scores.candidate import Candidate


def nce(candidate: Candidate) -> float:
    """Minus H(target label | most probable source class); needs logits."""
    return -conditional_entropy(joint(candidate.logits.argmax(1), candidate.labels))


def joint(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Frequencies float64[values of first, values of second] of pairs of labels."""
    table = np.zeros((first.max() + 1, second.max() + 1))
    np.add.at(table, (first, second), 1 / len(first))
    return table


def conditional_entropy(joint: np.ndarray) -> float:
    """H(column | row) of a joint distribution [rows, columns], in nats."""
    return -float(rel_entr(joint, joint.sum(1, keepdims=True)).sum())
