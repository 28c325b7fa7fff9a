"""What models say of target examples, as other rooms and people read it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from transferlens.core import artefacts, labelled
from transferlens.training import outputs as stored
from transferlens.training.artefacts import OUTPUTS, SUMMARY

if TYPE_CHECKING:
    import xarray as xr


def read_outputs(path: Path, outputs: Sequence[str]) -> "xr.Dataset":
    """A summary with the named outputs of every model on every example (model, example).

    Outputs that a summary does not store follow from those it does.
    """
    with artefacts.open(path, SUMMARY) as file:
        values = {name: (("model", "example"), stored.Output(file, name)[:]) for name in outputs}
    rest = labelled.read(path, SUMMARY)
    return rest.drop_vars([name for name in OUTPUTS if name in rest]).assign(values)
