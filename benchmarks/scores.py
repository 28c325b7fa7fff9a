"""Transferability scores of one model, against the products and decompositions that they cannot do without.

Features of Gaussian classes behind a random layer with ReLU, and logits of as many source classes as target
classes. Every score is measured alone, as if nothing were shared, and its floor right after it: bare NumPy
and SciPy calls on arrays of the same shapes, as the column says. NLEEP's floor is k-means and the products
of the steps that its mixture took, PACTran-Gauss's those of the losses that its optimiser asked for, OTCE's
is the transport itself. Seconds are the process's own (CPU), the least of some repeats (NLEEP: one). Then
LogME and H-score of many small models, one by one and all at once.

    OPENBLAS_NUM_THREADS=1 python benchmarks/scores.py [--images 5000] [--features 512] [--classes 100]
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import ot
from scipy import linalg, sparse
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax
from sklearn.cluster import KMeans
from tables import print_table

from transferlens.scores import hscore, logme, mixture, pactran
from transferlens.scores.candidate import Candidate
from transferlens.scores.mixture import fit
from transferlens.scores.registry import SCORES

REPEATS = 3
SMALL = ((500, 200, 32, 10), (200, 500, 64, 10), (50, 1000, 128, 10))  # models, images, features, classes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--features", type=int, default=512)
    parser.add_argument("--classes", type=int, default=100)
    given = parser.parse_args()
    work = Work(given.images, given.features, given.classes)
    rows = [measured(name, work) for name in SCORES]
    shape = f"{given.images:,} images, {given.features} features, {given.classes} classes"
    columns = ["score", "seconds", "floor", "times the floor", "floor is"]
    print_table(f"{shape}: CPU seconds a model", columns, rows)
    print_table(
        "Many small models: milliseconds a model",
        ["models x images x features", "score", "one by one", "at once", "times faster"],
        [row for shape in SMALL for row in many(*shape)],
    )


def measured(name: str, work: "Work") -> tuple[str, ...]:
    floor, words = work.floors[name]
    repeats = 1 if name == "nleep" else REPEATS
    pairs = []
    for _ in range(repeats):
        candidate = work.candidate()
        pairs.append((seconds(lambda c=candidate: SCORES[name].measure(c)), seconds(floor)))
    ours, least = np.min(pairs, axis=0)
    return name, f"{ours:.4f}", f"{least:.4f}", f"{ours / least:.2f}", words


def seconds(function: Callable[[], object]) -> float:
    """Of the process itself."""
    started = time.process_time()
    function()
    return time.process_time() - started


@dataclass
class Work:
    """Arrays of a problem's shapes, and the floors on them."""

    images: int
    dimensions: int
    classes: int

    def __post_init__(self) -> None:
        rng = np.random.default_rng(0)
        self.layer = rng.normal(size=(64, self.dimensions)) * np.arange(1, 65)[:, None] ** -0.5
        self.labels = np.arange(self.images) % self.classes
        self.features, self.source = self.gaussian(rng), self.gaussian(rng)
        self.logits = self.features @ rng.normal(size=(self.dimensions, self.classes)) / 8
        self.head = rng.normal(size=(self.dimensions, self.classes))
        self.gram = self.features.T @ self.features
        axes = np.linalg.eigh(self.gram)[1][:, ::-1]
        self.principal_features = (self.features - self.features.mean(0)) @ axes

    def gaussian(self, rng) -> np.ndarray:
        means = rng.normal(size=(self.classes, 64))
        hidden = (means[self.labels] + rng.normal(size=(self.images, 64))) @ self.layer
        return np.maximum(hidden + 0.5 * rng.normal(size=(self.images, self.dimensions)), 0)

    def candidate(self) -> Candidate:
        return Candidate(self.features, self.labels, self.classes, self.logits, (self.source, self.labels))

    @cached_property
    def floors(self) -> dict[str, tuple[Callable[[], object], str]]:
        spectrum = (self.spectrum, "F^T F, eigh")
        knn = (self.all_distances, "F F^T")
        transport = (self.transport, "cost, emd")
        source_rounds = (self.source_rounds, "10 (softmax, sums by class)")
        return {
            "nce": (lambda: self.logits.argmax(1), "argmax"),
            "leep": (lambda: softmax(self.logits, axis=1), "softmax"),
            "nleep": (self.mixture, "k-means, products of EM"),
            "hscore": spectrum,
            "hscore_regularised": spectrum,
            "logme": spectrum,
            "transrate": (self.class_grams, "F^T F, eigh, class Grams, their Cholesky"),
            "transrate_normalised": (self.class_grams, "F^T F, eigh, class Grams, their Cholesky"),
            "gbc": (self.projected, "F^T F, eigh, F V"),
            "gbc_diagonal": (self.projected, "F^T F, eigh, F V"),
            "sfda": (lambda: (self.discriminant(), self.discriminant()), "2 (F^T F, Cholesky, F W)"),
            "energy": (lambda: logsumexp(self.logits, axis=1), "logsumexp"),
            **{name: knn for name in SCORES if name.startswith("knn")},
            "parc": (self.pairs, "F^T F, eigh, F V, pairs, bincount"),
            "pactran_gauss": (self.losses, "products of the losses"),
            "pactran_dirichlet": source_rounds,
            "pactran_gamma": source_rounds,
            "ncti": (self.nuclear, "F^T F, eigh, F V, singular values"),
            "ped_logme": spectrum,
            "ped_sfda": (lambda: (self.discriminant(), self.discriminant()), "2 (F^T F, Cholesky, F W)"),
            "etran": (self.energies, "F^T F, Cholesky, F W, logsumexp F"),
            "etran_released": (self.nearest_means, "F W, logsumexp F"),
            "f_otce": transport,
            "otce_domain": transport,
        }

    def spectrum(self) -> np.ndarray:
        return np.linalg.eigh(self.features.T @ self.features)[1]

    def projected(self) -> np.ndarray:
        return self.features @ self.spectrum()[:, :64]

    def class_grams(self) -> None:
        self.spectrum()
        size = self.images // self.classes
        for start in range(0, self.images, size):
            rows = self.features[start : start + size]
            np.linalg.cholesky(rows @ rows.T + np.eye(len(rows)))

    def head_of(self) -> np.ndarray:
        return self.features @ self.head

    def discriminant(self) -> np.ndarray:
        gram = self.features.T @ self.features
        linalg.cho_solve(linalg.cho_factor(gram + np.eye(len(gram))), self.head)
        return self.head_of()

    def energies(self) -> None:
        self.discriminant()
        logsumexp(self.features, axis=1)

    def nearest_means(self) -> None:
        self.head_of()
        logsumexp(self.features, axis=1)

    def all_distances(self) -> None:
        for start in range(0, self.images, 256):
            self.features[start : start + 256] @ self.features.T

    def pairs(self) -> None:
        rows = self.projected()[:, :32]
        for start in range(0, self.images, 256):
            products = rows[start : start + 256] @ rows[start:].T
            np.bincount(products.astype(np.int64).ravel() % 1, minlength=1 << 20)

    def nuclear(self) -> None:
        np.linalg.svd(self.projected(), compute_uv=False)
        size = self.images // self.classes
        for start in range(0, self.images, size):
            np.linalg.svd(self.logits[start : start + size], compute_uv=False)

    def source_rounds(self) -> None:
        rows = np.arange(self.images)
        member = sparse.csr_array((np.ones(self.images), (self.labels, rows)))
        for _ in range(10):
            member @ softmax(self.logits, axis=1)

    def losses(self) -> None:
        for _ in range(seen["losses"]):
            self.features.T @ self.head_of()

    def transport(self) -> None:
        rows = slice(0, min(2500, self.images))
        ot.emd([], [], ot.dist(self.source[rows], self.features[rows]), numItermax=10_000_000)

    def mixture(self) -> None:
        fitted, axes = seen["mixture"], seen["axes"]
        components = fitted.memberships.shape[1]
        KMeans(components, n_init=1, random_state=0).fit(self.principal_features[:, :axes])
        terms, density = np.ones((256, axes**2 // 2)), np.ones((axes**2 // 2, components))
        for _ in range((fitted.steps + 1) * self.images // 256):
            terms.T @ (terms @ density)


# What the last measured scores did that no argument says.
seen = {}


def watched_fit(features, *args):
    seen["axes"], seen["mixture"] = features.shape[1], fit(features, *args)
    return seen["mixture"]


def watched_minimize(*args, **options):
    found = minimize(*args, **options)
    seen["losses"] = found.nfev
    return found


def many(models: int, images: int, dimensions: int, classes: int) -> list[tuple[str, ...]]:
    """Seconds of LogME and H-score of small models, one by one and all at once."""
    features = np.random.default_rng(0).normal(size=(models, images, dimensions))
    labels = np.arange(images) % classes
    rows = []
    for title, score, batched in (
        ("LogME", logme.logme, logme.batched),
        ("H-score", hscore.hscore, hscore.batched),
    ):
        alone, at_once = [], []
        for _ in range(REPEATS):
            alone.append(seconds(lambda s=score: [s(Candidate(x, labels, classes)) for x in features]))
            at_once.append(seconds(lambda b=batched: b(features, labels, classes)))
        one, all_ = (1e3 * min(times) / models for times in (alone, at_once))
        shape = f"{models} x {images} x {dimensions}"
        rows.append((shape, title, f"{one:.3f}", f"{all_:.3f}", f"{one / all_:.2f}"))
    return rows


if __name__ == "__main__":
    mixture.fit = watched_fit
    pactran.minimize = watched_minimize
    main()
