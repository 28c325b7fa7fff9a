"""What a comparison of remedies is stored as."""

import numpy as np

from transferlens.core.artefacts import Artefact, Field, estimate

PAIRS = {
    "significant": "pairs that interfered on the select half before any remedy (q < .05)",
    "trained": "pairs with the source classes that the remedy used",
    "held out": "pairs with other source classes",
}
MEASURES = {
    "interference": "net drop on the object, fine-tuned minus scratch",
    "drop": "drop on the object, of fine-tuned models or those from scratch",
    "flips": "share misclassified on the object",
    "accuracy": "on clean images",
    "retention": "accuracy of the source head on the fine-tuned backbone, of that on its own",
}
_ROWS = ("comparison",)

REMEDIES = Artefact(
    kind="remedies",
    path="memories/{target}/{recipe}/remedies.h5",
    fields=(
        Field("remedy", _ROWS, str, "what the recipe was extended by"),
        Field("measure", _ROWS, str, "; ".join(f"{k}: {v}" for k, v in MEASURES.items())),
        Field("pairs", _ROWS, str, "; ".join(f"{k}: {v}" for k, v in PAIRS.items())),
        Field("n", _ROWS, np.int64, "composites, images or source classes compared"),
        *estimate("before", _ROWS, "without the remedy", "low high"),
        *estimate("after", _ROWS, "with the remedy", "low high"),
        *estimate("change", _ROWS, "with the remedy minus without", "low high"),
        Field("change_p", _ROWS, np.float64, "two-sided p-value of no change, by the bootstrap"),
        Field("change_q", _ROWS, np.float64, "its Benjamini-Hochberg q-value over the remedies"),
    ),
    attributes={
        "classes": "the source classes that each remedy used",
        "skipped": "why there are no composites",
    },
    name="memory_remedies",
)
