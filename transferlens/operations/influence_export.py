"""The influences of an adaptation as CSV and NetCDF, with a card that tells what they are."""

import json
from pathlib import Path

import pandas as pd
import xarray as xr

from transferlens import __version__
from transferlens.core import files, labelled
from transferlens.influence import tables
from transferlens.operations.folders import new_folder
from transferlens.results import open_results

NETCDF = "influence.nc"
_COLUMNS = "effect, its standard error, the ends of its 95 % interval (low, high), Benjamini-Hochberg q-value"
_CARD = """# Influences of source classes on {target}, adapted by {recipe}

What every source class (or group, or block of source images: the units of the masks) adds to outputs of
models that were made from subsets of the source and then adapted to the target `{target}` by the recipe
`{recipe}`.

| file | what it holds |
|---|---|
| `overall_influence.csv` | influence on the mean output of a half of the target examples: {columns} |
| `class_influence.csv` | the same on the mean output of each target class |
| `example_influence.csv` | influence on the output of each target example: effect and standard error |
| `{netcdf}` | NetCDF-4, a group for every output: all variables of the artefact, each with its `meaning` |

- Outputs: {outputs}. Estimator: `{estimator}`.
- Models: {models} that saw or did not see a unit. Units: {units}. Target examples: {examples}, in halves
  `select` and `report`: what was chosen on the first is to be reported on the second.
- Intervals are of the estimator's error over models; they are not simultaneous over cells. An influence is
  one of *these* models and data: of networks of this architecture and training, on this target.
- Made {created} by Transferlens {made_by} (commit {commit}), seed {seed}, on {device}; exported by
  Transferlens {exported_by}.
- Libraries: {software}.
- Licence: this card claims none for the numbers, nor for the images and weights that they come from, whose
  own terms hold.
- To cite: Transferlens, version {made_by} (CITATION.cff of its source names it and the papers of the
  methods).

Settings of the estimate:

```json
{settings}
```

SHA-256 of the files that it was made from:

```json
{inputs}
```
"""


def export_influence(results: Path, target: str, recipe: str, out: Path) -> list[str]:
    """Write the influences of an adaptation into a new folder; returns the names of its files.

    Raises:
        ArtefactError: there are none, or the folder is there.
    """
    opened = open_results(results)
    first = opened.influence(target, recipe)
    outputs = labelled.settings(first)["outputs"]
    by_output = {output: opened.influence(target, recipe, output) for output in outputs}
    with new_folder(out) as folder:
        for name, table in (
            ("overall_influence", tables.overall_table),
            ("class_influence", tables.class_table),
            ("example_influence", _example_table),
        ):
            parts = [table(part).assign(output=output) for output, part in by_output.items()]
            whole = pd.concat(parts)
            files.write_csv(folder / f"{name}.csv", whole[["output", *whole.columns.drop("output")]])
        for output, part in by_output.items():
            part.to_netcdf(folder / NETCDF, mode="a", group=output, engine="h5netcdf")
        (folder / "README.md").write_text(_card(first, target, recipe), encoding="utf-8")
        return sorted(path.name for path in folder.iterdir())


def _example_table(influence: xr.Dataset) -> pd.DataFrame:
    """One row for every target example and source class."""
    table = influence[["effect", "effect_se"]].to_dataframe().reset_index()
    return table.rename(columns={"effect_se": "se"})[["example", "source_class", "effect", "se"]]


def _card(influence: xr.Dataset, target: str, recipe: str) -> str:
    said, settings = influence.attrs, labelled.settings(influence)
    models = (influence.n_in + influence.n_out).values
    return _CARD.format(
        target=target,
        recipe=recipe,
        netcdf=NETCDF,
        columns=_COLUMNS,
        outputs=", ".join(f"`{output}`" for output in settings["outputs"]),
        estimator=settings["estimator"],
        models=f"{models.min()}" if models.min() == models.max() else f"{models.min()} to {models.max()}",
        units=influence.sizes["source_class"],
        examples=influence.sizes["example"],
        created=said["created"],
        made_by=said["transferlens_version"],
        exported_by=__version__,
        commit=said["git_commit"] or "unknown",
        seed=said.get("seed", "unknown"),
        device=said["device"],
        software=", ".join(f"{name} {version}" for name, version in json.loads(said["software"]).items()),
        settings=json.dumps(settings, indent=2),
        inputs=json.dumps(json.loads(said["inputs"]), indent=2),
    )
