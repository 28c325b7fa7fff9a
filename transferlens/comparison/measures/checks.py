"""Data sets on which no probe can tell anything, met before anything runs."""

from transferlens.comparison import scope
from transferlens.core.errors import ConfigError, DataError
from transferlens.core.run import Run
from transferlens.data.capability import described

LEAST = 2  # training images of a class: one of them is held out


def check(run: Run) -> None:
    """Refuse data sets of one class, or of which a probe would be given too few images.

    Those that are unknown are refused wherever they are named (`data.capability`).

    Raises:
        ConfigError: one line that names the data set, what was found, and the cure.
    """
    given = scope.asked(run)
    for name in given.others if given else ():
        images, classes = run.dataset(name).train_per_class, _classes(run, name)
        if classes == 1:
            _refuse(name, "it has one class, of which a probe has nothing to tell apart")
        if images is not None and images < LEAST:
            _refuse(
                name,
                f"datasets.{name}.train_per_class is {images}, and a probe holds out one image and is fitted "
                f"with another; raise it to {LEAST}",
            )


def _classes(run: Run, name: str) -> int | None:
    """How many a data set has; None where that is known only once it is there."""
    try:
        return len(described(run, name)[0])
    except DataError:
        return None


def _refuse(name: str, why: str) -> None:
    raise ConfigError(f"config: comparison.others names '{name}': {why}, or take it out")
