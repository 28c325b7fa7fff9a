"""What class maps of examples, and measures of their faithfulness, are stored as."""

import numpy as np

from transferlens.core.artefacts import Artefact, Field, estimate

# Whose evidence a map shows, and the head that it is of.
ROLES = {
    "true": ("target", "evidence for the true target class"),
    "predicted": ("target", "evidence for the predicted target class"),
    "contrast": ("target", "evidence for the predicted class minus that for its rival"),
    "harmful": ("source", "evidence for the source class that hurts the example most"),
}
_BY_ROLE = ("role", "example")

HEATMAPS = Artefact(
    kind="heatmaps",
    path="heatmaps/{target}/{recipe}.h5",
    fields=(
        Field("example", ("example",), str, "the data set's own example id"),
        Field("example_position", ("example",), np.int64, "position in the val split"),
        Field("role", ("role",), str, "; ".join(f"{role}: {words}" for role, (_, words) in ROLES.items())),
        Field("true", ("example",), str, "true target class"),
        Field("predicted", ("example",), str, "target class predicted from the full source"),
        Field("rival", ("example",), str, "the true class of a wrong prediction, else the second best"),
        Field("harmful", ("example",), str, "source class (or group) that hurts most"),
        *estimate(
            "effect", ("example",), "influence of the harmful class, by other models than chose it", "se q"
        ),
        Field("image", ("example", "y", "x", "channel"), np.uint8, "input", "bytes"),
        Field(
            "class_map",
            (*_BY_ROLE, "map_y", "map_x"),
            np.float32,
            "evidence at the layer's own resolution, not normalised: in logit units a cell where maps are "
            "signed, else as the method defines it",
        ),
        *(
            Field(name, _BY_ROLE, np.float32, f"{words} (contrast: difference)")
            for name, words in {
                "raw_min": "lowest value of the map",
                "raw_max": "highest value of the map",
                "logit": "logit of the map's class",
                "probability": "probability of the map's class",
            }.items()
        ),
        Field("zero", _BY_ROLE, bool, "the method finds nothing: the map is zero everywhere"),
    ),
    attributes={
        "signed": "whether maps hold evidence against a class, too",
        "effect_missing": "why there are no effects from other models than chose; '' where there are",
    },
)

# Maps that know nothing of the model.
CONTROLS = {
    "random": "random cells, at the maps' own resolution: the mean of several draws",
    "centre": "a Gaussian around the centre of the image",
}
BASELINES = {"mean": "the data set's mean", "blur": "the image, blurred"}
CURVES = ("deletion", "insertion")
MEASURES = {
    **{
        f"{curve}_{baseline}": (better, f"area under the {curve} curve; what is away is {words}")
        for curve, better in (("deletion", "lower"), ("insertion", "higher"))
        for baseline, words in BASELINES.items()
    },
    "average_drop": ("lower", "share of the probability lost when the image is multiplied by its map"),
    "increase": ("higher", "share of images whose probability then rises"),
}
RANDOMISED = {
    "spearman": "rank correlation of the maps of the trained and of a random network",
    "ssim": "structural similarity of the same, enlarged to the image",
}
_BY_IMAGE = ("map_method", "image")
_BY_METHOD = ("measure", "map_method")


def _listed(words: dict[str, str]) -> str:
    return "; ".join(f"{name}: {meaning}" for name, meaning in words.items())


FAITHFULNESS = Artefact(
    kind="faithfulness",
    path="faithfulness/{target}/{recipe}.h5",
    fields=(
        Field("map_method", ("map_method",), str, f"method, or control ({_listed(CONTROLS)})"),
        Field("measure", ("measure",), str, _listed({name: words for name, (_, words) in MEASURES.items()})),
        Field(
            "baseline",
            ("baseline",),
            str,
            f"what pixels that are away are replaced by ({_listed(BASELINES)})",
        ),
        Field("curve", ("curve",), str, "whether pixels are taken away, or put back"),
        Field("likeness", ("likeness",), str, _listed(RANDOMISED)),
        Field("fraction", ("fraction",), np.float32, "share of the pixels that is away, or back"),
        Field("image", ("image",), str, "the data set's own example id"),
        Field("image_position", ("image",), np.int64, "position in the val split"),
        Field("predicted", ("image",), str, "predicted class, whose probability is followed"),
        Field("predicted_probability", ("image",), np.float32, "its probability"),
        Field("zero", _BY_IMAGE, bool, "the method finds nothing: the map is zero everywhere"),
        Field(
            "probability",
            ("baseline", "curve", *_BY_IMAGE, "fraction"),
            np.float32,
            "probability of the predicted class along the curve",
        ),
        Field("value", ("measure", *_BY_IMAGE), np.float64, "the measure of one image"),
        *estimate("mean", _BY_METHOD, "mean of the measure over images", "low high"),
        *estimate(
            "minus_random",
            _BY_METHOD,
            "mean difference to random maps, paired by image; NaN for these themselves",
            "low high p q",
        ),
        Field(
            "randomised",
            ("likeness", *_BY_IMAGE),
            np.float64,
            "likeness of an image's maps by the trained and by a random network; NaN where one is constant",
        ),
        *estimate(
            "randomised_mean",
            ("likeness", "map_method"),
            "its mean over images with maps that are not constant",
            "low high",
        ),
    ),
    attributes={"layer": "the layer of the backbone whose maps are scored"},
)
