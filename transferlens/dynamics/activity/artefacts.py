"""What networks make of probe images, layer by layer, as it is stored."""

import numpy as np

from transferlens.core.artefacts import Artefact, Field
from transferlens.core.studies import ROW_FIELDS

STEP_FIELD = Field(
    "step", ("step",), np.int64, "optimiser steps taken by then; the last is the adapted model itself"
)
LAYER_FIELD = Field("layer", ("layer",), str, "path in the network, in depth order")

ACTIVITY = Artefact(
    kind="activity",
    path="studies/{study}/activity/{target}/{recipe}/{dataset}/{shard}.h5",
    fields=(
        *ROW_FIELDS,
        STEP_FIELD,
        LAYER_FIELD,
        Field("channel_layer", ("channel",), np.int64, "position of the layer of each channel"),
        Field("example", ("example",), str, "probe image, batch after batch"),
        Field("example_class", ("example",), str, "its class"),
        Field(
            "gram",
            ("model", "layer", "step", "batch", "pair"),
            np.float32,
            "U-centred Gram matrix of the images of a batch, by their whole maps: its upper triangle times "
            "the square root of 2, so that products of rows are those of matrices",
        ),
        Field("input_gram", ("batch", "pair"), np.float32, "likewise of the images' own pixels"),
        Field("accuracy", ("model", "step"), np.float64, "share of the target's probe images", optional=True),
        Field(
            "pooled",
            ("model", "step", "example", "channel"),
            np.float32,
            "mean over cells of a channel; where a layer has no cells, its output",
        ),
        Field("state", ("model", "step"), str, "SHA-256 of the network's state"),
    ),
    attributes={
        "code": "fingerprint of the code that made it",
        "images": "what decides the probe images as networks see them",
    },
)
