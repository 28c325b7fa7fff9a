"""What influence maps are stored as."""

from collections.abc import Iterator

import numpy as np

from transferlens.core.artefacts import Artefact, Field, estimate

# Times that masks are given to other models, as a control.
PERMUTATIONS = 20
# Source classes that are shown of every target class.
CHOICES = ("helpful", "harmful")
_PARTS = {
    "map": "what the source class adds to the evidence for the true class, the bias left out",
    "logit_map": "what the source class adds to the evidence for the true class, the bias in every cell",
    "logit": "influence on the logit of the true class",
    "bias": "influence on the head's bias of the true class",
}
# q-values are over the source classes and cells of one example, or of one target class.
_Q = "logit_map"


def _effects(prefix: str, axis: str) -> tuple[Field, ...]:
    """Influences on the evidence in single examples, or in each model's mean map of a class."""
    fields = []
    for name, meaning in _PARTS.items():
        of_cells = name.endswith("map")
        dims = (axis, "source_class", "map_y", "map_x") if of_cells else (axis, "source_class")
        units = "logit units per cell" if of_cells else "logit units"
        parts = "se q" if name == _Q else "se"
        fields += estimate(f"{prefix}{name}_effect", dims, meaning, parts, np.float32, units=units)
    return tuple(fields)


def _shown(prefix: str, what: str) -> Iterator[Field]:
    """Influences of the chosen source classes, by models that did not choose them."""
    for name, of in (
        ("map", f"{what}, the bias in every cell"),
        ("logit", "its mean"),
        ("bias", "the head's bias"),
    ):
        dims = ("choice", "target_class", "map_y", "map_x")[: 4 if name == "map" else 2]
        meaning = f"influence of the chosen class on {of}, by the other models"
        yield from estimate(
            f"shown_{prefix}_{name}", dims, meaning, "se", np.float32, units="logit units", optional=True
        )


INFLUENCE_MAPS = Artefact(
    kind="influence maps",
    path="influence_maps/{target}/{recipe}.h5",
    fields=(
        Field("example", ("example",), str, "the data set's own example id"),
        Field("example_position", ("example",), np.int64, "position in the val split, report half"),
        Field("example_class", ("example",), str, "its true class"),
        Field("source_class", ("source_class",), str, "source class, or group of them"),
        Field("target_class", ("target_class",), str, "target class with probe examples"),
        *(
            Field(
                name,
                ("target_class",),
                str,
                f"the most {name} source class, by the choosing models",
                optional=True,
            )
            for name in CHOICES
        ),
        Field("choice", ("choice",), str, "which of the two source classes", optional=True),
        Field(
            "choosing_effect",
            ("choice", "target_class"),
            np.float32,
            "influence of the chosen class in the choosing models, select half",
            optional=True,
        ),
        *_shown("class", "each model's mean map of the target class"),
        *_shown("example", "the map of the target class's first probe example"),
        Field("image", ("example", "y", "x", "channel"), np.uint8, "input", "bytes"),
        *_effects("", "example"),
        *_effects("class_", "target_class"),
        Field(
            "permuted_share",
            ("permutation",),
            np.float64,
            "share of the cells of class_logit_map_effect with p < 0.05 if masks are given to other models",
        ),
    ),
    attributes={
        "models": "models of the influence study",
        "share": "share of the cells of class_logit_map_effect with p < 0.05",
        "chosen_by": "the output whose influences chose the helpful and harmful source classes",
        "showing_models": "models that did not choose, of which the chosen classes' maps are made",
        "shown_missing": "why no source class was chosen to be shown",
    },
)
