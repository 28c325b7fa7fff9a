"""Natural target examples, ranked by how far their memories pull the prediction away, and where.

D(x) = sum_c p_c(x) (max_{j != y} dT[c, j] - dT[c, y]): what the fine-tuned model still recognises in an image
of true class y (calibrated probabilities of the source head), times how each source class is bound to target
classes (on the select half). The memory c*(x) is the class of the largest summand. D is multiplied by the
overlap O of the evidence for the predicted class with the evidence for c*.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.special import softmax

from transferlens.core import artefacts
from transferlens.core.crossed import CrossedMean
from transferlens.core.seeding import rng_for
from transferlens.data.index import HALVES, Examples
from transferlens.data.pipeline import Images
from transferlens.memories.effect.removal import Tested
from transferlens.memories.images import failures, seen
from transferlens.memories.images.artefacts import PREDICTORS, RANKED, RANKING, TRIVIAL
from transferlens.memories.images.failures import Predictor
from transferlens.memories.kept import binding as bindings
from transferlens.memories.pairs import Pair
from transferlens.memories.seen.examples import SeenMinusUnseen
from transferlens.models.network import Network
from transferlens.training import engine
from transferlens.training.outputs import raw_margins

# Of the right predictions, those with the smallest margins: the failures to come.
LOW_MARGIN_SHARE = 0.25


def pull(binding: np.ndarray, overlap: np.ndarray) -> np.ndarray:
    """How far each source class pulls away from each target class, float[C, K]; -inf where they overlap.

    Args:
        binding: float[C, K], dT, how strongly source class c is bound to target class j.
        overlap: bool[C, K], the pairs that mean the same.
    """
    return np.where(overlap, -np.inf, bindings.pull(binding))


@dataclass(frozen=True)
class Distraction:
    """How far memories pull examples away from their true classes.

    Attributes:
        values: float64[models, n], D of each pair's fine-tuned model.
        memory: int64[n], the source class of the largest summand (of the mean over pairs).
    """

    values: np.ndarray
    memory: np.ndarray

    @property
    def se(self) -> np.ndarray:
        """Standard error float64[n] of the mean over pairs; NaN of a single one."""
        models = len(self.values)
        if models == 1:
            return np.full(self.values.shape[1], np.nan)
        return self.values.std(0, ddof=1) / np.sqrt(models)


def distraction(memories: Iterable[np.ndarray], labels: np.ndarray, away: np.ndarray) -> Distraction:
    """Distraction of examples with true classes int64[n].

    Args:
        memories: of every pair float[n, C], calibrated probabilities of the source classes.
        away: what `pull` returns.
    """
    factors = away.T[labels]
    finite = np.where(np.isfinite(factors), factors, 0)
    values, total = [], np.zeros(factors.shape)
    for probabilities in memories:
        values.append((probabilities * finite).sum(1))
        total += probabilities
    summands = np.where(np.isfinite(factors), total * finite, -np.inf)
    return Distraction(np.stack(values), summands.argmax(1))


@dataclass(frozen=True)
class Logits:
    """Logits of a pair's models on the report-half examples.

    Attributes:
        target, scratch: float64[n, K], by the fine-tuned model's target head, and the from-scratch model's.
        memory: float32[n, C], by the source head on the fine-tuned backbone, divided by its temperature.
    """

    target: np.ndarray
    memory: np.ndarray
    scratch: np.ndarray


def pair_logits(pair: Pair, temperature: float, images: Images, examples: np.ndarray) -> Logits:
    """Logits of the examples at positions int64[n]."""

    def both(batch: torch.Tensor) -> torch.Tensor:
        features = pair.fine_tuned.backbone(batch)
        return torch.cat([pair.fine_tuned.head(features), pair.source_head(features)], 1)

    tuned = engine.evaluate(both, images).cpu().numpy()[examples]
    scratch = engine.evaluate(pair.scratch, images).cpu().numpy()[examples]
    target, memory = np.split(tuned, [pair.fine_tuned.head.out_features], axis=1)
    return Logits(target.astype(np.float64), memory / np.float32(temperature), scratch.astype(np.float64))


@dataclass(frozen=True)
class Agreement:
    """How much the evidence for the predicted class and for the memory agree; each float64[n]."""

    overlap: np.ndarray
    iou: np.ndarray
    spearman: np.ndarray


def map_agreement(
    network: Network,
    source_head: torch.nn.Linear,
    images: Images,
    examples: np.ndarray,
    predicted: np.ndarray,
    memory: np.ndarray,
    batch_size: int = 256,
) -> Agreement:
    """Of the examples at positions int64[n], ascending, with predicted classes and memories int64[n]."""
    parts: list[list[np.ndarray]] = []
    start = 0
    for batch in images.evaluation_batches(batch_size):
        first, last = np.searchsorted(examples, [start, start + len(batch)])
        if first < last:
            chosen = torch.from_numpy(examples[first:last] - start).to(batch.device)
            here = seen.see(network, batch[chosen])
            maps = [
                here.maps(head, torch.from_numpy(classes[first:last]).to(batch.device)).cpu().numpy()
                for head, classes in ((network.head, predicted), (source_head, memory))
            ]
            parts.append([f(*maps) for f in (seen.intersection, seen.iou, seen.rank_correlation)])
        start += len(batch)
    return Agreement(*(np.concatenate(values) for values in zip(*parts, strict=True)))


@dataclass(frozen=True)
class Ranking:
    """Report-half target examples, highest score first; every array has one entry an example.

    Attributes:
        examples: int64, positions in the val split.
        true, predicted: int64, target classes; predictions, margins, probabilities and maps are those of the
            first pair's fine-tuned model.
        memory: int64, the source class c*.
        distraction, distraction_se: float64, D as a mean over pairs, and its standard error.
        overlap, iou, spearman: float64, agreement of the maps of the predicted class and of c*.
        p_true, p_predicted, p_memory: float64; the last one calibrated.
        margin: float64, the true logit minus the best other one.
        wrong: bool.
    """

    examples: np.ndarray
    true: np.ndarray
    predicted: np.ndarray
    memory: np.ndarray
    distraction: np.ndarray
    distraction_se: np.ndarray
    overlap: np.ndarray
    iou: np.ndarray
    spearman: np.ndarray
    p_true: np.ndarray
    p_predicted: np.ndarray
    p_memory: np.ndarray
    margin: np.ndarray
    wrong: np.ndarray

    @property
    def score(self) -> np.ndarray:
        """Distraction times overlap, float64."""
        return self.distraction * self.overlap

    @property
    def low_margin(self) -> np.ndarray:
        """Right predictions whose margins are among the smallest quarter of the right ones, bool."""
        right = ~self.wrong
        if not right.any():
            return right
        return right & (self.margin <= np.quantile(self.margin[right], LOW_MARGIN_SHARE))

    def top(self, count: int) -> "Ranking":
        """The `count` highest ranked examples."""
        return Ranking(**{name: values[:count] for name, values in vars(self).items()})


def report_half(examples: Examples) -> np.ndarray:
    """Positions int64[n] of the examples that are reported on, ascending."""
    return np.flatnonzero(examples.halves == HALVES.index("report"))


def rank(
    examples: np.ndarray, labels: np.ndarray, distraction: Distraction, first: Logits, agreement: Agreement
) -> Ranking:
    """Put the examples in order.

    Args:
        examples, labels: int64[n], positions and true classes.
        first: logits of the first pair.
    """
    rows = np.arange(len(labels))
    predicted = first.target.argmax(1)
    probabilities = softmax(first.target, axis=1)
    columns = {
        "examples": examples,
        "true": labels,
        "predicted": predicted,
        "memory": distraction.memory,
        "distraction": distraction.values.mean(0),
        "distraction_se": distraction.se,
        **vars(agreement),
        "p_true": probabilities[rows, labels],
        "p_predicted": probabilities[rows, predicted],
        "p_memory": softmax(first.memory, axis=1)[rows, distraction.memory],
        "margin": raw_margins(torch.from_numpy(first.target), torch.from_numpy(labels)).numpy(),
        "wrong": predicted != labels,
    }
    order = np.argsort(-columns["distraction"] * columns["overlap"], kind="stable")
    return Ranking(**{name: values[order] for name, values in columns.items()})


@dataclass(frozen=True)
class Recalled:
    """What pairs of models recall of images with true classes, and what they take these for.

    Attributes:
        labels: int64[n], target classes.
        memory: float64[models, n, C], calibrated probabilities of source classes.
        unsure: float64[models, n], one minus the probability of the predicted class.
        wrong, scratch_wrong: bool[models, n], of the fine-tuned and the from-scratch models.
        binding, overlap: [C, K], as of `pull`.
        apart: bool[C], source classes of groups none of which means the same as a target class.
    """

    labels: np.ndarray
    memory: np.ndarray
    unsure: np.ndarray
    wrong: np.ndarray
    scratch_wrong: np.ndarray
    binding: np.ndarray
    overlap: np.ndarray
    apart: np.ndarray

    @classmethod
    def of(
        cls,
        logits: Sequence[Logits],
        labels: np.ndarray,
        binding: np.ndarray,
        overlap: np.ndarray,
        groups: Sequence[str],
    ) -> "Recalled":
        """From the logits of every pair."""
        probabilities = np.stack([softmax(of.target, axis=1).max(1) for of in logits])
        return cls(
            labels,
            np.stack([softmax(of.memory, axis=1) for of in logits]),
            1 - probabilities,
            np.stack([of.target.argmax(1) != labels for of in logits]),
            np.stack([of.scratch.argmax(1) != labels for of in logits]),
            binding,
            overlap,
            apart(overlap, groups),
        )

    def distraction(self, away: np.ndarray) -> np.ndarray:
        """D float64[models, n], by what `pull` returns."""
        return distraction(self.memory, self.labels, away).values


def apart(overlap: np.ndarray, groups: Sequence[str]) -> np.ndarray:
    """Source classes bool[C] whose group has no class that means the same as a target class.

    A class without a group ('') is a group of its own.
    """
    same = overlap.any(1)
    taken = {group for group, own in zip(groups, same, strict=True) if group and own}
    return ~same & np.array([group not in taken for group in groups])


def predictors(recalled: Recalled, seed: int) -> dict[str, list[Predictor]]:
    """What may tell failures (see PREDICTORS); of exchanged bindings several, whose areas are averaged."""
    labels, wrong = recalled.labels, recalled.wrong
    away = pull(recalled.binding, recalled.overlap)
    values = recalled.distraction(away)
    everywhere = np.ones(len(labels), bool)
    named = recalled.overlap.T[labels]
    of_name = np.where(named, recalled.memory, 0).sum(-1)
    elsewhere = np.where(recalled.apart[:, None], away, -np.inf)
    rng = rng_for(seed, "exchanged bindings")
    exchanged = (
        pull(rng.permutation(recalled.binding), recalled.overlap) for _ in range(failures.PERMUTATIONS)
    )
    return {
        "distraction": [Predictor(values, wrong, everywhere)],
        "true name": [Predictor(1 - of_name, wrong, named.any(1))],
        "other groups": [
            Predictor(recalled.distraction(elsewhere), wrong, everywhere & recalled.apart.any())
        ],
        "permuted bindings": [Predictor(recalled.distraction(a), wrong, everywhere) for a in exchanged],
        "uncertainty": [Predictor(recalled.unsure, wrong, everywhere)],
        "scratch": [Predictor(values, recalled.scratch_wrong, everywhere)],
    }


@dataclass(frozen=True)
class Failures:
    """How well failures are told.

    Attributes:
        areas: under the ROC curve, by predictor.
        added: what distraction adds to the trivial predictors (see TRIVIAL).
    """

    areas: Mapping[str, CrossedMean]
    added: CrossedMean


def tell_failures(recalled: Recalled, seed: int) -> Failures:
    """Areas of every predictor, and what distraction adds to those that know nothing of memories."""
    known = predictors(recalled, seed)
    trivial = {
        name: replace(known[name][0], scores=failures.log_odds(known[name][0].scores))
        for name in TRIVIAL
        if known[name][0].known.any()
    }
    return Failures(
        {name: failures.mean_area(of) for name, of in known.items()},
        failures.added(trivial, known["distraction"][0], seed),
    )


def write_ranking(
    path: Path,
    ranking: Ranking,
    ids: Sequence[str],
    source_names: list[str],
    target_names: list[str],
    method: str,
    tests: Mapping[str, Tested],
    without: SeenMinusUnseen | None,
    told: Failures,
) -> None:
    """Store the ranking, the tests of its first examples, and how well failures are predicted.

    Args:
        ids: of all val examples.
        tests: 'removal' and 'ablation'.
        without: None where no class was left out of the source.
    """
    with artefacts.create(path, RANKING) as out:
        out.attribute("map_method", method)
        out.write("example", [ids[e] for e in ranking.examples])
        out.write("position", ranking.examples)
        for name, names in (("true", target_names), ("predicted", target_names), ("memory", source_names)):
            out.write(name, np.array(names, dtype=object)[getattr(ranking, name)])
        for field in RANKED:
            out.write(field.name, getattr(ranking, field.name))
        for name, tested in tests.items():
            _write_test(out, name, tested, len(ranking.examples))
        if without is not None:
            for suffix, values in (("", without.effect), ("_low", without.low), ("_high", without.high)):
                out.write(f"seen_effect{suffix}", values)
        out.write("predictor", list(PREDICTORS))
        for suffix, key in (("", "value"), ("_se", "se"), ("_low", "low"), ("_high", "high")):
            out.write(f"failures_auc{suffix}", [getattr(told.areas[name], key) for name in PREDICTORS])
            out.write(f"added_auc{suffix}", getattr(told.added, key))
        out.write("added_auc_p", told.added.p)


def _write_test(out: artefacts.Writer, name: str, tested: Tested, examples: int) -> None:
    """A test of the first of so many examples; the others have none."""
    for key, values in (
        ("effect", tested.effect),
        ("null_mean", tested.null_mean),
        ("effect_p", tested.p),
        ("effect_q", tested.q),
    ):
        out.write(f"{name}_{key}", np.append(values, np.full(examples - len(values), np.nan)))


def table(path: Path) -> pd.DataFrame:
    """The artefact's ranking as a table, the highest score first."""
    with artefacts.open(path, RANKING) as file:
        of_example = [f for f in RANKING.fields if f.dims == ("example",) and f.name in file]
        columns = {
            f.name: artefacts.names(file[f.name]) if f.dtype is str else file[f.name][:]
            for f in of_example
            if f.name != "position"
        }
        return pd.DataFrame({"rank": np.arange(1, len(columns["example"]) + 1), **columns})
