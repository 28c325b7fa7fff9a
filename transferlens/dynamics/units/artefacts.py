"""What is told of single units, as it is stored."""

import numpy as np

from transferlens.core.artefacts import Artefact, Field, estimate
from transferlens.dynamics.activity.artefacts import LAYER_FIELD, STEP_FIELD

_BY_STEP = ("step", "channel")
_TILES = ("tile_y", "tile_x", "colour")
_FIRST = "with the network before the first step"

UNITS = Artefact(
    kind="network units",
    path="dynamics/{target}/{recipe}/units.h5",
    fields=(
        STEP_FIELD,
        LAYER_FIELD,
        Field("field_size", ("layer", "axis"), np.int64, "largest receptive field: height, width", "pixels"),
        Field("mixed_by", ("layer",), str, "operations for which every cell sees the whole image, if any"),
        Field("displacement_chance", ("step", "layer"), np.float64, "displacement in two images", "pixels"),
        Field("channel_layer", ("channel",), np.int64, "position of the layer of each unit"),
        Field("channel_number", ("channel",), np.int64, "its place in the layer"),
        Field("dead", _BY_STEP, np.int8, "whether it has one value in all cells of all report images"),
        Field("drift", _BY_STEP, np.float64, f"1 minus its correlation over report images {_FIRST}"),
        Field("jaccard", _BY_STEP, np.float64, f"of the report images that move it most, {_FIRST}"),
        Field(
            "displacement", _BY_STEP, np.float64, f"of its peak, mean over report images, {_FIRST}", "pixels"
        ),
        Field(
            "same_unit",
            _BY_STEP,
            np.float64,
            "whether no unit now correlates more with what it was; by chance 1 of C",
        ),
        Field("filter_metric", ("filter_metric",), str, "similarity of two maps"),
        Field("comparison", ("comparison",), str, "what a unit's map of an image is compared with"),
        Field(
            "filter_unit", (*_BY_STEP, "filter_metric"), np.float64, f"of its maps {_FIRST}, mean over images"
        ),
        *estimate(
            "filter",
            ("step", "layer", "comparison", "filter_metric"),
            f"similarity of maps {_FIRST}; mean over units and images, interval over images",
            "low high",
        ),
        Field("shown_layer", ("shown",), np.int64, "position of the layer of a shown unit"),
        Field("shown_number", ("shown",), np.int64, "its place in the layer"),
        Field("shown_why", ("shown",), str, "why it is shown; chosen on the select half of the images"),
        Field("scale_low", ("shown",), np.float32, "what the darkest colour of its activation strips means"),
        Field("scale_high", ("shown",), np.float32, "what the lightest one does"),
        Field("activation_example", ("shown", "strip"), str, "image of an activation strip"),
        Field("activation_peak", ("shown", "strip", "step"), np.float32, "largest value of its map"),
        Field("activation_tile", ("shown", "strip", "step", *_TILES), np.uint8, "its map over the image"),
        Field("field_skipped", ("shown",), str, "why it has no field strip; empty where it has"),
        Field("field_images", ("shown", "step"), np.int64, "images whose fields are averaged"),
        Field("field_tile", ("shown", "step", *_TILES), np.uint8, "mean of the fields of its peaks"),
    ),
    attributes={
        "report_images": "by which units are told and shown",
        "select_images": "by which the shown ones are chosen",
        "filter_images": "report images whose maps are compared",
        "jaccard_chance": "Jaccard of two sets of as many report images, drawn at random",
        "top": "images that move a unit most, at most",
        "without_cells": "layers that are left out, as their outputs hold no grid of cells",
        "no_intervals": "why units have none",
    },
)
