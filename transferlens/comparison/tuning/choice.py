"""What is chosen by the trials of a recipe, and what more of them would still have gained."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np
from scipy.special import comb

from transferlens.comparison.tuning.artefacts import CHOICE, TRIALS
from transferlens.core import artefacts
from transferlens.core.errors import ArtefactError, NumericalError
from transferlens.training.recipes import kinds
from transferlens.training.recipes.settings.base import RecipeSettings

_BY_TRIAL = ("trial", "value", "settings", "loss", "seconds")


def choose(path: Path, trial_paths: Sequence[Path]) -> None:
    """Write the choice among the trials of all parts.

    Raises:
        ArtefactError: parts of other models or other held-out images.
        NumericalError: no trial could be trained to its end.
    """
    parts = [_read(place) for place in trial_paths]
    for part, place in zip(parts, trial_paths, strict=True):
        if part["alike"] != parts[0]["alike"]:
            raise ArtefactError(f"{place}: its models or images are not those of {trial_paths[0]}")
    whole = {name: np.concatenate([part[name] for part in parts]) for name in (*_BY_TRIAL, "accuracy")}
    best = best_trial(whole["accuracy"], whole["loss"])
    if best is None:
        raise NumericalError(
            f"{trial_paths[0].parent.parent}: the loss was not finite in any of {len(whole['trial'])} "
            "trials; lower training.lr of the recipe, or set training.clip"
        )
    parameters, models, examples = parts[0]["alike"]
    mean = whole["accuracy"].mean(1)
    with artefacts.create(path, CHOICE) as out:
        for name, values in whole.items():
            out.write(name, values)
        out.write("parameter", parameters)
        out.write("model", models)
        out.write("chosen", np.arange(len(mean)) == best)
        out.write("budget", 1 + np.arange(len(mean)))
        out.write("best_of", best_of(mean))
        out.attribute("recipe", json.loads(whole["settings"][best]))
        out.attribute("held_out", len(examples))
        out.attribute("trained", parts[0]["trained"])


def best_trial(accuracy: np.ndarray, loss: np.ndarray) -> int | None:
    """The position of the trial with the highest mean accuracy [trials, models]; of equals that with the
    lowest mean loss, of these the first. Trials with an infinite loss are none; None if all are such."""
    mean, losses = accuracy.mean(1).round(12), loss.mean(1)  # equals are equal, however they were added
    order = np.lexsort((np.arange(len(mean)), losses, -mean))
    whole = [int(i) for i in order if np.isfinite(losses[i])]
    return whole[0] if whole else None


def best_of(accuracy: np.ndarray) -> np.ndarray:
    """float64[n]: the mean over all sets of k = 1, ..., n of the trials of the set's highest accuracy [n].

    With the accuracies in rising order a_1, ..., a_n, a_i is the highest of C(i - 1, k - 1) of the C(n, k)
    sets. Dodge et al. (Show your work, EMNLP 2019) draw the k with replacement, by which the mean of n falls
    short of the best that was found; no trial is made twice here, so that they are drawn without.
    """
    count, rising = len(accuracy), np.sort(accuracy)
    place, size = np.arange(1, count + 1)[:, None], np.arange(1, count + 1)
    sets = comb(place - 1, size - 1) / comb(count, size)  # [place, size]
    return rising @ sets


def chosen(files: Mapping[str, Path], recipe: RecipeSettings) -> RecipeSettings:
    """The chosen settings of a recipe, for a transfer by them.

    Args:
        files: with the `choice`.
        recipe: as it is written, of the same kind.
    """
    with artefacts.open(files["choice"], CHOICE) as file:
        return kinds.read(json.loads(file.attrs["recipe"]), recipe.kind)


def _read(path: Path) -> dict:
    """One part: by trial, and what all parts must have alike."""
    with artefacts.open(path, TRIALS) as file:
        return {
            **{name: _values(file[name]) for name in _BY_TRIAL},
            "accuracy": file["correct"][:].mean(2),
            "alike": (
                artefacts.names(file["parameter"]),
                file["model"][:].tolist(),
                artefacts.names(file["example"]),
            ),
            "trained": int(file.attrs["trained"]),
        }


def _values(dataset: h5py.Dataset) -> np.ndarray:
    """Numbers, or texts as an array of objects."""
    text = h5py.check_string_dtype(dataset.dtype)
    return np.array(artefacts.names(dataset), dtype=object) if text else dataset[:]
