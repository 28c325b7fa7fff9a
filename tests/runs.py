"""Small runs of the rooms that stand on influences."""

from transferlens.analyses.capability import CAPABILITY as ANALYSES
from transferlens.core.configuration import merged
from transferlens.core.run import Run
from transferlens.counterfactual.capability import CAPABILITY as COUNTERFACTUAL
from transferlens.data.capability import CAPABILITY as DATA
from transferlens.influence.capability import CAPABILITY as INFLUENCE
from transferlens.training.capability import CAPABILITY as TRAINING

ROOMS = [DATA, TRAINING, INFLUENCE, COUNTERFACTUAL, ANALYSES]


def small_run(**given) -> Run:
    """Digits as the target of digits and clothes, by fixed features, with some settings of the caller's."""
    base = {
        "source": "digits-and-clothes",
        "targets": {"optdigits": {}},
        "recipes": {"fixed": {"kind": "fixed"}, "full": {"kind": "full"}},
    }
    return Run(merged(base, given), ROOMS)
