"""The read API for people: a results folder as labelled xarray data sets.

>>> from transferlens import open_results
>>> results = open_results("results")
>>> results.influence("optdigits", "fixed").effect.sel(source_class="digit 3").mean("example")
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from transferlens.capabilities import CAPABILITIES
from transferlens.core import labelled
from transferlens.core.artefacts import Artefact
from transferlens.core.errors import ArtefactError, nearest
from transferlens.data.index import Index, read_index
from transferlens.training.artefacts import OUTPUTS, SUMMARY, TRAINING_RECORDS
from transferlens.training.reading import read_outputs

if TYPE_CHECKING:
    import xarray as xr

_OF_METHOD = {a.method: a for c in CAPABILITIES for step in c.steps for a in step.artefacts}


class Results:
    """A results folder. Every kind of artefact has a method that returns it as an `xarray.Dataset`.

    `results.influence("optdigits", "fixed")` opens `influence/optdigits/fixed.h5`: the arguments are those of
    the file's path, in order. `dir(results)` lists the methods; `help(results.influence)` tells what is in
    a file.
    Methods written out below join several files, or complete what one file implies.

    Raises:
        ArtefactError: the folder or the file asked for is missing, damaged, or of another version.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise ArtefactError(f"{folder}: no such results folder; run snakemake to make it")

    def __getattr__(self, name: str) -> Callable[..., "xr.Dataset"]:
        if name not in _OF_METHOD:
            raise AttributeError(f"results have no '{name}'" + nearest(name, list(_OF_METHOD)))
        return self._reader(_OF_METHOD[name])

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *_OF_METHOD})

    def _reader(self, artefact: Artefact) -> Callable[..., "xr.Dataset"]:
        """A method that reads a kind of artefact by the wildcards of its path."""
        keyword = artefact.choose[0] if artefact.choose else None

        def read(*values: str, **named: str) -> "xr.Dataset":
            group = named.pop(keyword, "") if keyword else ""
            if keyword and len(values) > len(artefact.wildcards):
                *values, group = values
            return labelled.read(self.path(artefact, *values, **named), artefact, group)

        read.__name__, read.__doc__ = artefact.method, described(artefact)
        return read

    def path(self, artefact: Artefact, *values: str, **named: str) -> Path:
        """Where the artefact of these wildcards lies.

        Raises:
            ArtefactError: it is not there; naming the nearest one that is.
        """
        wildcards = dict(zip(artefact.wildcards, values, strict=False)) | named
        if sorted(wildcards) != sorted(artefact.wildcards):
            raise TypeError(f"{artefact.method}: give {', '.join(artefact.wildcards)}")
        inside = artefact.path.format(**wildcards)
        if not (self.folder / inside).exists():
            made = [path for path, _ in self._made(artefact)]
            near = nearest(inside, made) if made else "; run snakemake to make it"
            raise ArtefactError(f"{self.folder / inside}: no such file" + near)
        return self.folder / inside

    def _made(self, artefact: Artefact) -> list[tuple[str, dict[str, str]]]:
        """(path in the folder, wildcards) of every artefact of a kind."""
        pattern, top = artefact.pattern, self.folder / artefact.path.split("{")[0].rpartition("/")[0]
        made = []
        for path in sorted(top.rglob("*.h5")):
            inside = path.relative_to(self.folder).as_posix()
            if (match := pattern.search(inside)) and match["place"] == inside:
                made.append((inside, {k: v for k, v in match.groupdict().items() if k != "place"}))
        return made

    @property
    def adaptations(self) -> list[tuple[str, str]]:
        """(target, recipe) of every influence that was estimated."""
        return [(w["target"], w["recipe"]) for _, w in self._made(_OF_METHOD["influence"])]

    @property
    def studies(self) -> list[str]:
        """Names of the studies."""
        return list(dict.fromkeys(w["study"] for _, w in self._made(TRAINING_RECORDS)))

    def summary(
        self, study: str, target: str, recipe: str, outputs: Sequence[str] = tuple(OUTPUTS)
    ) -> "xr.Dataset":
        """Masks, accuracies and the named outputs of every model of a study on every target example.

        The outputs that a summary does not store follow from those it does.
        """
        return read_outputs(self.path(SUMMARY, study, target, recipe), outputs)

    def source_models(self, study: str) -> "xr.Dataset":
        """Masks, accuracies and training logs of all models of a study (not their weights)."""
        import xarray as xr

        paths = [self.folder / p for p, w in self._made(TRAINING_RECORDS) if w["study"] == study]
        if not paths:
            raise ArtefactError(
                f"{self.folder}: no source models of '{study}'" + nearest(study, self.studies)
            )
        return xr.concat(
            [labelled.read(path, TRAINING_RECORDS) for path in paths], dim="model", data_vars="minimal"
        )

    def memories(self, target: str, recipe: str) -> "xr.Dataset":
        """What models adapted by a recipe still see of source classes, and what that does to them.

        Joins `memory_probes` and `interference`: variables of both; where a source class was not tried with
        composites, estimates are NaN, counts 0 and flags false.
        """
        probes, interference = self.memory_probes(target, recipe), self.interference(target, recipe)
        told = {key: probes.attrs.get(key) or interference.attrs.get(key, "") for key in ("note", "skipped")}
        none = {name: v.dtype.type(0) for name, v in interference.items() if v.dtype.kind in "bi"}
        tried = interference.rename(tried_class="source_class")
        tried = tried.reindex(source_class=probes.source_class, fill_value=none)
        return probes.merge(tried, compat="override", join="exact").assign_attrs(told)

    def dataset(self, name: str) -> Index:
        """The index of a data set: classes, and the examples of its splits."""
        return read_index(self.folder / "data" / name / "index.h5")


def described(artefact: Artefact) -> str:
    """What an artefact holds, for `help`."""
    lines = [f"{artefact.kind}, by {', '.join(artefact.wildcards)}.", ""]
    for field in artefact.fields:
        units = f" [{field.units}]" if field.units else ""
        lines.append(f"{field.name.removeprefix('*/')} ({', '.join(field.dims)}): {field.meaning}{units}")
    lines += [f"attribute {name}: {meaning}" for name, meaning in (artefact.attributes or {}).items()]
    return "\n".join(lines)


def open_results(folder: str | Path = "results") -> Results:
    """Open a results folder for reading."""
    return Results(folder)
