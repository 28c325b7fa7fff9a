"""The step that draws what is told of a target and recipe."""

from transferlens.core.capability import Beside, Step
from transferlens.dynamics import scope
from transferlens.dynamics.told.artefacts import SIMILARITY

_FOLDER = "dynamics/{target}/{recipe}"
# Pictures by name, in the order of the page, with their words in Snakemake's own report.
PICTURES = {
    "heatmap": "layers by steps",
    "curves": "similarity over steps",
    "paths": "half of the change, path length, straightness",
    "matrices": "layers by layers",
    "metrics": "other metrics",
    "agreement": "agreement of metrics",
    "gaps": "distance of the domains",
    "classes": "classes",
}


def _pictures() -> dict[str, Beside]:
    """Each as SVG, which Snakemake's report shows, and as PNG."""
    made = {}
    for name, words in PICTURES.items():
        labels = {"target": "{target}", "recipe": "{recipe}", "figure": words}
        made[name] = Beside(f"{_FOLDER}/{name}.svg", "Feature dynamics", "dynamics.rst", labels)
        made[f"{name}_png"] = Beside(f"{_FOLDER}/{name}.png")
    return made


DRAW = Step(
    name="dynamics_pictures",
    script="draw_dynamics.py",
    title="Draw what changes on the way to {target} ({recipe})",
    outputs={**_pictures(), "table": Beside(f"{_FOLDER}/similarity.csv")},
    inputs=lambda run, w: {"similarity": SIMILARITY.at(**w)},
    made_for=lambda run: [{"target": target, "recipe": recipe} for target, recipe in scope.followed(run)],
)
STEPS = (DRAW,)
