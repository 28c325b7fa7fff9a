"""What colours are stored as."""

from transferlens.core.artefacts import Artefact, estimate
from transferlens.data.artefacts import EXAMPLE_FIELDS

COLOURS = Artefact(
    kind="colours",
    path="colours/{target}/{recipe}.h5",
    fields=(
        *EXAMPLE_FIELDS,
        *estimate("confidence", ("half",), "mean probability of the true class", "low high"),
    ),
    attributes={"weight": "what was multiplied"},
)
