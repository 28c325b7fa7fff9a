"""Which rows counterfactual settings ask for, and which they cannot have."""

from collections.abc import Mapping
from typing import Any

from transferlens.core.errors import ConfigError, nearest
from transferlens.core.run import Run
from transferlens.core.studies import Study
from transferlens.counterfactual.orders import HANDPICKED, RANDOM_SET, SINGLE, Cells
from transferlens.counterfactual.settings import BUILT_IN, CounterfactualStudy
from transferlens.data import wordnet
from transferlens.data.classnames import readable
from transferlens.estimation.asked import unit_names

_REMOVALS = "transferlens.counterfactual.orders:Removals"
_WORDNET = "wordnet:"
# With fewer random sets a repeat, they could not be compared within it.
_FEWEST_SETS = 4


def picked_units(run: Run, picked: list[str] | None) -> list[str] | None:
    """Units picked by hand, WordNet subtrees (`wordnet:<id>`) replaced by the source classes in them."""
    if picked is None:
        return None
    roots = [entry.removeprefix(_WORDNET) for entry in picked if entry.startswith(_WORDNET)]
    kept = [readable(entry) for entry in picked if not entry.startswith(_WORDNET)]
    below = [name for root in roots for name in wordnet.classes_below(root, unit_names(run))]
    return list(dict.fromkeys(kept + below))


def _picked_for(given: CounterfactualStudy, target: str) -> list[str] | None:
    """The entries picked by hand for a target."""
    lists = given.handpicked
    return lists.get(target) if isinstance(lists, Mapping) else lists


def order_paths(given: CounterfactualStudy, target: str) -> dict[str, str]:
    """The files of users' orders for a target, by name."""
    return {name: path.replace("{target}", target) for name, path in given.order_files.items()}


def masks_of(run: Run, given: CounterfactualStudy, target: str) -> dict[str, Any]:
    """The settings that draw the rows."""
    return {
        **given.model_dump(include={"singles", "subsets", "output"}),
        "orders": [*given.orders, *given.order_files],
        "handpicked": picked_units(run, _picked_for(given, target)),
        "ks": sorted(given.ks),
        "units": run.settings.studies.influence.units,
    }


def step_orders(given: CounterfactualStudy) -> list[str]:
    """The orders of removal whose steps are checked."""
    return [order for order in ("bottom", "top") if given.step_check and order in given.orders]


def _seen(cells: Cells) -> dict[str, float]:
    """The mean share of the units that the models of a repeat see, and how many fewer (or more).

    Random sets hold a quarter of the units and one more in the mean.
    """
    whole, missing = [], []
    for order, k in cells.table():
        whole.append({HANDPICKED: 0.0, RANDOM_SET: 0.75}.get(order, 1.0))
        picked = len(cells.handpicked or ())
        missing.append({HANDPICKED: -picked, SINGLE: 1, RANDOM_SET: 1}.get(order, k))
    return {"seen": sum(whole) / len(whole), "seen_units": -sum(missing) / len(missing)}


def removals(
    name: str, given: CounterfactualStudy, masks: dict[str, Any], evidence: dict[str, str], **others: Any
) -> Study:
    """A study of removals; `others` as in `Study`."""
    cells = Cells.of(masks)
    return Study(
        name=name,
        kind=_REMOVALS,
        rows=len(cells.table()) * given.repeats,
        shard_size=given.shard_size,
        masks=masks,
        evidence=evidence,
        **_seen(cells),
        **others,
    )


def check_settings(run: Run, given: CounterfactualStudy) -> None:
    """Refuse settings that do not go together.

    Raises:
        ConfigError: a list for a target that there is not, an order under a name that is taken, too few
            random sets, or a check of steps that there are not.
    """
    _check_targets(run, given)
    _check_orders(given)


def _check_targets(run: Run, given: CounterfactualStudy) -> None:
    """Refuse lists picked by hand for targets that there are not."""
    for name in given.handpicked if isinstance(given.handpicked, Mapping) else ():
        if name not in run.targets:
            raise ConfigError(
                f"config: studies.counterfactual.handpicked names '{name}', which is no target"
                + nearest(name, list(run.targets))
            )


def _check_orders(given: CounterfactualStudy) -> None:
    """Refuse names of orders that mean something else, sets too few to compare, and a check of steps that
    there are not.
    """
    for name in given.order_files:
        if name in BUILT_IN:
            raise ConfigError(
                f"config: studies.counterfactual.order_files names an order '{name}', which there is "
                "already; choose another name"
            )
    if 0 < given.subsets < _FEWEST_SETS:
        raise ConfigError(
            f"config: studies.counterfactual.subsets is {given.subsets}; use 0, or at least {_FEWEST_SETS}, "
            "which can be compared"
        )
    if given.step_check is None:
        return
    where = f"config: studies.counterfactual.step_check is {given.step_check}, but "
    if given.step_check not in given.ks:
        raise ConfigError(f"{where}ks is {given.ks}; use one of these")
    if not step_orders(given):
        raise ConfigError(f"{where}orders is {given.orders}; add bottom or top")
    if given.step_matched:
        raise ConfigError(f"{where}step_matched is true: all removals take as many steps already; use null")
