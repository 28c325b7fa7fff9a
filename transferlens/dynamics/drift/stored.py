"""What source classes do to the drift of layers: worked out from the drifts of a study, and stored."""

from pathlib import Path

import numpy as np

from transferlens.core import artefacts
from transferlens.core.errors import ConfigError
from transferlens.core.seeding import rng_for
from transferlens.core.statistics import Interval, mean_interval, q_values
from transferlens.dynamics.drift import correlations
from transferlens.dynamics.drift.artefacts import DRIFT_INFLUENCE, OUTCOMES
from transferlens.dynamics.drift.correlations import Correlations
from transferlens.dynamics.drift.effects import Effects, effects_of, own
from transferlens.dynamics.drift.read import Drifts
from transferlens.dynamics.drift.retrained import Retrained
from transferlens.estimation import crossfit, estimators
from transferlens.estimation.crossfit import Folds


def write(path: Path, drifts: Drifts, retrained: Retrained | str, estimator: str, seed: int) -> None:
    """Estimate and store effects of source classes on drift and outcomes, and how these go together.

    Args:
        drifts: of models of random source classes.
        retrained: of models from whose source classes were removed; or why there are none.
        estimator: of influences.
        seed: of permutations.
    """
    masks, names = drifts.rows.masks, drifts.rows.unit_names
    estimators.check_masks(masks, names)
    folds, why = _divided(masks, estimator)
    drift = effects_of(masks, drifts.drift, estimator, folds)
    outcomes, own_missing = outcome_effects(drifts, folds, estimator)
    told = {
        "models": len(masks),
        "estimator": estimator,
        "metric": drifts.axes.metric,
        "fold_estimator": folds.estimator if folds else "",
        "folds_missing": why,
        "own_retention_missing": own_missing,
        "retrained_missing": retrained if isinstance(retrained, str) else "",
        "repeats": 0 if isinstance(retrained, str) else retrained.repeats,
        "ranked_by": "" if isinstance(retrained, str) else retrained.ranked_by,
    }
    with artefacts.create(path, DRIFT_INFLUENCE) as out:
        _write_axes(out, drifts)
        for name, value in told.items():
            out.attribute(name, value)
        out.write_interval("mean_drift", _over_draws(drifts))
        _write_effects(out, "drift_effect", drift)
        _write_effects(out, "outcome_effect", outcomes)
        if folds:
            out.write("fold", np.arange(crossfit.FOLDS))
            _write_correlations(out, drift.by_fold, outcomes.by_fold, seed)
        if isinstance(retrained, Retrained):
            _write_retrained(out, retrained)


def _divided(masks: np.ndarray, estimator: str) -> tuple[Folds | None, str]:
    """Two folds of the draws, or why there are none."""
    try:
        return crossfit.divide(masks, estimator), ""
    except ConfigError as reason:
        return None, str(reason)


def _write_axes(out: artefacts.Writer, drifts: Drifts) -> None:
    axes, rows = drifts.axes, drifts.rows
    out.write("source_class", rows.unit_names)
    out.write("n_in", rows.masks.sum(0))
    out.write("n_out", (~rows.masks).sum(0))
    out.write("step", axes.steps)
    out.write("layer", axes.layers)
    out.write("domain", axes.domains)
    out.write("outcome", list(OUTCOMES))


def _over_draws(drifts: Drifts) -> Interval:
    """The mean drift of models, whose draws (pairs, where masks come in pairs) are independent."""
    draws = estimators.independent_rows(drifts.rows.masks)
    sums = estimators.sums_by_draw(drifts.drift, draws)
    return mean_interval(np.moveaxis(sums / np.bincount(draws)[:, None, None, None], 0, -1))


def outcome_effects(drifts: Drifts, folds: Folds | None, estimator: str) -> tuple[Effects, str]:
    """Effects on all of OUTCOMES, [outcomes, steps, units]; why there is none on classes' own retention."""
    masks = drifts.rows.masks
    of_models = np.stack([drifts.accuracy, drifts.margin, drifts.retention[:, -1]], axis=1)
    effects = effects_of(masks, of_models, estimator, folds)
    missing = _no_own_retention(drifts)
    units = (len(drifts.axes.steps), masks.shape[1])
    by_class = np.full((len(masks), *units), np.nan) if missing else drifts.class_retention[:, -1]
    return _joined(effects, own(effects_of(masks, by_class, estimator, folds))), missing


def _no_own_retention(drifts: Drifts) -> str:
    """Why the classes' retention of themselves is not told; '' if it is."""
    if drifts.rows.unit_names != drifts.axes.source_classes:
        return "masks switch groups of source classes, not single ones"
    few = np.isnan(drifts.class_retention[:, -1]).any((0, 1))
    if few.any():
        return (
            f"{few.sum()} of {len(few)} source classes have fewer than {drifts.axes.fewest_images} probe "
            "images, or constant features"
        )
    return ""


def _joined(first: Effects, last: Effects) -> Effects:
    """Effects on several outcomes [outcomes, steps, units], and on one more [steps, units]."""
    one, other = vars(first), vars(last)
    of_folds = {name for name in one if name.startswith("by_fold")}

    def together(name: str) -> np.ndarray | None:
        axis = 1 if name in of_folds else 0
        parts = one[name], other[name]
        return None if parts[0] is None else np.concatenate([parts[0], np.expand_dims(parts[1], axis)], axis)

    return Effects(**{name: together(name) for name in one})


def _write_effects(out: artefacts.Writer, name: str, effects: Effects) -> None:
    """Effects [tables, ..., units] and all that is known of them; q is within a table."""
    for suffix in ("", "_se", "_low", "_high", "_p"):
        out.write(f"{name}{suffix}", getattr(effects, suffix[1:] or "effect"))
    out.write(f"{name}_q", np.stack([q_values(p) for p in effects.p]))
    if effects.by_fold is not None:
        for suffix in ("", "_se", "_p"):
            out.write(f"{name}_by_fold{suffix}", getattr(effects, f"by_fold{suffix}"))


def _write_retrained(out: artefacts.Writer, retrained: Retrained) -> None:
    out.write("order", retrained.orders)
    out.write("k", retrained.ks)
    out.write_interval("full_drift", retrained.full)
    out.write_interval("retrained_drift", retrained.drift)
    out.write_interval("retrained_change", retrained.change)


def _write_correlations(out: artefacts.Writer, drift: np.ndarray, outcomes: np.ndarray, seed: int) -> None:
    """Of drift effects with outcome effects after as many steps; q is over the layers and steps of an outcome
    and a domain.

    Args:
        drift: [folds, domains, layers, steps, units].
        outcomes: [folds, outcomes, steps, units].
    """
    found = [
        correlations.across_folds(drift, _like(outcomes[:, i], drift), rng_for(seed, "drift", name))
        for i, name in enumerate(OUTCOMES)
    ]
    for part in ("value", "low", "high", "p"):
        out.write("correlation" if part == "value" else f"correlation_{part}", _all(found, part))
    p = _all(found, "p")
    out.write("correlation_q", np.array([[q_values(of) for of in of_outcome] for of_outcome in p]))
    for name, effects in (("drift", drift), ("outcome", outcomes)):
        told = correlations.across_folds(effects, effects, rng_for(seed, "drift", "reliability"))
        out.write_interval(f"{name}_reliability", told)


def _all(found: list[Correlations], part: str) -> np.ndarray:
    return np.stack([getattr(of, part) for of in found])


def _like(outcome: np.ndarray, drift: np.ndarray) -> np.ndarray:
    """Outcome effects [folds, steps, units] beside those on every domain and layer: the shape of `drift`."""
    return np.broadcast_to(outcome[:, None, None], drift.shape)
