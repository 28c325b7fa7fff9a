"""The step that writes the interactive page of a target and recipe."""

from transferlens.core.capability import Beside, Step, Wildcards
from transferlens.core.run import Run
from transferlens.dynamics import scope
from transferlens.dynamics.told.artefacts import SIMILARITY
from transferlens.dynamics.units.artefacts import UNITS

NO_UNITS = "Units were not looked at (dynamics.units is null)."


def _inputs(run: Run, wildcards: Wildcards) -> dict[str, str]:
    files = {"similarity": SIMILARITY.at(**wildcards)}
    return files | ({"units": UNITS.at(**wildcards)} if scope.asked(run).units else {})


PAGE = Step(
    name="dynamics_page",
    script="write_dynamics.py",
    title="Write the page of what changes on the way to {target} ({recipe})",
    outputs={"page": Beside("dynamics/{target}/{recipe}/dynamics.html")},
    inputs=_inputs,
    settings=lambda run, w: {
        "title": f"Feature dynamics: {w['target']}, {w['recipe']}",
        "no_units": NO_UNITS,
    },
    made_for=lambda run: [{"target": target, "recipe": recipe} for target, recipe in scope.followed(run)],
)
STEPS = (PAGE,)
