"""What the page's summary says of candidate sources: whose weights help, whose hurt."""

from collections.abc import Iterator

import xarray as xr

from transferlens.core.blocks import Finding, Kind, signed, signed_range

_SHOWN = 3  # candidates that are told one by one


def findings(made: xr.Dataset) -> Iterator[Finding]:
    """Candidates by whether their weights gain over random ones of the same network."""
    low, high = made.gain_low.values, made.gain_high.values
    established = {Kind.HELPS: low > 0, Kind.HURTS: high < 0}
    for kind, which in established.items():
        if which.any():
            yield _of_kind(kind, made.isel(candidate=which))
    unknown = ~(established[Kind.HELPS] | established[Kind.HURTS])
    if unknown.any():
        names = ", ".join(made.candidate.values[unknown])
        text = f"Whether weights of {names} gain over random ones: their intervals hold 0, or there are none."
        yield Finding(Kind.UNKNOWN, text)


def _of_kind(kind: Kind, of: xr.Dataset) -> Finding:
    """Candidates that gain, or that lose, in the order of the configuration."""
    verb = "gain" if kind == Kind.HELPS else "lose"
    names = ", ".join(of.candidate.values)
    told = [_gain(of.isel(candidate=i)) for i in range(min(_SHOWN, of.sizes["candidate"]))]
    more = of.sizes["candidate"] - len(told)
    sure = "; ".join(told) + (f"; and {more} more" if more else "")
    return Finding(kind, f"Weights of {names} {verb} accuracy over random ones of the same network.", sure)


def _gain(one: xr.Dataset) -> str:
    reach = signed_range(one.gain_low, one.gain_high)
    return f"{one.candidate.item()} {signed(one.gain)} (95 % {reach})"
