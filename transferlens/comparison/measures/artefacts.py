"""What is measured of models before and after they are adapted is stored as."""

import numpy as np

from transferlens.core.artefacts import Artefact, Field

_MODEL = Field("model", ("model",), np.int64, "row number in the study")
_PROBED = (
    Field("example", ("example",), str, "evaluation image of the data set"),
    Field("example_class", ("example",), str, "its class"),
    Field("correct", ("model", "example"), bool, "whether a linear probe on the model's features is right"),
)

SOURCE_PROBES = Artefact(
    kind="probes before",
    path="comparison/probes+before/{dataset}.h5",
    fields=(_MODEL, *_PROBED),
    attributes={"train_images": "images that a probe was fitted with"},
)
PROBES_AFTER = Artefact(
    kind="probes after",
    path="comparison/{target}/{recipe}/probes/{dataset}.h5",
    fields=(_MODEL, *_PROBED),
    attributes={"train_images": "images that a probe was fitted with"},
)
MEASURES = Artefact(
    kind="measures",
    path="comparison/{target}/{recipe}/measures.h5",
    name="adapted_measures",
    fields=(
        _MODEL,
        Field("example", ("example",), str, "report image of the target"),
        Field("example_class", ("example",), str, "its class"),
        Field("correct", ("model", "example"), bool, "whether it is classified correctly"),
        Field(
            "confidence", ("model", "example"), np.float32, "probability of the answer given", "probability"
        ),
        Field("p_true", ("model", "example"), np.float32, "probability of the true class", "probability"),
        Field("corruption", ("corruption",), str, "what images are corrupted by"),
        Field("severity", ("severity",), np.int64, "how severely, of 1 to 5"),
        Field(
            "corrupted_correct",
            ("model", "corruption", "severity", "example"),
            bool,
            "whether the corrupted image is classified correctly",
        ),
        Field(
            "source_example",
            ("source_example",),
            str,
            "report image of the source; none for models from scratch",
        ),
        Field("source_example_class", ("source_example",), str, "its class"),
        Field(
            "retained",
            ("model", "source_example"),
            bool,
            "whether the source's own head is right on the adapted features",
        ),
        Field(
            "source_correct",
            ("model", "source_example"),
            bool,
            "whether it was right on the features before the model was adapted",
        ),
        Field("moved", ("model", "layer"), np.float64, "distance of a tensor of weights from the source's"),
        Field("moved_of", ("model", "layer"), np.float64, "norm of the source's"),
        Field("layer", ("layer",), str, "tensor of the backbone"),
    ),
)
COST = Artefact(
    kind="cost",
    path="comparison/{target}/{recipe}/cost.h5",
    name="recipe_cost",
    fields=(
        Field("round", ("round",), np.int64, "number of the step measured"),
        Field("seconds", ("round",), np.float64, "of a training step by the recipe", "seconds"),
        Field("plain_seconds", ("round",), np.float64, "of one by the plain recipe, by turns", "seconds"),
        Field("peak", (), np.float64, "most memory in a step beyond what the network holds", "bytes"),
        Field("plain_peak", (), np.float64, "likewise by the plain recipe", "bytes"),
    ),
    attributes={
        "note": "what steps are of, or why none were measured; '' for those of the whole network",
        "memory": "how it was measured",
    },
)
