"""What a run asks of class influences, for all rooms that build on them."""

from functools import cache

from transferlens.core.errors import ConfigError
from transferlens.core.run import Run
from transferlens.data.capability import described
from transferlens.data.groups import require_groups


@cache
def unit_names(run: Run) -> list[str]:
    """What masks of the influence study switch on and off: the source's classes, or its groups of classes."""
    names, groups = described(run, run.source)
    study = run.settings.studies.influence
    if study is not None and study.units == "groups":
        require_groups(f"studies.influence.units: data set {run.source}", names, groups)
        names = sorted(set(groups))
    return names


def require_output(run: Run, output: str, where: str) -> None:
    """Refuse an output that influences are not estimated on; `where` names the section that asks for it.

    Raises:
        ConfigError: naming the outputs that there are.
    """
    outputs = run.settings.influence.outputs
    if output not in outputs:
        raise ConfigError(
            f"config: {where}.output is '{output}', which is not among influence.outputs {outputs}; add it "
            "there"
        )
