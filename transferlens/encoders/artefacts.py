"""What the comparison of candidate sources is stored as."""

import numpy as np

from transferlens.core.artefacts import Artefact, Field, estimate

_OF = ("candidate",)
CANDIDATES = Artefact(
    kind="candidate sources",
    path="candidates/{target}/{recipe}.h5",
    fields=(
        Field("candidate", _OF, str, "study of the models"),
        Field("network", _OF, str, "their network"),
        Field("weights", _OF, str, "their given weights; '' for those that the run trains"),
        Field("resolution", _OF, np.int64, "side of the images that they take", "pixels"),
        Field("crop_ratio", _OF, np.float64, "side of the centre crop over the shorter side of the image"),
        Field("mean", (*_OF, "channel"), np.float64, "what is subtracted from pixels in [0, 1]"),
        Field("std", (*_OF, "channel"), np.float64, "what they are then divided by"),
        Field("models", _OF, np.int64, "repeats: models of the weights, each with one from scratch"),
        *estimate("accuracy", _OF, "accuracy on the report half; transfers of the weights", "low high"),
        *estimate("scratch", _OF, "accuracy on the report half; the same network from scratch", "low high"),
        *estimate("gain", _OF, "accuracy of the weights minus that from scratch; by repeat", "low high"),
        Field("interval_missing", _OF, str, "why there are no intervals; '' where there are"),
    ),
    attributes={"metric": "what accuracy is, as in summaries", "images": "of the report half"},
)
