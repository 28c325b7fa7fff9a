"""Candidates and rankers with planted values."""

import numpy as np

from transferlens.transferability.candidates import SCORE, STATIC, Candidates, Ranker
from transferlens.transferability.ranking import Bench, Pool


def candidates(accuracy, study="influence", draw=None, network="net") -> Candidates:
    """Of one study, each its own draw where none is given."""
    accuracy = np.asarray(accuracy, float)
    count = len(accuracy)
    draw = [f"{study} {i}" for i in range(count)] if draw is None else draw
    study, network = (np.broadcast_to(np.array(one, dtype=object), count) for one in (study, network))
    return Candidates(study, np.arange(count), network, np.array(draw, dtype=object), accuracy)


def bench(of: Candidates, *strata) -> Bench:
    """A pool of all, or of some strata."""
    return Bench.of(Pool("all", strata or (np.arange(len(of.draw)),)), of)


def score(values, name="score") -> Ranker:
    return Ranker(name, name.title(), SCORE, np.asarray(values, float), 0.001)


def static(values, name="static") -> Ranker:
    return Ranker(name, name, STATIC, np.asarray(values, float))
