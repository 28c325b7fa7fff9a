"""The read API for people: a results folder as labelled xarray data sets.

>>> from transferlens import open_results
>>> results = open_results("results")
>>> results.influence("optdigits", "fixed").effect.sel(source_class="digit 3").mean("example")
"""

import os
from collections.abc import Callable, Sequence
from inspect import Parameter, Signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from transferlens.capabilities import CAPABILITIES
from transferlens.core import artefacts, labelled
from transferlens.core.artefacts import RESULTS, Artefact
from transferlens.core.errors import ArtefactError, nearest
from transferlens.core.studies import MASKS
from transferlens.data.artefacts import INDEX
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
        TypeError: other arguments than a method takes.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        if (self.folder / RESULTS).is_dir():
            raise ArtefactError(f"{folder}: holds a results folder; did you mean '{self.folder / RESULTS}'?")
        if self.folder.exists() and not self.folder.is_dir():
            raise ArtefactError(f"{folder}: is a file; give the results folder that it is in")
        if not self.folder.is_dir():
            raise ArtefactError(f"{folder}: no such results folder; run snakemake to make it")
        artefacts.refuse_other_versions(self.folder)

    def __getattr__(self, name: str) -> Callable[..., "xr.Dataset"]:
        if name not in _OF_METHOD:
            raise AttributeError(f"results have no '{name}'" + nearest(name, list(_OF_METHOD)))
        return self._reader(_OF_METHOD[name])

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *_OF_METHOD})

    def _reader(self, artefact: Artefact) -> Callable[..., "xr.Dataset"]:
        """A method that reads a kind of artefact by the wildcards of its path."""
        keyword = artefact.choose[0] if artefact.choose else None
        signature = _signature([*artefact.wildcards], keyword)

        def read(*values: str, **named: str) -> "xr.Dataset":
            given = _bound(artefact.method, signature, values, named)
            group = given.pop(keyword) if keyword else ""
            return labelled.read(self.path(artefact, **given), artefact, group)

        read.__name__, read.__doc__, read.__signature__ = artefact.method, described(artefact), signature
        return read

    def path(self, artefact: Artefact, *values: str, **named: str) -> Path:
        """Where the artefact of these wildcards lies.

        Raises:
            ArtefactError: it is not there; naming the nearest one that is.
            TypeError: other arguments than its wildcards.
        """
        wildcards = _bound(artefact.method, _signature(artefact.wildcards), values, named)
        inside = artefact.path.format(**wildcards)
        if not (_are_names(wildcards) and os.path.exists(self.folder / inside)):
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

        Raises:
            ArtefactError: also of an output that there is not.
        """
        if isinstance(outputs, str):
            raise TypeError(f"summary: outputs is '{outputs}'; give a list of names")
        for name in outputs:
            if name not in OUTPUTS:
                raise ArtefactError(f"summary: no output '{name}'" + nearest(str(name), list(OUTPUTS)))
        return read_outputs(self.path(SUMMARY, study, target, recipe), outputs)

    def source_models(self, study: str, *, partial: bool = False) -> "xr.Dataset":
        """Masks, accuracies and training logs of all models of a study (not their weights).

        Args:
            partial: whether those that are there will do, as of a study that is still being trained.

        Raises:
            ArtefactError: also where models are missing that the study has.
        """
        import xarray as xr

        paths = self._of_study(TRAINING_RECORDS, study)
        if not paths:
            known = self.studies
            near = nearest(study, known) if known else "; run snakemake to train some"
            raise ArtefactError(f"{self.folder}: no source models of '{study}'" + near)
        parts = [labelled.read(path, TRAINING_RECORDS) for path in paths.values()]
        models = xr.concat(parts, dim="model", data_vars="minimal")
        if not partial:
            self._require_all(study, models["model"].values)
        return models

    def _of_study(self, artefact: Artefact, study: str) -> dict[str, Path]:
        """The files of a kind that a study has, by their last wildcard."""
        made = [(path, wildcards) for path, wildcards in self._made(artefact) if wildcards["study"] == study]
        return {wildcards[artefact.wildcards[-1]]: self.folder / path for path, wildcards in made}

    def _require_all(self, study: str, found: np.ndarray) -> None:
        """Refuse a study of whose rows some are missing: its masks and summaries tell which it has.

        Args:
            found: int64[models], row numbers.
        """
        drawn = {shard: _rows(path, MASKS) for shard, path in self._of_study(MASKS, study).items()}
        transferred = [_rows(path, SUMMARY) for path in self._of_study(SUMMARY, study).values()]
        known = np.unique(np.concatenate([np.arange(found.max() + 1), *drawn.values(), *transferred]))
        missing = np.setdiff1d(known, found)
        if len(missing):
            shards = [shard for shard, rows in drawn.items() if np.isin(rows, missing).any()]
            told = f" (shard {', '.join(shards)})" if shards else ""
            raise ArtefactError(
                f"{self.folder}: of the {len(known)} models of study '{study}' {len(missing)} are missing, "
                f"from row {missing[0]} on{told}; run snakemake to train them, or take those that are there: "
                f"source_models('{study}', partial=True)"
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
        return read_index(self.path(INDEX, name))


def _signature(wanted: Sequence[str], optional: str | None = None) -> Signature:
    """Of a method that takes these arguments, and one that has a default of its own."""
    parameters = [Parameter(name, Parameter.POSITIONAL_OR_KEYWORD) for name in wanted]
    if optional:
        parameters.append(Parameter(optional, Parameter.POSITIONAL_OR_KEYWORD, default=""))
    return Signature(parameters)


def _bound(method: str, signature: Signature, values: Sequence[Any], named: dict[str, Any]) -> dict[str, str]:
    """The arguments of a method by name.

    Raises:
        TypeError: too many, too few, one given twice, unknown, or no text.
    """
    wanted = ", ".join(signature.parameters)
    try:
        bound = signature.bind(*values, **named)
    except TypeError as error:
        raise TypeError(f"{method}: {error}; give {wanted}") from None
    bound.apply_defaults()
    for name, value in bound.arguments.items():
        if not isinstance(value, str):
            raise TypeError(f"{method}: {name} is {value!r:.80}, no text; give {wanted}")
    return bound.arguments


def _are_names(wildcards: dict[str, str]) -> bool:
    """Whether wildcards are names, and no ways to other folders; that of a study may hold slashes."""
    parts = [
        part for name, value in wildcards.items() for part in value.split("/" if name == "study" else "\0")
    ]
    return not any(part in ("", ".", "..") or "/" in part for part in parts)


def _rows(path: Path, artefact: Artefact) -> np.ndarray:
    """Row numbers int64[models] of an artefact."""
    with artefacts.open(path, artefact) as file:
        return file["model"][:]


def described(artefact: Artefact) -> str:
    """What an artefact holds, for `help`."""
    lines = [f"{artefact.kind}, by {', '.join(artefact.wildcards)}.", ""]
    for field in artefact.fields:
        units = f" [{field.units}]" if field.units else ""
        lines.append(f"* {field.name.removeprefix('*/')} ({', '.join(field.dims)}): {field.meaning}{units}")
    lines += [f"* attribute {name}: {meaning}" for name, meaning in (artefact.attributes or {}).items()]
    return "\n".join(lines)


def open_results(folder: str | Path = "results") -> Results:
    """Open a results folder for reading."""
    return Results(folder)
