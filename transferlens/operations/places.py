"""What a path in a results folder is: the declaration it is made by, and its wildcards."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace

from transferlens.core.artefacts import RESULTS, Artefact, pattern_of
from transferlens.core.capability import Beside, Capability, Step, Wildcards
from transferlens.core.run import Run


@dataclass(frozen=True)
class Place:
    """A file that a step makes."""

    capability: Capability
    step: Step
    made: Artefact | Beside
    wildcards: Wildcards

    @property
    def stage(self) -> str:
        """The part of the plan that it is counted in."""
        of_studies = self.made.path.startswith("studies/") and isinstance(self.made, Artefact)
        return self.made.kind if of_studies else self.capability.name.replace("_", " ")


class Places:
    """The declared paths of a run."""

    def __init__(self, run: Run):
        self._run = run
        self._names = {
            "study": run.studies,
            "target": {*run.targets, *run.sizes},
            "recipe": run.recipes,
            "dataset": set(run.dataset_names),
        }
        self._declared = defaultdict(list)
        for place in self.all():
            first = place.made.path.partition("/")[0]
            self._declared[first].append((pattern_of(place.made.path), place))

    def all(self) -> Iterator[Place]:
        """Every kind of file, in the order of the capabilities, with no wildcards."""
        for capability in self._run.capabilities:
            for step in capability.steps:
                for made in step.outputs.values():
                    yield Place(capability, step, made, {})

    def of(self, path: str) -> Place | None:
        """What a path below the results folder is; None where nothing makes such a file.

        Names may look like folders of another kind (a recipe called `source`): the run's own go first.
        """
        inside = path.removeprefix(f"{RESULTS}/")
        fitting = []
        for pattern, place in self._declared[inside.partition("/")[0]]:
            match = pattern.fullmatch(inside)
            if match:
                wildcards = {name: value for name, value in match.groupdict().items() if name != "place"}
                fitting.append(replace(place, wildcards=wildcards))
        return min(fitting, key=self._strange, default=None)

    def _strange(self, place: Place) -> int:
        """How many of its names this run does not have."""
        return sum(
            value not in self._names[name] for name, value in place.wildcards.items() if name in self._names
        )
