"""The inequalities that make the bound, on the very images that it is evaluated on."""

from dataclasses import dataclass

from transferlens.core.errors import NumericalError

_ROUNDING = 1e-8


@dataclass(frozen=True)
class Stage:
    """One proved inequality, left <= right, in nats."""

    name: str
    left: float
    right: float

    @property
    def slack(self) -> float:
        return self.right - self.left


def check(stages: tuple[Stage, ...]) -> None:
    """Refuse a bound with a stage that does not hold.

    Raises:
        NumericalError: of the first such stage.
    """
    for stage in stages:
        if not stage.slack >= -_ROUNDING * max(1, abs(stage.right)):
            raise NumericalError(
                f"Stage '{stage.name}' of the bound does not hold: {stage.left:.9g} > {stage.right:.9g}. "
                "It is proved to, so this is an error of arithmetic: please report it."
            )
