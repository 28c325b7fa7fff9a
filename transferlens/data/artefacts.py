"""What prepared data sets are stored as, and the columns that identify examples wherever they go."""

import h5py
import numpy as np

from transferlens.core import artefacts
from transferlens.core.artefacts import Artefact, Field

HALVES = ("select", "report")
# The end of the name of a hidden folder beside an FFCV file, with decoded copies that any job may make anew.
DECODED = ".decoded"


def _split_fields(split: str) -> tuple[Field, ...]:
    """The used images of a split, in the order of its FFCV file."""
    dims = (f"{split}_example",)
    return (
        Field(f"{split}_example", dims, str, "the data set's own example id"),
        Field(f"{split}_label", dims, np.int64, "position of the label in class"),
        Field(f"{split}_position", dims, np.int64, "place in the image set's split"),
        Field(f"{split}_size", (*dims, "side"), np.int64, "height and width of the original image", "pixels"),
        Field(f"{split}_half", dims, np.int8, "0 select, 1 report"),
        Field(f"{split}_own_class", dims, np.int64, "position of its class in own_class"),
    )


INDEX = Artefact(
    kind="dataset index",
    path="data/{dataset}/index.h5",
    fields=(
        Field("class", ("class",), str, "name of the class"),
        Field("class_group", ("class",), str, "coarser group of the class"),
        Field("own_class", ("own_class",), str, "class of the data set itself"),
        Field("skipped", ("skipped",), str, "ids of images that could not be decoded"),
        *_split_fields("train"),
        *_split_fields("val"),
    ),
    attributes={"data_set": "the name of the data set"},
)

MANIFEST = Artefact(
    kind="ffcv manifest",
    path="data/{dataset}/{split}.h5",
    fields=(),
    attributes={
        "bytes": "size of the FFCV file",
        "sha256": "its checksum",
        "examples": "images in it",
    },
)

# The columns that identify examples; of a target, with its classes.
EXAMPLE_COLUMNS = (
    Field("example", ("example",), str, "the data set's own example id"),
    Field("example_class", ("example",), str, "its true class"),
    Field("example_half", ("example",), str, "select: may be looked at; report: is only reported on"),
)
EXAMPLE_FIELDS = (
    *EXAMPLE_COLUMNS,
    Field("target_class", ("target_class",), str, "target class"),
    Field("half", ("half",), str, "half of the evaluation examples"),
)


def write_examples(
    out: artefacts.Writer, ids: list[str], labels: np.ndarray, halves: np.ndarray, class_names: list[str]
) -> None:
    """The columns that identify target examples with labels and halves int[examples], and its classes."""
    write_example_columns(out, ids, labels, halves, class_names)
    out.write("target_class", class_names)
    out.write("half", HALVES)


def write_example_columns(
    out: artefacts.Writer, ids: list[str], labels: np.ndarray, halves: np.ndarray, class_names: list[str]
) -> None:
    """The columns that identify examples with labels and halves int[examples]."""
    out.write("example", ids)
    out.write("example_class", np.array(class_names, dtype=object)[labels])
    out.write("example_half", np.array(HALVES, dtype=object)[halves])


def read_examples(file: h5py.File) -> tuple[list[str], np.ndarray, np.ndarray, list[str]]:
    """(ids, labels int64[examples], halves int8[examples], class names) of the examples of an artefact."""
    classes = artefacts.names(file["target_class"])
    return (
        artefacts.names(file["example"]),
        positions(artefacts.names(file["example_class"]), classes),
        positions(artefacts.names(file["example_half"]), HALVES).astype(np.int8),
        classes,
    )


def positions(values: list[str], among: list[str] | tuple[str, ...]) -> np.ndarray:
    """Where each value is in a list of names: int64[values]."""
    place = {name: i for i, name in enumerate(among)}
    return np.array([place[value] for value in values], dtype=np.int64)
