"""A capability as small as can be: reads summaries, writes numbers, a table and words."""

from transferlens.colours.artefacts import COLOURS
from transferlens.colours.settings import ColourSettings

from transferlens.core.capability import Beside, Capability, Step
from transferlens.core.errors import ConfigError
from transferlens.training.artefacts import SUMMARY
from transferlens.training.capability import ReferenceStudy

MEASURE = Step(
    name="colours",
    script="measure_colours.py",
    title="Measure colours of {target} ({recipe})",
    outputs={"colours": COLOURS, "table": Beside("colours/{target}/{recipe}.csv")},
    inputs=lambda run, w: {"summary": SUMMARY.at(study="reference", **w)},
    settings=lambda run, w: run.section(ColourSettings).model_dump(),
    made_for=lambda run: [
        {"target": target, "recipe": recipe}
        for target, recipe in run.adaptations
        if run.section(ColourSettings)
    ],
)


class Colours(Capability):
    """Colours."""

    name = "colours"
    settings = (ColourSettings,)
    steps = (MEASURE,)

    def check(self, run):
        given, reference = run.section(ColourSettings), run.section(ReferenceStudy)
        if given and given.models > 2 * reference.repeats:
            raise ConfigError(
                f"config: colours.models is {given.models}, but studies.reference has {2 * reference.repeats}"
            )

    def sections(self, run, results):
        from transferlens.colours import page

        return page.sections(run, results)


CAPABILITY = Colours()
