"""Two or more results folders side by side, each against the first: a page, a table, and what to print."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from transferlens.core import files
from transferlens.core.errors import ConfigError
from transferlens.operations.compared import (
    agreement,
    differences,
    estimates,
    folders,
    page,
    settings,
    shared,
)
from transferlens.operations.compared.agreement import Agreement
from transferlens.operations.compared.folders import Folder

PAGE, TABLE = "index.html", "differences.csv"


@dataclass(frozen=True)
class Adaptation:
    """What two folders say of a target and recipe.

    Attributes:
        tables: of every quantity that both have (`differences.table`).
        lacking: quantities that one lacks, by the letter of the folder.
        examples: evaluation examples that both have, and those of the first; None where unknown.
    """

    target: str
    recipe: str
    tables: dict[str, pd.DataFrame]
    lacking: list[tuple[str, str]]
    agreement: Agreement | None
    shares: bool
    examples: tuple[int, int] | None


@dataclass(frozen=True)
class Pair:
    """A folder against the first."""

    first: Folder
    second: Folder
    settings: pd.DataFrame
    lacking: pd.DataFrame
    adaptations: list[Adaptation]


def compare(paths: Sequence[Path], out: Path) -> str:
    """Write the page and the table of a comparison to the folder `out`; returns what to tell in a terminal.

    Raises:
        ConfigError: see `folders.open_folders` and `folders.refuse_place`; or nothing to compare.
        ArtefactError: a folder or file that cannot be read.
    """
    opened = folders.open_folders(paths)
    folders.refuse_place(out, opened)
    pairs = [_pair(opened[0], other) for other in opened[1:]]
    for pair in pairs:
        if not any(adaptation.tables for adaptation in pair.adaptations):
            raise ConfigError(
                f"{pair.second.results.folder}: has no estimate in common with {pair.first.results.folder}; "
                "compare runs with the same target and recipe"
            )
    out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as pictures:
        page.write(out / PAGE, opened, pairs, Path(pictures))
    with files.replace_file(out / TABLE) as temporary:
        _long(pairs).to_csv(temporary, index=False)
    return "\n".join([*(line for pair in pairs for line in _told(pair)), f"{out / PAGE}, {out / TABLE}"])


def _pair(first: Folder, second: Folder) -> Pair:
    common = sorted(estimates.adaptations(first) & estimates.adaptations(second))
    adaptations = [_adaptation(first, second, *names) for names in common]
    return Pair(
        first, second, settings.differing(first, second), settings.lacking(first, second), adaptations
    )


def _adaptation(first: Folder, second: Folder, target: str, recipe: str) -> Adaptation:
    one, other = (
        {quantity.name: quantity for quantity in estimates.quantities(folder, target, recipe)}
        for folder in (first, second)
    )
    paired = shared.paired_influences(first, second, target, recipe)
    tables = {}
    for name in one.keys() & other.keys():
        sharing = shared.of_studies(first, second, one[name].studies, paired)
        table = differences.table(one[name], other[name], sharing)
        if len(table):
            tables[name] = table
    tables = {name: tables[name] for name in one if name in tables}
    lacking = [(second.letter, name) for name in one if name not in other]
    lacking += [(first.letter, name) for name in other if name not in one]
    reliabilities = tuple(found.get(estimates.RELIABILITY) for found in (one, other))
    influences = f"influence/{target}/{recipe}.h5"
    both = first.has(influences) and second.has(influences)
    agrees = agreement.agreement(first, second, target, recipe, reliabilities) if both else None
    shares = not shared.of_studies(first, second, (estimates.INFLUENCE,)).none
    examples = _examples(first, second, target, recipe) if both else None
    return Adaptation(target, recipe, tables, lacking, agrees, shares, examples)


def _examples(first: Folder, second: Folder, target: str, recipe: str) -> tuple[int, int]:
    ids = [set(f.results.influence(target, recipe).example.values.tolist()) for f in (first, second)]
    return len(ids[0] & ids[1]), len(ids[0])


def _long(pairs: Sequence[Pair]) -> pd.DataFrame:
    """All differences as one table."""
    parts = []
    for pair in pairs:
        for adaptation in pair.adaptations:
            for name, table in adaptation.tables.items():
                part = table.copy()
                named = {
                    "first": str(pair.first.results.folder),
                    "second": str(pair.second.results.folder),
                    "target": adaptation.target,
                    "recipe": adaptation.recipe,
                    "quantity": name,
                }
                for place, (column, value) in enumerate(named.items()):
                    part.insert(place, column, value)
                parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _told(pair: Pair) -> list[str]:
    """A few lines on a pair."""
    lines = [
        f"{pair.second.results.folder} minus {pair.first.results.folder}: "
        f"{pair.settings.setting.nunique()} settings differ; "
        f"{len(pair.lacking)} kinds of results are only in one"
    ]
    for adaptation in pair.adaptations:
        for name, table in adaptation.tables.items():
            lines.append(f"  {adaptation.target} {adaptation.recipe}: {name}: {page.summary(table)}")
        if adaptation.agreement:
            lines.append(f"    {page.agreement_text(adaptation)}")
    return lines
