"""The scores by name, in the order in which they are shown."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from transferlens.scores import (
    energy,
    etran,
    gbc,
    hscore,
    knn,
    leep,
    logme,
    nce,
    ncti,
    nleep,
    otce,
    pactran,
    parc,
    ped,
    sfda,
    transrate,
)
from transferlens.scores.candidate import Candidate


@dataclass(frozen=True)
class Score:
    """A transferability score; higher means a better source.

    Attributes:
        name: as it is written in settings and files.
        title: as the field writes it.
        measure: its parts of a candidate; raises Unavailable where there are none.
        needs: what else than features and labels it needs: `logits`, `source`.
        parts: names of what `measure` returns; a single empty name where that is the score itself.
        pooled: scores float64[candidates] from parts float64[candidates, parts], for scores that depend on
            the other candidates; None where the part is the score.
    """

    name: str
    title: str
    measure: Callable[[Candidate], float | tuple[float, ...]]
    needs: frozenset[str] = frozenset()
    parts: tuple[str, ...] = ("",)
    pooled: Callable[[np.ndarray], np.ndarray] | None = None

    @property
    def reads_features(self) -> bool:
        """Whether it looks at features; scores of the source head look at its logits alone."""
        return "logits" not in self.needs


_LOGITS = frozenset({"logits"})
_SOURCE = frozenset({"source"})

_ALL = (
    Score("nce", "NCE", nce.nce, _LOGITS),
    Score("leep", "LEEP", leep.leep, _LOGITS),
    Score("nleep", "NLEEP", nleep.nleep),
    Score("hscore", "H-score", hscore.hscore),
    Score("hscore_regularised", "H-score, regularised", hscore.regularised),
    Score("logme", "LogME", logme.logme),
    Score("transrate", "TransRate", transrate.transrate),
    Score("transrate_normalised", "TransRate, normalised", transrate.normalised),
    Score("gbc", "GBC", gbc.spherical),
    Score("gbc_diagonal", "GBC, diagonal", gbc.diagonal),
    Score("sfda", "SFDA", sfda.sfda),
    Score("energy", "energy", energy.energy, _LOGITS),
    Score("knn_1", "1-NN", knn.knn(1, "euclidean")),
    Score("knn_5", "5-NN", knn.knn(5, "euclidean")),
    Score("knn_20", "20-NN", knn.knn(20, "euclidean")),
    Score("knn_1_cosine", "1-NN, cosine", knn.knn(1, "cosine")),
    Score("knn_5_cosine", "5-NN, cosine", knn.knn(5, "cosine")),
    Score("knn_20_cosine", "20-NN, cosine", knn.knn(20, "cosine")),
    Score("knn_20_weighted", "20-NN, cosine, weighted", knn.weighted),
    Score("parc", "PARC", parc.parc),
    Score("pactran_gauss", "PACTran-Gauss", pactran.gauss),
    Score("pactran_dirichlet", "PACTran-Dirichlet", pactran.dirichlet, _LOGITS),
    Score("pactran_gamma", "PACTran-Gamma", pactran.gamma, _LOGITS),
    Score("ncti", "NCTI", ncti.ncti, parts=("spread", "discriminant", "collapse"), pooled=ncti.pooled),
    Score("ped_logme", "PED, LogME", ped.of_logme, _SOURCE),
    Score("ped_sfda", "PED, SFDA", ped.of_sfda, _SOURCE),
    Score("etran", "ETran", etran.etran, parts=("discriminant", "energy"), pooled=etran.pooled),
    Score(
        "etran_released", "ETran, released", etran.released, parts=("nearest", "energy"), pooled=etran.pooled
    ),
    Score("f_otce", "F-OTCE", otce.f_otce, _SOURCE),
    Score("otce_domain", "OTCE, domain part", otce.domain, _SOURCE),
)

SCORES: dict[str, Score] = {score.name: score for score in _ALL}
