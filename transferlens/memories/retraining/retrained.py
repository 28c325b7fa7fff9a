"""What leaving a memory out of the source changes, for the images that it distracts and for all."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from transferlens.core import store
from transferlens.core.errors import ArtefactError
from transferlens.core.statistics import Interval, bootstrap_counts
from transferlens.data.index import HALVES
from transferlens.training import outputs as stored
from transferlens.training import summary as summaries

OUTPUTS = ("p_true", "margin", "correct")


@dataclass(frozen=True)
class Changes:
    """Models without one source class against the full-source models of the same repeats.

    Attributes:
        kinds: 'distracting' or 'random', one a class left out.
        classes: int64[left out], source classes.
        examples: int64[examples], those of the report half, as positions in the target's val split.
        labels: int64[examples], their target classes.
        change: output: float64[left out, repeats, examples], without the class minus with it.
    """

    kinds: list[str]
    classes: np.ndarray
    examples: np.ndarray
    labels: np.ndarray
    change: dict[str, np.ndarray]

    def only(self, kind: str) -> np.ndarray:
        """Indices into `classes` of a kind."""
        return np.flatnonzero([k == kind for k in self.kinds])


def read_changes(without: Path, reference: Path) -> Changes:
    """Pair a study of retraining without memories with the reference study, repeat by repeat.

    Raises:
        ArtefactError: the two are of other target examples.
    """
    with store.open(without, summaries.KIND) as file, store.open(reference, summaries.KIND) as full:
        summary, whole = summaries.read_summary(file), summaries.read_summary(full)
        if summary.example_ids != whole.example_ids:
            raise ArtefactError(f"{without}: other target examples than in {reference}; delete it")
        cells = {}  # (kind, j): models, repeat by repeat
        for row, label in enumerate(summary.rows.labels):
            kind, j, _ = label.rsplit("-", 2)
            cells.setdefault((kind, int(j)), []).append(row)
        models = np.array(list(cells.values()))
        pairs = [whole.rows.labels.index(f"full-{repeat}") for repeat in range(models.shape[1])]
        report = np.flatnonzero(summary.example_halves == HALVES.index("report"))
        change = {}
        for output in OUTPUTS:
            after, before = (stored.Output(f, output)[:].astype(np.float64) for f in (file, full))
            change[output] = after[models][..., report] - before[pairs][:, report]
    left_out = (~summary.rows.masks[models[:, 0]]).argmax(1)
    return Changes(
        [kind for kind, _ in cells], left_out, report, summary.example_labels[report].astype(int), change
    )


def overall_change(values: np.ndarray, bootstrap: int, rng: np.random.Generator) -> Interval:
    """Mean float64[left out] of changes [left out, repeats, examples], bootstrapped over the latter two."""
    _, repeats, examples = values.shape
    drawn = []
    for _ in range(bootstrap):
        of_repeats, of_examples = _counts(repeats, rng), _counts(examples, rng)
        drawn.append(of_repeats @ (values @ of_examples).T / (of_repeats.sum() * of_examples.sum()))
    return Interval(values.mean((1, 2)), *np.quantile(drawn, [0.025, 0.975], axis=0))


def rescue(
    own: np.ndarray, control: np.ndarray, allowed: np.ndarray, bootstrap: int, rng: np.random.Generator
) -> tuple[Interval, Interval, Interval]:
    """What images gain when their own memory is left out, when a random class is, and by how much more.

    Args:
        own: float64[repeats, examples], change without the example's own memory.
        control: float64[random, repeats, examples], change without each random class.
        allowed: bool[random, examples], False where the random class means the same as the example's class.

    Returns:
        Means with intervals from a bootstrap over repeats, examples and random classes at once; the three
        share their draws.
    """
    classes, repeats, examples = control.shape
    value = _rescue(own, control, allowed, np.ones(repeats), np.ones(examples), np.ones(classes))
    drawn = [
        _rescue(own, control, allowed, _counts(repeats, rng), _counts(examples, rng), _counts(classes, rng))
        for _ in range(bootstrap)
    ]
    low, high = np.nanquantile(drawn, [0.025, 0.975], axis=0)
    return tuple(Interval(*ends) for ends in zip(value, low, high, strict=True))


def _rescue(own, control, allowed, of_repeats, of_examples, of_classes) -> np.ndarray:
    """(own, control, difference), weighted; examples without any allowed control are left out."""
    shares = allowed * of_classes[:, None]
    total = shares.sum(0)
    of_examples = of_examples * (total > 0)
    if not of_examples.any():
        return np.full(3, np.nan)
    shares = shares / np.where(total > 0, total, 1)
    weight = of_repeats.sum() * of_examples.sum()
    mine = of_repeats @ own @ of_examples / weight
    random = of_repeats @ (control * shares[:, None]).sum(0) @ of_examples / weight
    return np.array([mine, random, mine - random])


def _counts(n: int, rng: np.random.Generator) -> np.ndarray:
    """How often each of n units is drawn in the next replicate, float64[n]."""
    return bootstrap_counts(n, 1, rng)[0].astype(np.float64)


def write_without(
    out: store.Writer,
    changes: Changes,
    memory: np.ndarray,
    overlap: np.ndarray,
    bootstrap: int,
    rng: np.random.Generator,
) -> None:
    """Store under `without/` what leaving out each class changes on all images, and on those it distracts.

    Args:
        memory: int64[examples of the changes], the top memory of each image (-1 for none).
        overlap: bool[source classes, target classes] of the same meaning.
    """
    distracting, random = changes.only("distracting"), changes.only("random")
    out.strings("without/kinds", changes.kinds, ["left out"], "distracting, or random as a control")
    out.array("without/classes", changes.classes, ["left out"], "source class that the models did not see")
    out.array("without/repeats", np.int64(changes.change["margin"].shape[1]), [], "models a class, in pairs")
    owners = [memory == c for c in changes.classes[distracting]]
    owners.append(np.isin(memory, changes.classes[distracting]))  # all together
    out.array("without/own_examples", np.sum(owners, 1), ["own"], "images whose top memory was left out")
    allowed = ~overlap[changes.classes[random]][:, changes.labels]
    index = {c: j for j, c in zip(distracting, changes.classes[distracting], strict=True)}
    for output, values in changes.change.items():
        units = stored.UNITS.get(output, "share")
        whole = overall_change(values, bootstrap, rng)
        _write(out, f"without/{output}/change", whole, ["left out"], "change on all images", units)
        found = []
        for members in owners:
            chosen = np.flatnonzero(members)
            own = np.array([values[index[memory[i]], :, i] for i in chosen]).T
            if not len(chosen):
                found.append((Interval(*[np.nan] * 3),) * 3)
                continue
            found.append(rescue(own, values[random][..., chosen], allowed[:, chosen], bootstrap, rng))
        for name, of_name, meaning in zip(
            ("own", "control", "more"),
            zip(*found, strict=True),
            (
                "change on the images whose top memory was left out",
                "change on these when a random class is left out",
                "the former minus the latter",
            ),
            strict=True,
        ):
            stacked = Interval(
                *(np.array([getattr(i, k) for i in of_name]) for k in ("value", "low", "high"))
            )
            meaning += " (each distracting class, then all)"
            _write(out, f"without/{output}/{name}", stacked, ["own"], meaning, units)


def _write(out: store.Writer, name: str, found: Interval, dims: list[str], meaning: str, units: str) -> None:
    out.array(name, found.value, dims, meaning, units)
    out.array(f"{name}_low", found.low, dims, f"{meaning}: lower end of 95 %", units)
    out.array(f"{name}_high", found.high, dims, f"{meaning}: upper end of 95 %", units)
