"""Remedies compared: models fine-tuned with each against those without, paired in all that can be paired.

The same source models, seeds, composites and images, before and after. Which pairs of classes count, and
which source classes a remedy uses, is chosen by pairs of models on the select half, without any remedy; what
is reported is of other pairs of models, on the report half.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from transferlens.core import artefacts, studies
from transferlens.core.crossed import crossed_ratio
from transferlens.core.errors import ArtefactError
from transferlens.core.statistics import q_values
from transferlens.core.studies import FULL, PRETRAINED, SCRATCH
from transferlens.data.artefacts import HALVES, positions, read_examples
from transferlens.memories.artefacts import INTERFERENCE
from transferlens.memories.effect import composites, interference
from transferlens.memories.effect.composites import MODELS, Composites
from transferlens.memories.kept import probes
from transferlens.memories.kept.probes import Probes
from transferlens.memories.remedies.artefacts import REMEDIES
from transferlens.memories.retraining.retrained import Changes
from transferlens.training.artefacts import TRANSFER_RUNS

_REPORT = HALVES.index("report")


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


def read_run(made: Path, probed: Path, transfers: list[Path], models: int) -> Run:
    """Read one recipe's composites, probes and transfer runs."""
    return Run(composites.read_composites(made), probes.read_probes(probed), read_clean(transfers, models))


def read_clean(paths: list[Path], models: int) -> Clean:
    """Outputs of the first `models` repeats, which report; a pretrained model may replace the full ones."""
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
    correct = {
        model: np.stack(repeats[:models]) for model, repeats in zip(MODELS, (full, scratch), strict=True)
    }
    weights = 1 / np.bincount(labels)[labels] if metric == "per_class" else np.ones(len(labels))
    return Clean(correct, weights, used)


def _repeats(outputs: Mapping[int, np.ndarray]) -> list[np.ndarray]:
    """Outputs in the order of their repeats."""
    return [outputs[repeat] for repeat in sorted(outputs)]


def compare(
    base: Run, remedied: Mapping[str, Run], chosen: np.ndarray, left_out: Changes | None = None
) -> pd.DataFrame:
    """One row a remedy, measure and set of pairs of classes.

    Args:
        chosen: bool[source classes, target classes], pairs that interfere most without any remedy, by the
            pairs of models that choose.
        left_out: models trained again without a class, the remedy `without <class>`; their accuracy is
            compared.

    Returns:
        remedy, measure, pairs, n (composites, images or source classes), `before`, `after` and `change` each
        with `_se`, `_low` and `_high`, and of the change `_p` and `_q` (over the remedies).
    """
    rows = []
    for remedy, run in remedied.items():
        _require_same_composites(remedy, base.composites, run.composites)
        for pairs, measures, factors in _comparisons(base, run, chosen):
            for name, measure in measures.items():
                row = _paired(measure, factors)
                rows.append({"remedy": remedy, "measure": name, "pairs": pairs, "n": len(factors[0]), **row})
    for remedy, name, measure in _of_retrained(base, left_out):
        factors = [np.arange(len(base.clean.weights))]
        row = _paired(measure, factors)
        rows.append({"remedy": remedy, "measure": name, "pairs": "all", "n": len(factors[0]), **row})
    table = pd.DataFrame(rows)
    groups = table.groupby(["measure", "pairs"])["change_p"]
    table["change_q"] = groups.transform(lambda p: q_values(p.to_numpy()))
    return table


def _require_same_composites(remedy: str, base: Composites, remedied: Composites) -> None:
    first, other = (made.of_half("report").table for made in (base, remedied))
    if any(not np.array_equal(getattr(first, name), getattr(other, name)) for name in vars(first)):
        raise ArtefactError(
            f"remedy '{remedy}': its composites are not those of the recipe without it; delete composites.h5 "
            "of both and run snakemake again"
        )


# Denominators, and numerators before and after: float64[models, units]; what is told is the sums' ratio.
Measure = tuple[np.ndarray, np.ndarray, np.ndarray]


def _comparisons(
    base: Run, run: Run, chosen: np.ndarray
) -> Iterator[tuple[str, dict[str, Measure], list[np.ndarray]]]:
    """The set of pairs of classes, measures of it by name, and the factors int[units] that units share."""
    names = np.array(base.composites.source_names)
    trained = np.isin(names, run.clean.remedy_classes)
    if len(base.composites.table):
        yield from _of_composites(base, run, chosen, trained)
    clean = {}
    for model in MODELS:
        weights, before = base.clean.weights, base.clean.correct[model]
        totals = [weights * correct for correct in (np.ones(before.shape), before, run.clean.correct[model])]
        clean[f"accuracy, {_in_words(model)}"] = tuple(totals)
    yield "all", clean, [np.arange(len(base.clean.weights))]
    images = base.probes.retention.n[_REPORT]
    accuracies = (
        base.probes.retention.accuracy_before,
        base.probes.retention.accuracy_after,
        run.probes.retention.accuracy_after,
    )
    models = int((base.probes.repeats[_REPORT] >= 0).sum())
    recognised = [accuracy[:models, _REPORT] * images for accuracy in accuracies]
    for pairs, members in (("all", trained | ~trained), ("trained", trained), ("held out", ~trained)):
        if recognised[0][:, members].any():
            parts = tuple(part[:, members] for part in recognised)
            yield pairs, {"retention": parts}, [np.flatnonzero(members)]


def _of_retrained(base: Run, left_out: Changes | None) -> Iterator[tuple[str, str, Measure]]:
    """Accuracy of the models without each class that distracts, paired with the full-source ones."""
    for j in left_out.only("distracting") if left_out else ():
        name = base.composites.source_names[left_out.classes[j]]
        repeats = min(len(left_out.change["correct"][j]), len(base.clean.correct["fine_tuned"]))
        before = base.clean.correct["fine_tuned"][:repeats].astype(np.float64)
        after = before + left_out.change["correct"][j][:repeats]
        totals = tuple(base.clean.weights * correct for correct in (np.ones(before.shape), before, after))
        yield f"without {name}", "accuracy, fine-tuned", totals


def _in_words(model: str) -> str:
    return model.replace("_", "-")


def _of_composites(
    base: Run, run: Run, chosen: np.ndarray, trained: np.ndarray
) -> Iterator[tuple[str, dict[str, Measure], list[np.ndarray]]]:
    """Of the report half, and of composites whose pasted image all four models are right on when alone."""
    reported = [r.composites.of_half("report") for r in (base, run)]
    table, (before, after) = reported[0].table, map(interference.measure, reported)
    usable = (before.usable & after.usable).astype(np.float64)
    measures = {"interference": (before.contrasts["interference"], after.contrasts["interference"])}
    for model in MODELS:
        for name in ("drop", "flips"):
            values = tuple(of.means[f"{name}_{model}"] for of in (before, after))
            measures[f"{name}, {_in_words(model)}"] = values
    bound = base.probes.bound_class[table.source_class] == table.target_class
    of_set = {
        "chosen": chosen[table.source_class, table.target_class],
        "trained": trained[table.source_class] & ~bound,
        "held out": ~trained[table.source_class] & ~bound,
    }
    for pairs, members in of_set.items():
        rows = np.flatnonzero(members & usable.any(0))
        if len(rows):
            weights, factors = usable[:, rows], [table.background[rows], table.overlay[rows]]
            totals = {
                name: (weights, *(weights * values[:, rows] for values in both))
                for name, both in measures.items()
            }
            yield pairs, totals, factors


def _paired(measure: Measure, factors: list[np.ndarray]) -> dict[str, float]:
    """Means before and after, and their difference, with errors over models and units, and its p-value."""
    denominators, before, after = measure
    row = {}
    for key, numerators in (("before", before), ("after", after), ("change", after - before)):
        mean = crossed_ratio(numerators, denominators, factors)
        row |= {key: mean.value} | {f"{key}_{part}": getattr(mean, part) for part in ("se", "low", "high")}
    return row | {"change_p": mean.p}


def chosen_pairs(path: Path, source_names: list[str]) -> np.ndarray:
    """bool[source classes, target classes]: those that interfere most, by the pairs of models that choose."""
    with artefacts.open(path, INTERFERENCE) as file:
        tried, chosen = positions(artefacts.names(file["tried_class"]), source_names), file["chosen"][:]
    whole = np.zeros((len(source_names), chosen.shape[1]), bool)
    whole[tried] = chosen
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
