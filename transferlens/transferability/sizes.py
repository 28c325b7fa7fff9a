"""Sizes of the files of transferability, for the plan of a run."""

from collections.abc import Mapping

from transferlens.core.artefacts import Artefact
from transferlens.core.capability import Beside, Wildcards
from transferlens.core.run import Run
from transferlens.transferability import asked
from transferlens.transferability.artefacts import SCORED
from transferlens.transferability.measures import MEASURES
from transferlens.transferability.ranking import ALL, WITHIN
from transferlens.transferability.scoring import part_names
from transferlens.transferability.settings import family

_STATIC = 5
# Bytes of a picture for each candidate or class, and of each row of a table.
_BYTES = {"picture": 60_000, "table": 20_000}


def of(run: Run, made: Artefact | Beside, wildcards: Wildcards, known: Mapping[str, int]) -> dict[str, int]:
    """Sizes of the dimensions of a file."""
    scores = asked.scores(run)
    if made is SCORED:
        return {"score": len(scores), "part": len(part_names(scores))}
    if isinstance(made, Beside):
        return {"bytes": _BYTES["table" if made.path.endswith(".csv") else "picture"]}
    recipe = wildcards["recipe"]
    targets = [wildcards["target"]] if "target" in wildcards else list(run.targets)
    studies = asked.studies(run, targets[0], recipe)
    kinds = {family(study) for study in studies}
    return {
        "ranker": len(scores) + _STATIC,
        "candidate": sum(asked.models(run, study) for study in studies),
        "pool": len(kinds) + len({ALL, WITHIN}),
        "measure": len(MEASURES),
        "ceiling_from": 2,
        "target": len(targets),
    }
