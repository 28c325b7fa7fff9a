"""What the page's summary says of influences: source classes that are shown to help or hurt."""

from collections.abc import Iterator
from dataclasses import dataclass

import xarray as xr

from transferlens.core.blocks import Finding, Kind, p_value, signed, signed_range
from transferlens.influence import extremes
from transferlens.influence.extremes import Extremes

LEVEL = 0.05  # q-values below it are findings
_SHOWN = 3  # findings of a kind that are told one by one
_RELATIVE = (
    "Whether it does so in absolute terms (masks have a fixed size); against the average source class: "
)


@dataclass(frozen=True)
class _Place:
    """A place in a ranking: what stands there, for which target, and what the other models report of it."""

    names: str
    of: str
    value: float
    low: float
    high: float
    q: float

    def shows(self, sign: int) -> bool:
        """Whether it is established that the class helps (or hurts, by the sign)."""
        return self.q < LEVEL and sign * self.value > 0

    def text(self, output: str) -> str:
        """What seeing the class does."""
        both = " (the mean of both: either half of the models chose another)" if "/" in self.names else ""
        return f"Seeing {self.names}{both} adds {signed(self.value)} to the mean {output} of {self.of}."

    def sure(self, of: str) -> str:
        """Interval and q."""
        return f"95 % {signed_range(self.low, self.high)}, q {p_value(self.q)} over {of}"


def bars(influence: xr.Dataset, top_classes: int) -> int:
    """How many source classes the ranking of the whole target shows at either end."""
    return min(top_classes, influence.sizes["source_class"] // 2)


def findings(influence: xr.Dataset, top_classes: int, fixed_size: bool) -> tuple[Finding, ...]:
    """What is established of the whole target and of its classes, by the numbers of the section.

    Args:
        top_classes: places of the ranking of the whole target, at either end.
        fixed_size: whether masks have one size, so that influences are relative to the average class.
    """
    if missing := influence.attrs["folds_missing"]:
        return (Finding(Kind.UNKNOWN, f"Which source classes help or hurt most: {missing}."),)
    output, places = influence.attrs["output"], bars(influence, top_classes)
    whole = [extremes.of_target(influence, sign, places) for sign in (extremes.HELPFUL, extremes.HARMFUL)]
    by_class = [extremes.of_target_classes(influence, sign) for sign in (extremes.HELPFUL, extremes.HARMFUL)]
    names = [str(name) for name in influence.target_class.values]
    found = [
        *_of_ends(_ranked(influence, whole, ["the whole target"]), "the target as a whole", output),
        *_of_ends(_ranked(influence, by_class, names), "single target classes", output),
    ]
    return tuple(_relative(one) if fixed_size else one for one in found)


def _ranked(influence: xr.Dataset, ends: list[Extremes], of: list[str]) -> list[list[_Place]]:
    """The places of either end, with q over those of both."""
    units = influence.source_class.values
    return [
        [
            _Place(
                end.names(row, place, units),
                name,
                *(float(part[row, place]) for part in (end.value, end.low, end.high, q)),
            )
            for row, name in enumerate(of)
            for place in range(end.value.shape[1])
        ]
        for end, q in zip(ends, extremes.joint_q(ends), strict=True)
    ]


def _of_ends(ends: list[list[_Place]], what: str, output: str) -> Iterator[Finding]:
    """Findings of both ends of a ranking, told in its order: nothing is chosen by what is reported."""
    of = f"the {sum(map(len, ends))} influences shown of {what}"
    signs = (extremes.HELPFUL, extremes.HARMFUL)
    for sign, kind, verb, places in zip(signs, (Kind.HELPS, Kind.HURTS), ("help", "hurt"), ends, strict=True):
        shown = [place for place in places if place.shows(sign)]
        for place in shown[:_SHOWN]:
            yield Finding(kind, place.text(output), place.sure(of))
        if shown[_SHOWN:]:
            yield Finding(kind, f"{len(shown) - _SHOWN} more among {of}.", f"q < {LEVEL} each")
        if not shown:
            strongest = f"none of the {len(places)} influences at that end of the ranking is established"
            least = f"smallest q {p_value(min(place.q for place in places))}"
            yield Finding(Kind.UNKNOWN, f"Which source classes {verb} {what}: {strongest}.", least)


def _relative(finding: Finding) -> Finding:
    """The finding where influences are relative to the average class: neither help nor harm is shown."""
    if finding.kind == Kind.UNKNOWN:
        return finding
    return Finding(Kind.UNKNOWN, _RELATIVE + finding.text, finding.sure)
