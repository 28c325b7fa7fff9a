"""A finished run as a Workflow Run RO-Crate: workflow, configuration, results, checksums, versions, times."""

import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transferlens.core import artefacts, digests, files
from transferlens.core.artefacts import RESULTS
from transferlens.core.errors import ArtefactError, SetupError
from transferlens.operations.folders import new_folder
from transferlens.results import open_results

if TYPE_CHECKING:
    from rocrate.model.computationalworkflow import ComputationalWorkflow
    from rocrate.model.data_entity import DataEntity
    from rocrate.rocrate import ROCrate

PROFILES = (
    "https://w3id.org/ro/wfrun/process/0.5",
    "https://w3id.org/ro/wfrun/workflow/0.5",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0",
)
_TERMS = "https://w3id.org/ro/terms/workflow-run/context"
_NO_LICENCE = "No licence was stated by whoever packed this crate."
_RECORD = "artefacts.json"
_ABOUT_RECORD = {
    "name": "provenance of every artefact",
    "description": "Settings, inputs, libraries, device, seed, time and SHA-256 of every HDF5 file.",
    "encodingFormat": "application/json",
}
_KINDS = {".html": "text/html", ".csv": "text/csv", ".png": "image/png", ".svg": "image/svg+xml"}
# What an artefact says of its making.
_SAID = ("kind", "created", "device", "seed", "transferlens_version", "git_commit")


def write_crate(
    results: Path,
    out: Path,
    configuration: Sequence[Path] = (),
    licence: str = _NO_LICENCE,
    with_data: bool = False,
) -> int:
    """Pack a finished run; returns how many of its result files are in the crate.

    Args:
        out: a new folder, or a new .zip file.
        configuration: the files that the run was configured with: results do not tell.
        with_data: whether the HDF5 files are in it, too; else only their checksums.

    Raises:
        ArtefactError: no finished run, a file that is not as it was made, or `out` is there.
        SetupError: the library rocrate is not installed.
    """
    try:
        from rocrate.rocrate import ROCrate
    except ImportError as error:
        raise SetupError("crates need the library rocrate: pip install 'transferlens[crate]'") from error
    if out.exists() and out.suffix == ".zip":
        raise ArtefactError(f"{out}: is there already; name a new file, or remove it first")
    results = open_results(results).folder
    project = results.absolute().parent
    for needed in (results / "report/index.html", project / "Snakefile"):
        if not needed.is_file():
            raise ArtefactError(f"{needed}: no such file; give the results folder of a finished run")
    for given in configuration:
        if not given.is_file():
            raise ArtefactError(f"--configuration: {given}: no such file; correct its name")
    crate = ROCrate(version="1.1")  # which the profiles stand on
    with tempfile.TemporaryDirectory() as place:
        record = _record(results)
        (Path(place) / _RECORD).write_text(json.dumps(record, indent=1), encoding="utf-8")
        versions = sorted({said["transferlens_version"] for said in record.values()})
        times = [said["created"] for said in record.values()]
        workflow = _add_workflow(crate, project, ", ".join(versions))
        objects = [
            crate.add_file(path, f"configuration/{i}-{path.name}", properties={"name": f"configuration {i}"})
            for i, path in enumerate(configuration, 1)
        ]
        made = [
            crate.add_file(path, f"{RESULTS}/{inside}", properties=properties)
            for path, inside, properties in _results(results, with_data, record)
        ]
        provenance = crate.add_file(Path(place) / _RECORD, _RECORD, properties=_ABOUT_RECORD)
        _add_run(crate, workflow, times, objects, [*made, provenance])
        _describe(crate, licence, max(times))
        _write(crate, out)
    return len(made)


def _add_workflow(crate: "ROCrate", project: Path, version: str) -> "ComputationalWorkflow":
    """Add the Snakefile, and the files that it includes as its parts."""
    workflow = crate.add_workflow(
        project / "Snakefile",
        "Snakefile",
        main=True,
        lang="snakemake",
        properties={"name": "Transferlens", "version": version},
    )
    # The Snakefile above includes one of the same name.
    included = sorted(
        path
        for path in (project / "workflow").rglob("*")
        if path.name == "Snakefile" or path.suffix == ".smk"
    )
    parts = [crate.add_file(path, path.relative_to(project).as_posix()) for path in included]
    if parts:
        workflow["hasPart"] = parts
    return workflow


def _add_run(
    crate: "ROCrate",
    workflow: "ComputationalWorkflow",
    times: list[str],
    objects: "list[DataEntity]",
    results: "list[DataEntity]",
) -> None:
    """Add the run of a workflow, which made results from objects; the times are those of its artefacts."""
    crate.add_action(
        workflow,
        "#run",
        object=objects,
        result=results,
        properties={
            "name": "a run of Transferlens",
            "description": "startTime is when the first stored artefact was finished, endTime the last: when "
            "the run itself was started is not recorded. Several invocations may lie between.",
            "startTime": min(times),
            "endTime": max(times),
            "actionStatus": "http://schema.org/CompletedActionStatus",
        },
    )


def _results(
    results: Path, with_data: bool, record: dict[str, dict[str, Any]]
) -> Iterator[tuple[Path, str, dict[str, str]]]:
    """(file, place in the results, properties) of pages, tables and pictures, and of HDF5 files.

    Raises:
        ArtefactError: a file that is not as it was made.
    """
    recorded = sorted((results / digests.FOLDER).rglob("*.sha256"))
    for path in recorded:
        inside = path.relative_to(results / digests.FOLDER).as_posix().removesuffix(".sha256")
        expected = digests.read(results, inside)
        if not (results / inside).is_file() or files.sha256(results / inside) != expected:
            raise ArtefactError(
                f"{results / inside}: missing, or changed since it was made; delete it and {path}, "
                "and run snakemake again"
            )
        kind = _KINDS.get(path.with_suffix("").suffix, "application/octet-stream")
        yield results / inside, inside, {"sha256": expected, "encodingFormat": kind}
    for inside, said in record.items() if with_data else ():
        yield results / inside, inside, {"sha256": said["sha256"], "encodingFormat": "application/x-hdf5"}


def _record(results: Path) -> dict[str, dict[str, Any]]:
    """What every artefact says of its making, by its place in the results."""
    record = {}
    for path in sorted(results.rglob("[!.]*.h5")):
        with artefacts.open(path) as file:
            said = {name: file.attrs[name] for name in _SAID if name in file.attrs}
            record[path.relative_to(results).as_posix()] = {
                **{name: value if isinstance(value, str) else int(value) for name, value in said.items()},
                "settings": artefacts.settings_of(file),
                "inputs": artefacts.inputs_of(file),
                "software": json.loads(file.attrs["software"]),
                "sha256": files.sha256(path),
            }
    if not record:
        raise ArtefactError(f"{results}: holds no artefacts; a crate is made of a finished run")
    return record


def _describe(crate: "ROCrate", licence: str, published: str) -> None:
    """What the crate as a whole says of itself."""
    from rocrate.model.contextentity import ContextEntity

    root, titles = crate.root_dataset, ("Process Run Crate", "Workflow Run Crate", "Workflow RO-Crate")
    root["conformsTo"] = [
        crate.add(
            ContextEntity(
                crate,
                profile,
                {"@type": "CreativeWork", "name": title, "version": profile.split("/")[-1]},
            )
        )
        for profile, title in zip(PROFILES, titles, strict=True)
    ]
    crate.name = "A run of Transferlens"
    crate.description = "What fine-tuned vision models carry from their source data: workflow and results."
    crate.license = licence
    root["datePublished"] = published
    root["mentions"] = [crate.get("#run")]
    crate.metadata.extra_contexts.append(_TERMS)


def _write(crate: "ROCrate", out: Path) -> None:
    if out.suffix == ".zip":
        with files.replace_file(out) as temporary:
            whole = temporary.with_suffix(".zip")  # the ending that rocrate gives it
            try:
                crate.write_zip(whole)
                whole.replace(temporary)
            finally:
                whole.unlink(missing_ok=True)
    else:
        with new_folder(out) as folder:
            crate.write(folder)
