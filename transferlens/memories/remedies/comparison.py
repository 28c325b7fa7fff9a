"""Remedies compared: models fine-tuned with each against those without, paired in all that can be paired.

The same source models, seeds, composites and images, before and after. Which pairs of classes count is chosen
on the select half without any remedy; what is reported is of the report half.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from transferlens.core import artefacts, studies
from transferlens.core.errors import ArtefactError
from transferlens.core.seeding import rng_for
from transferlens.core.statistics import pigeonhole_weights, q_values
from transferlens.core.studies import FULL, PRETRAINED, SCRATCH
from transferlens.data.artefacts import HALVES, positions, read_examples
from transferlens.memories.effect import composites, interference
from transferlens.memories.effect.composites import MODELS, Composites
from transferlens.memories.kept import probes
from transferlens.memories.kept.probes import Probes
from transferlens.memories.remedies.artefacts import REMEDIES
from transferlens.memories.retraining.retrained import Changes
from transferlens.training.artefacts import TRANSFER_RUNS

_REPORT = HALVES.index("report")
_SIGNIFICANT = 0.05
_AT_ONCE = 50_000_000  # weights of bootstrap replicates


@dataclass(frozen=True)
class Clean:
    """Outputs on the target's report half.

    Attributes:
        correct: bool[repeats, examples] of each kind of model.
        weights: float64[examples], what an example weighs in accuracy.
        remedy_classes: names of the source classes that the remedy used; none without.
    """

    correct: Mapping[str, np.ndarray]
    weights: np.ndarray
    remedy_classes: list[str]


@dataclass(frozen=True)
class Run:
    """What is known of models adapted with a remedy, or without."""

    composites: Composites
    probes: Probes
    clean: Clean


def read_run(made: Path, probed: Path, transfers: list[Path]) -> Run:
    """Read one recipe's composites, probes and transfer runs."""
    return Run(composites.read_composites(made), probes.read_probes(probed), read_clean(transfers))


def read_clean(paths: list[Path]) -> Clean:
    """Outputs of the reference models, in repeats; a pretrained model takes the place of full-source ones."""
    of_role: dict[str, dict[int, np.ndarray]] = {role: {} for role in (FULL, SCRATCH, PRETRAINED)}
    used: list[str] = []
    for path in paths:
        with artefacts.open(path, TRANSFER_RUNS) as file:
            _, every_label, halves, _ = read_examples(file)
            report = halves == _REPORT
            labels, metric = every_label[report], file.attrs["metric"]
            used = artefacts.names(file["remedy_class"]) if "remedy_class" in file else []
            rows = studies.read_rows(file)
            for role, repeat, correct in zip(
                rows.roles, rows.repeats, file["correct"][:][:, report], strict=True
            ):
                of_role[role][int(repeat)] = correct
    full = _repeats(of_role[PRETRAINED] or of_role[FULL])
    scratch = _repeats(of_role[SCRATCH])
    count = min(len(full), len(scratch))
    correct = {
        model: np.stack(repeats[:count]) for model, repeats in zip(MODELS, (full, scratch), strict=True)
    }
    weights = 1 / np.bincount(labels)[labels] if metric == "per_class" else np.ones(len(labels))
    return Clean(correct, weights, used)


def _repeats(outputs: Mapping[int, np.ndarray]) -> list[np.ndarray]:
    """Outputs in the order of their repeats."""
    return [outputs[repeat] for repeat in sorted(outputs)]


def compare(
    base: Run,
    remedied: Mapping[str, Run],
    significant: np.ndarray,
    bootstrap: int,
    seed: int,
    left_out: Changes | None = None,
) -> pd.DataFrame:
    """One row a remedy, measure and set of pairs of classes.

    Args:
        significant: bool[source classes, target classes], pairs that interfere without any remedy, by the
            select half.
        bootstrap: replicates, over models and over images (backgrounds and pasted ones; of retention, source
            classes), the same before and after.
        left_out: models trained again without a class, the remedy `without <class>`; their accuracy is
            compared.

    Returns:
        remedy, measure, pairs, n (composites, images or source classes), `before`, `after` and `change` each
        with `_low` and `_high`, and of the change `_p` and `_q` (over the remedies).
    """
    rows = []
    for remedy, run in remedied.items():
        _require_same_composites(remedy, base.composites, run.composites)
        for measures, pairs, factors in _comparisons(base, run, significant):
            rng = rng_for(seed, "remedies", remedy, pairs, *measures)
            for name, row in _paired(measures, factors, bootstrap, rng).items():
                rows.append({"remedy": remedy, "measure": name, "pairs": pairs, "n": len(factors[0]), **row})
    for remedy, measures in _of_retrained(base, left_out):
        factors = [np.arange(len(base.clean.weights))]
        for name, row in _paired(measures, factors, bootstrap, rng_for(seed, "remedies", remedy)).items():
            rows.append({"remedy": remedy, "measure": name, "pairs": "all", "n": len(factors[0]), **row})
    table = pd.DataFrame(rows)
    groups = table.groupby(["measure", "pairs"])["change_p"]
    table["change_q"] = groups.transform(lambda p: q_values(p.to_numpy()))
    return table


def _require_same_composites(remedy: str, base: Composites, remedied: Composites) -> None:
    columns = ("source_class", "target_class", "background", "overlay", "x", "y", "side")
    if any(not np.array_equal(getattr(base.table, c), getattr(remedied.table, c)) for c in columns):
        raise ArtefactError(
            f"remedy '{remedy}': its composites are not those of the recipe without it; delete composites.h5 "
            "of both and run snakemake again"
        )


# Weights, totals before, and totals after: float64[models, units]; means are their ratios.
Measure = tuple[np.ndarray, np.ndarray, np.ndarray]


def _comparisons(
    base: Run, run: Run, significant: np.ndarray
) -> Iterator[tuple[dict[str, Measure], str, list[np.ndarray]]]:
    """Measures by name, the set of pairs they are of, and the factors int[units] to draw them by."""
    names = np.array(base.composites.source_names)
    trained = np.isin(names, run.clean.remedy_classes)
    if len(base.composites.table):
        yield from _of_composites(base, run, significant, trained)
    clean = {}
    for model in MODELS:
        weights, before = base.clean.weights, base.clean.correct[model]
        totals = [weights * correct for correct in (np.ones(before.shape), before, run.clean.correct[model])]
        clean[f"accuracy, {_in_words(model)}"] = tuple(totals)
    yield clean, "all", [np.arange(len(base.clean.weights))]
    known, images = base.probes.retention, base.probes.retention.n[_REPORT]
    accuracies = (known.accuracy_before, known.accuracy_after, run.probes.retention.accuracy_after)
    recognised = [accuracy[:, _REPORT] * images for accuracy in accuracies]
    for pairs, members in (("all", trained | ~trained), ("trained", trained), ("held out", ~trained)):
        if recognised[0][:, members].any():
            parts = tuple(part[:, members] for part in recognised)
            yield {"retention": parts}, pairs, [np.flatnonzero(members)]


def _of_retrained(base: Run, left_out: Changes | None) -> Iterator[tuple[str, dict[str, Measure]]]:
    """Accuracy of the models without each class that distracts, paired with the full-source ones."""
    for j in left_out.only("distracting") if left_out else ():
        name = base.composites.source_names[left_out.classes[j]]
        repeats = min(len(left_out.change["correct"][j]), len(base.clean.correct["fine_tuned"]))
        before = base.clean.correct["fine_tuned"][:repeats].astype(np.float64)
        after = before + left_out.change["correct"][j][:repeats]
        totals = tuple(base.clean.weights * correct for correct in (np.ones(before.shape), before, after))
        yield f"without {name}", {"accuracy, fine-tuned": totals}


def _in_words(model: str) -> str:
    return model.replace("_", "-")


def _of_composites(base: Run, run: Run, significant: np.ndarray, trained: np.ndarray):
    """Of the report half, and of composites whose pasted image all four models are right on when alone."""
    table = base.composites.table
    before, after = (interference.measure(r.composites) for r in (base, run))
    usable = (before.usable & after.usable).astype(np.float64)
    measures = {"interference": (before.net, after.net)}
    for model in MODELS:
        measures[f"drop, {_in_words(model)}"] = (before.drop[model], after.drop[model])
        measures[f"flips, {_in_words(model)}"] = (before.flips[model], after.flips[model])
    bound = base.probes.bound_class[table.source_class] == table.target_class
    of_set = {
        "significant": significant[table.source_class, table.target_class],
        "trained": trained[table.source_class] & ~bound,
        "held out": ~trained[table.source_class] & ~bound,
    }
    for pairs, members in of_set.items():
        rows = np.flatnonzero(members & (table.half == _REPORT) & usable.any(0))
        if len(rows):
            weights, factors = usable[:, rows], [table.background[rows], table.overlay[rows]]
            totals = {
                name: (weights, *(weights * values[:, rows] for values in both))
                for name, both in measures.items()
            }
            yield totals, pairs, factors


def _paired(
    measures: Mapping[str, Measure], factors: list[np.ndarray], bootstrap: int, rng: np.random.Generator
) -> dict[str, dict[str, float]]:
    """Weighted means before and after, and their difference, with 95 % intervals and a p-value."""
    parts = np.stack([np.stack(totals) for totals in measures.values()])
    sums = np.moveaxis(_replicates(parts, factors, bootstrap, rng), 0, -1)  # [measures, 3, replicates]
    whole = parts.sum((2, 3))
    rows = {}
    for name, (weight, *totals), (weights, *drawn) in zip(measures, whole, sums, strict=True):
        drawn = [values[weights > 0] / weights[weights > 0] for values in drawn]
        before, after = (total / weight for total in totals)
        row = {}
        for key, value, values in (
            ("before", before, drawn[0]),
            ("after", after, drawn[1]),
            ("change", after - before, drawn[1] - drawn[0]),
        ):
            low, high = np.percentile(values, [2.5, 97.5])
            row |= {key: value, f"{key}_low": low, f"{key}_high": high}
        rows[name] = {**row, "change_p": _p_value(drawn[1] - drawn[0])}
    return rows


def _replicates(
    parts: np.ndarray, factors: list[np.ndarray], bootstrap: int, rng: np.random.Generator
) -> np.ndarray:
    """Sums of parts [measures, 3, models, units] by bootstrap weights: float64[replicates, measures, 3]."""
    models, units = parts.shape[2:]
    lines = parts.reshape(-1, units).T
    replicates, size = [], max(1, _AT_ONCE // units)
    for start in range(0, bootstrap, size):
        count = min(size, bootstrap - start)
        of_models = pigeonhole_weights([np.arange(models)], count, rng)
        of_units = pigeonhole_weights(factors, count, rng).astype(np.float64)
        of_units = (of_units @ lines).reshape(count, *parts.shape[:3])
        replicates.append(np.einsum("rm,rpkm->rpk", of_models, of_units))
    return np.concatenate(replicates)


def _p_value(changes: np.ndarray) -> float:
    """Two-sided, from bootstrap replicates of a change: how rarely its sign is another one."""
    fewer = min((changes >= 0).sum(), (changes <= 0).sum())
    return float(min(1.0, 2 * (1 + fewer) / (1 + len(changes))))


def significant_pairs(path: Path, source_names: list[str]) -> np.ndarray:
    """bool[source classes, target classes]: interference above zero on the select half, q < .05."""
    with artefacts.open(path, "interference") as file:
        select = HALVES.index("select")
        significant = (file["interference_q"][select] < _SIGNIFICANT) & (file["interference"][select] > 0)
        whole = np.zeros((len(source_names), significant.shape[1]), bool)
        whole[positions(artefacts.names(file["tried_class"]), source_names)] = significant
    return whole


def write_comparison(path: Path, table: pd.DataFrame, used: Mapping[str, list[str]], skipped: str) -> None:
    """Store the comparison, and which source classes each remedy used.

    Args:
        skipped: why there are no composites; '' if there are.
    """
    with artefacts.create(path, REMEDIES) as out:
        if skipped:
            out.attribute("skipped", skipped)
        out.attribute("classes", dict(used))
        for field in REMEDIES.fields:
            out.write(field.name, table[field.name].to_numpy())
