"""Influences from masks and outputs of one's own: of any models trained on subsets of anything.

No study is needed, only which units each model saw, and what it gave: a score, an accuracy, an output on each
of many examples. Estimators, errors and intervals are those of the workflow. Outputs may lie in a file that
does not fit in memory: they are read block by block.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy  # its statistics load at their first use

from transferlens.core import artefacts, job
from transferlens.core.errors import ConfigError, DataError, nearest
from transferlens.core.statistics import q_values, t_interval
from transferlens.estimation import estimators
from transferlens.estimation.estimators import Estimator
from transferlens.influence.artefacts import OWN_INFLUENCE

if TYPE_CHECKING:
    import xarray as xr

# Of the outputs that are in memory at a time, and of each part of their estimates.
_BLOCK_BYTES = 16 << 20
# Makes room for an array of a name and shape, to be filled by slices.
Room = Callable[[str, tuple[int, ...]], Any]


@dataclass(frozen=True)
class Own:
    """Masks and outputs that have been checked, but for what only reading all outputs can tell.

    Attributes:
        masks: bool[models, units], which units each model saw.
        outputs: numbers [models, outputs], sliced where they lie.
        unit_names, output_names: one for each.
        group_names: groups of outputs; none if there are no groups.
        group_of_output: int64[outputs], positions in `group_names`.
    """

    masks: np.ndarray
    outputs: Any
    unit_names: list[str]
    output_names: list[str]
    group_names: list[str]
    group_of_output: np.ndarray


def estimate_influence(
    masks: np.ndarray,
    outputs: np.ndarray,
    *,
    unit_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
    estimator: str = "least_squares",
) -> "xr.Dataset":
    """The influence of every unit on every output, from masks and outputs of one's own.

    The influence of a unit is what an output gains when the unit joins a random subset of the others. Models
    are the independent draws; where rows 2p and 2p + 1 of the masks are complements of each other for all p,
    pairs are. A unit or output that is *chosen* for its estimate (the most harmful one, say) must be reported
    from other models than those that chose it: call this twice, on either half of the models.

    Args:
        masks: bool (or 0 and 1) [models, units], which units each model was trained on.
        outputs: numbers [models, outputs], or [models]; sliced block by block, so that a memory-mapped array
            or an HDF5 data set will do.
        unit_names, output_names: by default `unit 0`, ... and `output 0`, ...
        groups: the group (a class, say) of every output; influences are then also estimated on each group's
            mean output.
        estimator: `least_squares`, `difference_of_means`, `ridge` or `lasso` (docs/influence.md).

    Returns:
        `effect` (output, unit), `group_effect` (output_group, unit) if there are groups, and `overall_effect`
        (unit) on the mean over all outputs (which tells something where they are of one kind), each with
        `_se` (over models), `_low` and `_high` (95 %), `_p`, and `_q` (Benjamini-Hochberg: of `effect` over
        the units of one output, else over the whole table). Means over outputs are formed model by model
        first: outputs share their models.

    Raises:
        DataError: masks that are not binary, shapes or names that disagree, numbers that are missing or not
            finite, or too few models.
        ConfigError: an unknown estimator.
    """
    import xarray as xr

    own = check(masks, outputs, unit_names, output_names, groups)
    arrays: dict[str, np.ndarray] = {}

    def room(name: str, shape: tuple[int, ...]) -> np.ndarray:
        return arrays.setdefault(name, np.empty(shape, OWN_INFLUENCE.field(name).dtype))

    estimate(own, estimator, room)
    arrays |= {name: np.array(values) for name, values in _axes(own).items() if len(values)}
    made = {}
    for name, values in arrays.items():
        field = OWN_INFLUENCE.field(name)
        made[name] = (field.dims, values, {"meaning": field.meaning})
    return xr.Dataset(made, attrs={"estimator": estimator, "models": len(own.masks)})


def write_influence(path: Path, own: Own, estimator: str, made_from: dict[str, str]) -> None:
    """The same as a file, written block by block.

    Args:
        made_from: the SHA-256 of the files that masks and outputs were read from.
    """
    with artefacts.create(path, OWN_INFLUENCE) as out:
        estimate(own, estimator, out.reserve)
        for name, values in _axes(own).items():
            if len(values):
                out.write(name, values)
        out.attribute("estimator", estimator)
        out.attribute("models", len(own.masks))
        out.attribute("made_from", made_from)


def _axes(own: Own) -> dict[str, Any]:
    return {
        "unit": own.unit_names,
        "output": own.output_names,
        "output_group": own.group_names,
        "n_in": own.masks.sum(0),
        "n_out": (~own.masks).sum(0),
    }


def check(
    masks: Any,
    outputs: Any,
    unit_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
    named: tuple[str, str] = ("masks", "outputs"),
) -> Own:
    """Masks and outputs as they are needed; see `estimate_influence` for arguments and errors.

    Args:
        named: what messages call the two, such as the files that they were read from.
    """
    binary = _binary(masks, named[0])
    values = _numbers(outputs, len(binary), named)
    units = _names(unit_names, "unit", binary.shape[1], named[0])
    with _in_terms_of(named[0]):
        estimators.check_masks(binary, units)
    of_output = [str(group) for group in (() if groups is None else groups)]
    if groups is not None and len(of_output) != values.shape[1]:
        raise DataError(f"groups: {len(of_output)} for {values.shape[1]} outputs; give one for each output")
    group_names = list(dict.fromkeys(of_output))
    place = {name: i for i, name in enumerate(group_names)}
    return Own(
        binary,
        values,
        units,
        _names(output_names, "output", values.shape[1], named[1]),
        group_names,
        np.array([place[name] for name in of_output], np.int64),
    )


def _binary(masks: Any, named: str) -> np.ndarray:
    """Masks as bool[models, units]."""
    masks = _array(masks, named)
    if masks.ndim != 2 or not masks.size or masks.dtype.kind not in "biuf":
        raise DataError(f"{named}: shape {masks.shape} of type {masks.dtype}; give 0 and 1 [models, units]")
    other = np.argwhere((masks != 0) & (masks != 1))
    if len(other):
        row, column = other[0]
        raise DataError(
            f"{named}: holds {masks[row, column]} (row {row}, column {column}, from 0); give 1 where the "
            "model saw the unit, else 0"
        )
    return masks.astype(bool)


def _array(given: Any, named: str) -> np.ndarray:
    """What is given as an array, all of whose cells are there."""
    if np.ma.is_masked(given):
        raise DataError(f"{named}: has masked cells; give a number in each, or leave the model or column out")
    try:
        return np.asarray(given)
    except ValueError:
        raise DataError(f"{named}: rows of different lengths; give a table, a row for each model") from None


def _numbers(outputs: Any, models: int, named: tuple[str, str]) -> Any:
    """Outputs as something of two axes that can be sliced."""
    plain = isinstance(getattr(outputs, "dtype", None), np.dtype) and not np.ma.isMaskedArray(outputs)
    values = outputs if plain else _array(outputs, named[1])
    if values.ndim == 1:
        values = np.asarray(values)[:, None]
    if values.ndim != 2 or not values.shape[1] or values.dtype.kind not in "biuf":
        raise DataError(
            f"{named[1]}: shape {values.shape} of type {values.dtype}; give numbers [models, outputs]"
        )
    if len(values) != models:
        raise DataError(
            f"{named[1]}: {len(values)} models, but {named[0]} has {models}; give a row for each in both"
        )
    return values


def _names(given: Sequence[str] | None, what: str, count: int, named: str) -> list[str]:
    """Names of the columns of one of the two; numbered ones where none are given."""
    if given is None:
        return [f"{what} {i}" for i in range(count)]
    names = [str(name) for name in given]
    if len(names) != count:
        raise DataError(f"{named}: {count} columns, but {len(names)} {what} names; give one for each")
    if len(set(names)) < count:
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise DataError(f"{named}: {what} name '{twice}' stands there twice; give each its own")
    return names


@contextmanager
def _in_terms_of(named: str) -> Iterator[None]:
    """Estimators speak to those who configure a study; here somebody has files."""
    try:
        yield
    except (ConfigError, DataError) as error:
        told = str(error).removeprefix("config: ")
        raise DataError(
            f"{named}: " + told.replace("studies.influence.models", "the number of models")
        ) from None


def estimate(own: Own, estimator: str, room: Room) -> None:
    """Fill in every table; nothing is asked for before all outputs have been seen to be finite."""
    fitted = _fitted(own, estimator)
    by_group, overall = _model_means(own)
    if own.group_names:
        _write_whole(room, "group_effect", _estimates(fitted, by_group))
    of_all = _estimates(fitted, overall[:, None])
    _write_whole(room, "overall_effect", {part: values[0] for part, values in of_all.items()})
    shape = own.outputs.shape[1], own.masks.shape[1]
    columns = {part: room(f"effect{part}", shape) for part in ("", "_se", "_low", "_high", "_p", "_q")}
    for block in job.progress(_blocks(own), "influences", "blocks"):
        found = _estimates(fitted, np.asarray(own.outputs[:, block]))
        found["_q"] = scipy.stats.false_discovery_control(found["_p"], axis=1)
        for part, values in found.items():
            columns[part][block] = values


def _fitted(own: Own, estimator: str) -> Estimator:
    if estimator not in estimators.ESTIMATORS:
        raise ConfigError(f"no estimator '{estimator}'" + nearest(estimator, list(estimators.ESTIMATORS)))
    sample = _standardised(np.asarray(estimators.sample_columns(own.outputs)))[0]
    with _in_terms_of("masks"):
        return estimators.make(estimator, own.masks, sample)


def _blocks(own: Own) -> list[slice]:
    """Blocks of outputs that fit in memory, with their effects; whole chunks where a file has them."""
    models, outputs = own.outputs.shape
    width = getattr(own.outputs, "chunks", None) or (0, 1)
    most = _BLOCK_BYTES // (8 * max(models, own.masks.shape[1]))
    step = max(1, most // width[1]) * width[1]
    return [slice(start, min(start + step, outputs)) for start in range(0, outputs, step)]


def _model_means(own: Own) -> tuple[np.ndarray, np.ndarray]:
    """Every model's mean output, float64: by group [models, groups], and of all outputs [models].

    Raises:
        DataError: an output is missing or not finite.
    """
    models, groups = len(own.masks), len(own.group_names)
    by_group, overall = np.zeros((models, groups)), np.zeros(models)
    for block in _blocks(own):
        values = np.asarray(own.outputs[:, block], np.float64)
        _require_finite(values, block.start, own)
        overall += values.sum(1)
        if groups:
            by_group += values @ np.eye(groups)[own.group_of_output[block]]
    return by_group / np.bincount(own.group_of_output, minlength=groups), overall / len(own.output_names)


def _require_finite(values: np.ndarray, start: int, own: Own) -> None:
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        row, column = bad[0]
        raise DataError(
            f"output '{own.output_names[start + column]}' of the model in row {row} (from 0) is "
            f"{values[row, column]}; give a finite number for every model, or leave the model or output out"
        )


def _standardised(outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Outputs [models, n] with mean 0 and variance 1, float32, and what one of their units is, float64[n].

    Estimators work in single precision, which takes outputs of any size and offset in this form. Those that
    never vary are 0, exactly.
    """
    values = outputs.astype(np.float64)
    values -= values[:1]
    values -= values.mean(0)
    scale = values.std(0)
    scale[scale == 0] = 1
    return (values / scale).astype(np.float32), scale


def _estimates(fitted: Estimator, outputs: np.ndarray) -> dict[str, np.ndarray]:
    """Effects on outputs [models, n] by part of an estimate, float[n, units] each; without q-values."""
    values, scale = _standardised(outputs)
    effects = fitted.effects(values)
    effect, se = (part * scale[:, None] for part in (effects.effect, effects.se))
    interval = t_interval(effect, se, effects.df)
    return {"": effect, "_se": se, "_low": interval.low, "_high": interval.high, "_p": effects.p()}


def _write_whole(room: Room, name: str, found: dict[str, np.ndarray]) -> None:
    """A table that is one family of hypotheses."""
    for part, values in {**found, "_q": q_values(found["_p"])}.items():
        room(f"{name}{part}", values.shape)[...] = values
