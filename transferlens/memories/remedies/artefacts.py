"""What a comparison of remedies is stored as."""

import numpy as np

from transferlens.core.artefacts import Artefact, Field, estimate

PAIRS = {
    "chosen": "pairs of classes that interfered most before any remedy, by the choosing pairs of models",
    "trained": "pairs of classes with the source classes that the remedy used",
    "held out": "pairs of classes with other source classes",
}
MEASURES = {
    "interference": "net drop on the object, fine-tuned minus scratch",
    "drop": "drop on the object, of fine-tuned models or those from scratch",
    "flips": "share misclassified on the object",
    "accuracy": "on clean images",
    "retention": "accuracy of the source head on the fine-tuned backbone, of that on its own",
}
_ROWS = ("comparison",)
_ERRORS = "errors over the reporting pairs of models and over images (of retention, source classes)"

REMEDIES = Artefact(
    kind="remedies",
    path="memories/{target}/{recipe}/remedies.h5",
    fields=(
        Field("remedy", _ROWS, str, "what the recipe was extended by"),
        Field("measure", _ROWS, str, "; ".join(f"{k}: {v}" for k, v in MEASURES.items())),
        Field("pairs", _ROWS, str, "; ".join(f"{k}: {v}" for k, v in PAIRS.items())),
        Field("n", _ROWS, np.int64, "composites, images or source classes compared"),
        *estimate("before", _ROWS, f"without the remedy; {_ERRORS}", "se low high"),
        *estimate("after", _ROWS, f"with the remedy; {_ERRORS}", "se low high"),
        *estimate("change", _ROWS, f"with the remedy minus without; {_ERRORS}", "se low high p"),
        Field("change_q", _ROWS, np.float64, "its Benjamini-Hochberg q-value over the remedies"),
    ),
    attributes={
        "classes": "the source classes that each remedy used",
        "skipped": "why there are no composites",
    },
    name="memory_remedies",
)
