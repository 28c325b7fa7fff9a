"""What trials of a recipe vary, and what each of them draws.

Trial 0 has the settings as they are written. Every other one multiplies the learning rate, the weight decay
and the epochs by factors f^u with u uniform on [-1, 1], drawn by (seed, trial) alone: all recipes, on all
targets, have the same factors, so that none wins by luck of these. What a recipe has of its own is drawn from
its family's ranges (`SEARCHED`) by (seed, kind, trial). No trial depends on how many there are. What is
written as 0 stays so: without weight decay, or at a strength of 0, a recipe is meant to be without it.
"""

from typing import Any

from transferlens.comparison.settings import SearchSettings
from transferlens.core.errors import ConfigError
from transferlens.core.seeding import rng_for
from transferlens.core.settings import TrainingSettings
from transferlens.training.recipes import kinds
from transferlens.training.recipes.settings.base import RecipeSettings

_COMMON = ("lr", "weight_decay", "epochs")


def trial(recipe: RecipeSettings, search: SearchSettings, seed: int, number: int) -> RecipeSettings:
    """The settings of a trial.

    Args:
        recipe: as it is written.
        seed: of the run.
        number: 0 for the settings as written.

    Raises:
        ConfigError: what is drawn and what is written cannot hold together.
    """
    if number == 0:
        return recipe
    given = {**recipe.model_dump(), "training": _training(recipe.training, search, seed, number).model_dump()}
    shares = rng_for(seed, "tuning", recipe.kind, number)
    for key, known in kinds.searched(recipe.kind).items():
        share = shares.random()  # also where it is held, so that the others stay the same
        if search.own and value_of(recipe, key) != 0:
            _put(given, key, known.at(share))
    where = f"trial {number} of kind '{recipe.kind}'"
    drawn = kinds.read(given, where)
    drawn.training.check(f"{where}.training")
    return drawn


def epochs(recipe: RecipeSettings, search: SearchSettings, seed: int, trials: int) -> float:
    """The mean number of epochs of so many trials, as a multiple of those that are written."""
    drawn = (trial(recipe, search, seed, number).training.epochs for number in range(trials))
    return sum(drawn) / trials / recipe.training.epochs


def parameters(recipe: RecipeSettings, search: SearchSettings) -> list[str]:
    """Dotted keys of what trials of a recipe vary."""
    common = [
        f"training.{name}"
        for name in _COMMON
        if getattr(search, name) > 1 and getattr(recipe.training, name) != 0
    ]
    own = kinds.searched(recipe.kind) if search.own else {}
    return common + [key for key in own if value_of(recipe, key) != 0]


def value_of(recipe: RecipeSettings, key: str) -> float | None:
    """The value of a dotted key; None for null."""
    value: Any = recipe
    for part in key.split("."):
        value = getattr(value, part)
    return value


def check(where: str, recipe: RecipeSettings, search: SearchSettings, seed: int, trials: int) -> None:
    """Refuse a recipe of which some trial's settings cannot hold together.

    Raises:
        ConfigError: naming the recipe, the trial and the settings.
    """
    for number in range(1, trials):
        try:
            trial(recipe, search, seed, number)
        except ConfigError as error:
            reason = str(error).removeprefix("config: ")
            raise ConfigError(
                f"config: {where} cannot be tuned: {reason}; change it, or narrow comparison.search"
            ) from None


def _training(written: TrainingSettings, search: SearchSettings, seed: int, number: int) -> TrainingSettings:
    """Training of a trial: all epochs of its schedule move with the number of epochs."""
    draws = dict(zip(_COMMON, rng_for(seed, "tuning", number).uniform(-1, 1, len(_COMMON)), strict=True))
    factors = {name: getattr(search, name) ** draw for name, draw in draws.items()}
    epochs = max(1, round(written.epochs * factors["epochs"]))
    return written.model_copy(
        update={
            "lr": written.lr * factors["lr"],
            "weight_decay": written.weight_decay * factors["weight_decay"],
            **_stretched(written, epochs),
        }
    )


def _stretched(written: TrainingSettings, epochs: int) -> dict[str, Any]:
    """The schedule over so many epochs; an epoch keeps its steps."""
    ratio = epochs / written.epochs
    steps, resize = written.step_epochs, written.resize
    return {
        "epochs": epochs,
        "iterations": written.iterations and written.iterations // written.epochs * epochs,
        # Products may round to just beyond the last epoch.
        "lr_peak_epoch": min(written.lr_peak_epoch * ratio, epochs),
        "warmup_epochs": min(written.warmup_epochs * ratio, epochs),
        "step_epochs": [_whole(step * ratio) for step in steps]
        if isinstance(steps, list)
        else _whole(steps * ratio),
        "resize": resize
        and resize.model_copy(
            update={"start": round(resize.start * ratio), "end": round(resize.end * ratio)}
        ),
    }


def _whole(epochs: float) -> int:
    return max(1, round(epochs))


def _put(given: dict[str, Any], key: str, value: float) -> None:
    """Set a dotted key of nested settings."""
    *path, last = key.split(".")
    for part in path:
        given = given[part]
    given[last] = value
