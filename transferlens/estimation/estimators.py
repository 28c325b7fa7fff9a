"""Estimators of influence: what switching a unit (a source class, say) on adds to an output.

Every estimator is made from the masks once, and then applied to outputs in blocks of columns. Models are the
independent units: every standard error is over them. Estimates mean the same thing under every estimator: the
change of the output when the unit joins a random subset of the others.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from transferlens.core.errors import ConfigError, DataError
from transferlens.core.seeding import rng_for
from transferlens.core.statistics import two_sided_p
from transferlens.training.outputs import Output

# Outputs in memory at a time, in bytes; more only if a single column of chunks is larger.
_BLOCK_BYTES = 32 << 20
# A piece of effects in bytes: the arithmetic on it stays in the processor's cache.
_PIECE_BYTES = 1 << 20
# Observations that least squares needs beyond its coefficients: with fewer, one observation may decide a
# coefficient alone, and the errors are unknown.
SPARE = 8
# Degrees of freedom from which an interval hardly depends on them.
_MANY = 200
# Outputs that ridge's penalty is chosen on.
_SAMPLE = 256
# Ridge's penalties as multiples of a unit's sum of squares, from next to none to almost everything.
_PENALTIES = np.geomspace(1e-4, 1e3, 29)


@dataclass(frozen=True)
class Effects:
    """Influences of the units on some outputs.

    Attributes:
        effect: float32[outputs, units].
        se: float32[outputs, units], standard errors over models.
        df: degrees of freedom of Student's intervals, a number or float[outputs, units].
    """

    effect: np.ndarray
    se: np.ndarray
    df: np.ndarray | float

    def p(self) -> np.ndarray:
        """Two-sided p-values of a zero effect."""
        return two_sided_p(self.effect, self.se, self.df)


class Estimator(Protocol):
    """Made from masks bool[models, units]; applied to outputs float[models, outputs]."""

    def effects(self, outputs: np.ndarray, exact_df: bool = True) -> Effects:
        """Effects with errors; `exact_df` false gives one df where exact ones differ by cell."""

    def coefficients(self, outputs: np.ndarray) -> np.ndarray:
        """The effects alone, float32[outputs, units], without their errors."""


def make(name: str, masks: np.ndarray, outputs: np.ndarray | Output) -> Estimator:
    """The estimator of that name for masks bool[models, units].

    Args:
        outputs: [models, outputs] that it will be applied to; ridge chooses its penalty on a sample of them.

    Raises:
        ConfigError: too few models for the estimator.
    """
    require_models(name, len(masks), masks.shape[1], is_fold_over(masks))
    if name == "difference_of_means":
        return PairedDifferences(masks) if is_fold_over(masks) else DifferenceOfMeans(masks)
    if name == "least_squares":
        factors = Factorisation(masks, is_fold_over(masks))
        _require_rank(factors, masks)
        return LinearFit(factors, 0.0)
    if name == "ridge":
        factors = Factorisation(masks, is_fold_over(masks))
        return LinearFit(factors, factors.best_penalty(sample_columns(outputs, _SAMPLE)))
    return Lasso(masks)


ESTIMATORS = ("difference_of_means", "least_squares", "ridge", "lasso")


def require_models(name: str, models: int, units: int, fold_over: bool) -> None:
    """Refuse fewer models than an estimator can use; a pair of a fold-over design tells as much as one model.

    Raises:
        ConfigError: naming both numbers and the cure.
    """
    for_least_squares = 2 * (units + SPARE) if fold_over else units + 1 + SPARE
    needed = {"least_squares": for_least_squares, "lasso": 20}.get(name, 8)
    if models < needed:
        others = "; or use ridge or difference_of_means" if name == "least_squares" else ""
        raise ConfigError(
            f"config: estimator '{name}' needs at least {needed} models for {units} units, but there are "
            f"{models}; raise studies.influence.models{others}"
        )


def _require_rank(factors: "Factorisation", masks: np.ndarray) -> None:
    """Refuse masks from which least squares cannot tell all units apart.

    Masks of a fixed size have one dimension less, which says how good the average unit is.
    """
    same_size = np.ptp(masks.sum(1)) == 0
    if len(factors.squares) < masks.shape[1] - int(same_size):
        raise ConfigError(
            f"config: {len(masks)} masks do not tell {masks.shape[1]} units apart (rank "
            f"{len(factors.squares)}); raise studies.influence.models, or use ridge or difference_of_means"
        )


def check_masks(masks: np.ndarray, unit_names: list[str]) -> None:
    """Refuse masks bool[models, units] from which some unit's influence cannot be estimated.

    Raises:
        DataError: a unit with fewer than two models on either side.
    """
    present = masks.sum(0)
    scarce = np.minimum(present, len(masks) - present)
    if scarce.min() < 2:
        worst = int(scarce.argmin())
        raise DataError(
            f"influence of '{unit_names[worst]}' cannot be estimated: {present[worst]} of {len(masks)} "
            "models saw it, at least two must have seen it and two not; raise studies.influence.models"
        )


def is_fold_over(masks: np.ndarray) -> bool:
    """Whether rows 2p and 2p + 1 are complements of each other, for all p."""
    return len(masks) % 2 == 0 and bool((masks[0::2] != masks[1::2]).all())


def independent_rows(masks: np.ndarray) -> np.ndarray:
    """The number of the independent draw that each row belongs to: int64[models]; pairs draw one."""
    rows = np.arange(len(masks))
    return rows // 2 if is_fold_over(masks) else rows


def pair_signs(masks: np.ndarray) -> np.ndarray:
    """float32[pairs, units]: +1 where the first model of a fold-over's pair saw the unit, else -1."""
    return np.where(masks[0::2], np.float32(1), np.float32(-1))


def sums_by_draw(values: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Sums over the rows [models, ...] of each draw (int64[models], ascending): [draws, ...]."""
    return np.add.reduceat(values, np.flatnonzero(np.diff(draws, prepend=-1)), axis=0)


class DifferenceOfMeans:
    """Mean with the unit minus mean without (Jain et al. 2022, Algorithm 1), variances unpooled (Welch)."""

    def __init__(self, masks: np.ndarray):
        self.masks = masks.astype(np.float32)
        self.n_in = masks.sum(0).astype(np.float32)
        self.n_out = len(masks) - self.n_in

    def effects(self, outputs: np.ndarray, exact_df: bool = True) -> Effects:
        """See `Estimator`."""
        # Centred, so that squares do not cancel in float32; neither effects nor variances depend on it.
        outputs = centred(outputs)
        sum_in = outputs.T @ self.masks
        sum_all = outputs.sum(0, dtype=np.float64)
        np.square(outputs, out=outputs)
        square_in = outputs.T @ self.masks
        square_all = outputs.sum(0, dtype=np.float64)
        effect, se = np.empty_like(sum_in), np.empty_like(sum_in)
        df = np.empty_like(sum_in) if exact_df else None

        def combine(piece: slice) -> None:
            errors = self._errors(
                sum_in[piece],
                sum_all[piece, None].astype(np.float32),
                square_in[piece],
                square_all[piece, None].astype(np.float32),
                effect[piece],
            )
            np.sqrt(np.add(*errors, out=se[piece]), out=se[piece])
            if exact_df:
                df[piece] = _welch_satterthwaite(*errors, self.n_in, self.n_out)

        by_piece(combine, *sum_in.shape)
        return Effects(effect, se, df if exact_df else float(len(outputs) - 2))

    def coefficients(self, outputs: np.ndarray) -> np.ndarray:
        """See `Estimator`."""
        return self.effects(outputs, exact_df=False).effect

    def _errors(
        self,
        sum_in: np.ndarray,
        sum_all: np.ndarray,
        square_in: np.ndarray,
        square_all: np.ndarray,
        effect: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Squared standard errors of the means with and without; writes their difference into `effect`."""
        mean_in = sum_in / self.n_in
        error_in = _squared_error(sum_in, mean_in, square_in, self.n_in)
        sum_out = sum_all - sum_in
        mean_out = sum_out / self.n_out
        error_out = _squared_error(sum_out, mean_out, square_all - square_in, self.n_out)
        np.subtract(mean_in, mean_out, out=effect)
        return error_in, error_out


def _welch_satterthwaite(
    error_in: np.ndarray, error_out: np.ndarray, n_in: np.ndarray, n_out: np.ndarray
) -> np.ndarray:
    """Degrees of freedom; those of pooled variances where the outputs are constant."""
    spread = error_in**2 / (n_in - 1) + error_out**2 / (n_out - 1)
    pooled = np.broadcast_to(n_in + n_out - 2, spread.shape).astype(np.float32)
    return np.divide((error_in + error_out) ** 2, spread, out=pooled, where=spread > 0)


def _squared_error(total: np.ndarray, mean: np.ndarray, square: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Squared standard error of the mean of n outputs, from their sum, mean and sum of squares."""
    error = total * mean
    np.subtract(square, error, out=error)
    error /= n * (n - 1)
    return np.maximum(error, 0, out=error)  # rounding may take a zero variance below zero


class PairedDifferences:
    """The difference of means of a fold-over design: the mean over pairs of "with" minus "without".

    A pair's difference is with minus without for every unit at once, up to its sign; its square needs no
    sign. So both effects and standard errors come from half as many rows. What the two rows of a pair
    share cancels.
    """

    def __init__(self, masks: np.ndarray):
        self.signs = pair_signs(masks)

    def effects(self, outputs: np.ndarray, exact_df: bool = True) -> Effects:
        """See `Estimator`."""
        pairs = len(self.signs)
        difference = observe(outputs, by_pairs=True)
        effect = difference.T @ self.signs
        effect /= pairs
        mean_square = np.square(difference, out=difference).mean(0, dtype=np.float64)
        se = np.empty_like(effect)

        def combine(piece: slice) -> None:
            np.square(effect[piece], out=se[piece])
            np.subtract(mean_square[piece, None].astype(np.float32), se[piece], out=se[piece])
            np.maximum(se[piece], 0, out=se[piece])
            se[piece] /= pairs - 1
            np.sqrt(se[piece], out=se[piece])

        by_piece(combine, *effect.shape)
        return Effects(effect, se, float(pairs - 1))

    def coefficients(self, outputs: np.ndarray) -> np.ndarray:
        """See `Estimator`."""
        return self.effects(outputs).effect


class Factorisation:
    """Observed masks X = U S V' with what every penalty shares; X'X or XX', whichever is smaller, is
    decomposed.

    Observations are models, centred. In a fold-over design they can be pairs: then X holds their signs,
    outputs are differences within pairs, and what the two models of a pair have in common drops out.

    Attributes:
        x: float32[observations, units].
        u: float32[observations, rank], left singular vectors.
        squares: float64[rank], squared singular values.
        v: float64[units, rank], right singular vectors.
    """

    def __init__(self, masks: np.ndarray, by_pairs: bool = False):
        self.by_pairs = by_pairs
        if by_pairs:
            raw = pair_signs(masks)
            mean = np.zeros(masks.shape[1])
        else:
            raw = masks.astype(np.float32)
            mean = raw.mean(0, dtype=np.float64)
        observations, units = raw.shape
        if units <= observations:
            # Counts are exact in float32; centring them in float64 keeps the Gram matrix exact.
            gram = (raw.T @ raw).astype(np.float64) - observations * np.outer(mean, mean)
            raw -= mean.astype(np.float32)
            self.x = raw
            self.squares, self.v = _positive_part(gram)
            self.u = self.x @ (self.v / np.sqrt(self.squares)).astype(np.float32)
        else:
            exact = raw.astype(np.float64) - mean
            self.x = exact.astype(np.float32)
            self.squares, u = _positive_part(exact @ exact.T)
            self.v = exact.T @ (u / np.sqrt(self.squares))
            self.u = u.astype(np.float32)

    def leverages(self, penalty: float) -> np.ndarray:
        """float64[observations]: how far an observation moves its own fitted value; a free mean included."""
        kept = self.squares / (self.squares + penalty)
        free_mean = 0.0 if self.by_pairs else 1 / len(self.u)
        return free_mean + np.einsum("or,or,r->o", self.u, self.u, kept)

    def best_penalty(self, outputs: np.ndarray) -> float:
        """The penalty with the least leave-one-out error, averaged over outputs of unit variance.

        What is left out is an observation: a model, or a pair. The error is exact and closed-form: the
        residual divided by one minus the leverage.
        """
        outputs = observe(outputs, self.by_pairs)
        variance = np.square(outputs).mean(0)
        outputs = outputs[:, variance > 0] / np.sqrt(variance[variance > 0])
        rotated = self.u.T @ outputs
        penalties = self.penalties()
        if not outputs.shape[1]:
            return float(penalties[-1])
        errors = [self._left_out_error(penalty, outputs, rotated) for penalty in penalties]
        return float(penalties[int(np.argmin(errors))])

    def penalties(self) -> np.ndarray:
        """The penalties that are tried."""
        return _PENALTIES * self.squares.sum() / self.x.shape[1]

    def _left_out_error(self, penalty: float, outputs: np.ndarray, rotated: np.ndarray) -> float:
        kept = (self.squares / (self.squares + penalty)).astype(np.float32)
        residual = outputs - self.u @ (kept[:, None] * rotated)
        residual /= (1 - self.leverages(penalty))[:, None].astype(np.float32)
        return float(np.mean(residual**2))


def _positive_part(gram: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues above rounding error, and their vectors as columns."""
    values, vectors = np.linalg.eigh(gram)
    kept = values > values[-1] * 1e-9
    return values[kept], vectors[:, kept]


class LinearFit:
    """Least squares (penalty 0) or ridge of the outputs on the masks, with a free intercept.

    Standard errors are robust to unequal noise: each observation's squared residual, divided by one minus its
    leverage, estimates its own noise (MacKinnon and White 1985, HC2); how well they are known is worked out
    for every unit (Bell and McCaffrey 2002). What a sum of effects leaves open (interactions of classes) is
    noise, too: the two models of a pair share it, so that a pair is one observation. Where masks of a fixed
    size leave the mean effect open, the solution of least norm sets it to zero. Ridge estimates are drawn
    towards zero: their intervals describe noise, not that bias.

    Attributes:
        weights: float32[observations, units]; effects are observed outputs times these.
        df: float64[units], degrees of freedom of the effects' intervals.
    """

    def __init__(self, factors: Factorisation, penalty: float):
        self.penalty, self.x, self.by_pairs = penalty, factors.x, factors.by_pairs
        shrink = np.sqrt(factors.squares) / (factors.squares + penalty)
        self.weights = factors.u @ (factors.v * shrink).astype(np.float32).T  # [observations, units]
        leverages = factors.leverages(penalty)
        self.noise_share = (1 / np.maximum(1 - leverages, 1e-6)).astype(np.float32)[:, None]
        self.df = self._degrees_of_freedom(factors, leverages)

    def _degrees_of_freedom(self, factors: Factorisation, leverages: np.ndarray) -> np.ndarray:
        """Those of a chi-squared variable with the mean and variance that an estimated squared error has
        under equal normal noise.
        """
        rest = 1 - leverages
        if rest.sum() > _MANY:
            return np.full(self.weights.shape[1], rest.sum())
        kept = factors.squares / (factors.squares + self.penalty)
        maker = np.eye(len(rest)) - (factors.u * kept) @ factors.u.T  # of residuals, from outputs
        if not self.by_pairs:
            maker -= 1 / len(rest)
        share = np.square(self.weights, dtype=np.float64) * self.noise_share
        return (rest @ share) ** 2 / (share * (maker**2 @ share)).sum(0)

    def residuals(self, outputs: np.ndarray) -> np.ndarray:
        """Of every observation, scaled to the noise's variance: float32[observations, outputs]."""
        observed = observe(outputs, self.by_pairs)
        observed -= self.x @ (observed.T @ self.weights).T
        observed *= np.sqrt(self.noise_share)
        return observed

    def effects(self, outputs: np.ndarray, exact_df: bool = True) -> Effects:
        """See `Estimator`."""
        observed = observe(outputs, self.by_pairs)
        effect = observed.T @ self.weights
        observed -= self.x @ effect.T  # now residuals
        np.square(observed, out=observed)
        observed *= self.noise_share
        se = observed.T @ np.square(self.weights)
        np.sqrt(se, out=se)
        df = np.broadcast_to(self.df, effect.shape) if exact_df else float(self.df.mean())
        return Effects(effect, se, df)

    def coefficients(self, outputs: np.ndarray) -> np.ndarray:
        """See `Estimator`."""
        return observe(outputs, self.by_pairs).T @ self.weights


class Lasso:
    """LASSO of each output on the masks (datamodels, Ilyas et al. 2022), by scikit-learn's path.

    The penalty of each output is the one of its path that predicts left-out models best (five folds, pairs
    of rows kept together). Standard errors are from a jackknife over ten groups of models at that penalty.
    """

    folds, groups, path_length = 5, 10, 20

    def __init__(self, masks: np.ndarray):
        from sklearn.linear_model import lasso_path  # takes its time to import

        self._path: Callable = lasso_path
        self.masks = masks.astype(np.float64)
        self.fold = fold_of_rows(masks, self.folds)
        self.group = fold_of_rows(masks, self.groups)

    def effects(self, outputs: np.ndarray, exact_df: bool = True) -> Effects:
        """See `Estimator`."""
        columns = [self._with_error(y) for y in outputs.T.astype(np.float64)]
        effect, se = (np.array([c[i] for c in columns], np.float32) for i in range(2))
        return Effects(effect, se, float(self.groups - 1))

    def coefficients(self, outputs: np.ndarray) -> np.ndarray:
        """See `Estimator`."""
        everyone = np.ones(len(outputs), bool)
        columns = [self._fit(everyone, y, self._best_path(y))[:, -1] for y in outputs.T.astype(np.float64)]
        return np.array(columns, np.float32)

    def _with_error(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        best = self._best_path(y)
        effect = self._fit(np.ones(len(y), bool), y, best)[:, -1]
        without = np.array([self._fit(self.group != g, y, best)[:, -1] for g in range(self.groups)])
        spread = np.sum((without - without.mean(0)) ** 2, axis=0)
        return effect, np.sqrt((self.groups - 1) / self.groups * spread)

    def _best_path(self, y: np.ndarray) -> np.ndarray:
        """Penalties from the one that lets no unit in down to the one that predicts left-out models best."""
        centred_masks = self.masks - self.masks.mean(0)
        highest = np.abs(centred_masks.T @ (y - y.mean())).max() / len(y)
        if highest == 0:
            return np.ones(1)
        penalties = np.geomspace(highest, highest / 1000, self.path_length)
        errors = np.zeros(self.path_length)
        for fold in range(self.folds):
            rest = self.fold != fold
            coefficients = self._fit(rest, y, penalties)
            x = self.masks[~rest] - self.masks[rest].mean(0)
            errors += ((y[~rest, None] - y[rest].mean() - x @ coefficients) ** 2).sum(0)
        return penalties[: int(errors.argmin()) + 1]

    def _fit(self, rows: np.ndarray, y: np.ndarray, penalties: np.ndarray) -> np.ndarray:
        """Coefficients float64[units, penalties]."""
        x, y = self.masks[rows], y[rows]
        return self._path(x - x.mean(0), y - y.mean(), alphas=penalties, precompute=True)[1]


def fold_of_rows(masks: np.ndarray, folds: int, seed: int = 0) -> np.ndarray:
    """A random fold for every row, int64[models]; complements share theirs, and sizes differ by one draw."""
    draws = independent_rows(masks)
    count = int(draws[-1]) + 1
    return (rng_for(seed, "folds", folds, count).permutation(count) % folds)[draws]


def observe(outputs: np.ndarray, by_pairs: bool) -> np.ndarray:
    """Outputs [models, outputs] as observations: centred, or differences within pairs; a new float array.

    Whether a prediction is correct is an output, too: a bool has no difference of its own.
    """
    if by_pairs:
        outputs = outputs if outputs.dtype.kind == "f" else outputs.astype(np.float32)
        return (outputs[0::2] - outputs[1::2]).astype(np.float32, copy=False)
    return centred(outputs)


def centred(outputs: np.ndarray) -> np.ndarray:
    """Outputs minus their mean over models, a new float32 array."""
    mean = outputs.mean(0, dtype=np.float64)
    return np.subtract(outputs, mean.astype(np.float32), dtype=np.float32)


def by_piece(function: Callable[[slice], None], outputs: int, units: int) -> None:
    """Call a function for slices of about a megabyte of effects, on as many threads as the job has."""
    length = max(1, _PIECE_BYTES // (4 * units))
    slices = [slice(start, min(start + length, outputs)) for start in range(0, outputs, length)]
    with ThreadPoolExecutor(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1))) as threads:
        list(threads.map(function, slices))


def blocks(outputs: Output, disk: Executor) -> Iterator[tuple[slice, np.ndarray]]:
    """Blocks of columns of a stored output [models, examples], so that memory is bounded.

    Blocks are whole columns of the file's chunks, so that every chunk is read once; the next one is read on
    `disk` while the caller works.
    """
    models, examples = outputs.shape
    width = outputs.chunks[1] if outputs.chunks else examples
    step = max(1, _BLOCK_BYTES // (4 * models * width)) * width
    slices = [slice(start, min(start + step, examples)) for start in range(0, examples, step)]
    following = disk.submit(lambda: outputs[:, slices[0]])
    for block, after in zip(slices, [*slices[1:], None], strict=True):
        part = following.result()
        if after:
            following = disk.submit(lambda after=after: outputs[:, after])
        yield block, part


def sample_columns(outputs: Output | np.ndarray, most: int = 256) -> np.ndarray:
    """At most so many evenly spaced columns of a stored output."""
    step = -(-outputs.shape[1] // most)
    return outputs[:, ::step]
