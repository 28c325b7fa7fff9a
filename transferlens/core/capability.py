"""How a room says once what it is: its settings, its files, its steps, its studies, its words on the page.

Everything shared is derived from these declarations: the configuration and its reference, rules and their
command lines, the plan, the doctor, the read API, memory and GPU requests, the page and its order. A
declaration imports neither torch nor Snakemake.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from transferlens.core.artefacts import RESULTS, Artefact
from transferlens.core.settings import Section
from transferlens.core.studies import Study

if TYPE_CHECKING:
    from transferlens.core.blocks import Section as PageSection
    from transferlens.core.run import Run

Wildcards = Mapping[str, str]


@dataclass(frozen=True)
class Beside:
    """A file beside an artefact: a table, a picture, a page.

    Attributes:
        path: below the results folder, with wildcards in braces.
        category, caption, labels: of Snakemake's own report, if it is shown there; the caption is a file in
            workflow/report.
    """

    path: str
    category: str = ""
    caption: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    def at(self, **wildcards: str) -> str:
        """The path of one file, from the project's folder."""
        return f"{RESULTS}/{self.path.format(**wildcards)}"


def nothing(run: "Run", wildcards: Wildcards) -> dict[str, Any]:
    """No inputs, or no settings."""
    return {}


def no_more(run: "Run", wildcards: Wildcards) -> tuple[str, ...]:
    """No further entry points of code, or arguments."""
    return ()


@dataclass(frozen=True)
class Step:
    """A rule: a script that makes files from files.

    Attributes:
        name: of the rule.
        script: in scripts/.
        title: what a job says it does, with wildcards in braces.
        outputs: the files it makes, by argument name; artefacts first.
        inputs: the files it is made from, by argument name: a path, or a list of them.
        settings: exactly those that decide the result; JSON can hold them.
        made_for: the wildcards of every job in this run; empty where the run does not ask for it.
        code: what the script reaches by a name in its settings only: `module:Name`.
        arguments: more of the command line, which decides no result.
        waits_for: files that must be there before, and that the script finds by itself.
        shown: whether the page of the run is made from it.
    """

    name: str
    script: str
    title: str
    outputs: Mapping[str, Artefact | Beside]
    made_for: Callable[["Run"], Iterable[Wildcards]]
    inputs: Callable[["Run", Wildcards], Mapping[str, str | list[str]]] = nothing
    settings: Callable[["Run", Wildcards], Mapping[str, Any]] = nothing
    code: Callable[["Run", Wildcards], Sequence[str]] = no_more
    arguments: Callable[["Run", Wildcards], Sequence[str]] = no_more
    waits_for: Callable[["Run"], Sequence[str]] = lambda run: ()
    shown: bool = True

    @property
    def artefacts(self) -> list[Artefact]:
        """The HDF5 files among its outputs."""
        return [made for made in self.outputs.values() if isinstance(made, Artefact)]

    @property
    def place(self) -> str:
        """What tells its jobs apart: the wildcards of its first output, if it has any, as a path."""
        path = next((made.path for made in self.outputs.values()), "")
        wildcards = [part.split("}")[0] for part in path.split("{")[1:]]
        return "/".join(f"{{{name}}}" for name in dict.fromkeys(wildcards)) or self.name


@dataclass(frozen=True)
class Transfer:
    """Models of a study that a capability needs adapted to a target by a recipe.

    Attributes:
        rows: how many of the study's first models; None for all.
        summarised: whether their outputs are collected in one file.
        keeps_networks: whether whole adapted networks stay, whatever their study says.
        keeps: what else is kept of every adapted model: import path of a collector, and its settings.
    """

    study: str
    target: str
    recipe: str
    rows: int | None = None
    summarised: bool = True
    keeps_networks: bool = False
    keeps: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Features:
    """What models of a study make of a split of a data set before their heads, which a capability reads.

    Attributes:
        split: `train` or `val`.
        rows: how many of the study's first models; None for all. They are made by whole shards.
        of: (target, recipe) of adapted models, which are then transferred and kept, too; None for the source
            models themselves.
    """

    study: str
    dataset: str
    split: str
    rows: int | None = None
    of: tuple[str, str] | None = None

    @property
    def transfers(self) -> tuple[Transfer, ...]:
        """The adapted models that they are made of."""
        return (Transfer(self.study, *self.of, self.rows, summarised=False),) if self.of else ()


@dataclass(frozen=True)
class Trainings:
    """Models that a step of its own adapts, beside the transfers: the plan of a run counts their time.

    Attributes:
        name: of the work.
        study, target, recipe: what is adapted, to what, and how.
        models: how many.
        share: of the target's training images that they are trained on.
        epochs: how many times the recipe's epochs they take, on average.
        evaluations: how often each is evaluated on the images that it is not trained on, or on the target's
            own evaluation images where it is trained on all.
    """

    name: str
    study: str
    target: str
    recipe: str
    models: int
    share: float = 1.0
    epochs: float = 1.0
    evaluations: float = 1.0


@dataclass(frozen=True)
class Advice:
    """What a capability tells who plans a run, from results that are there.

    Attributes:
        text: one line.
        models: how many more source models following it takes.
        recipe: by which each of them is then transferred.
    """

    text: str
    models: int = 0
    recipe: str = ""


class RecipeKind(Protocol):
    """A way to adapt a source model; the rooms that train declare theirs.

    Attributes:
        settings: of recipes of this kind.
        code: what decides the results of its recipes: `module:Name`.
        asked_for_by: the key by which an analysis derives recipes of this kind, if no one can write them.
    """

    settings: type[Section]
    code: Sequence[str]
    asked_for_by: str

    def changes_backbone(self, settings: Section) -> bool:
        """Whether an adapted backbone differs from the source model's."""


class Capability:
    """What a room declares. A room overrides what it has."""

    name: str = ""
    settings: tuple[type[Section], ...] = ()
    steps: tuple[Step, ...] = ()
    recipe_kinds: Mapping[str, RecipeKind] = {}

    def recipes(self, run: "Run") -> Mapping[str, Mapping[str, Any]]:
        """Recipes that it derives from the run's own: settings by name (a '+' in it keeps names apart)."""
        return {}

    def recipe_inputs(self, run: "Run", target: str, recipe: str) -> Mapping[str, str]:
        """More files that a transfer by one of its recipes is made from."""
        return {}

    def recipe_settings(self, run: "Run", target: str, recipe: str) -> Mapping[str, Any]:
        """More settings of a transfer by one of its recipes: what it is made of (`material`), or the function
        that reads from further files what of the recipe was chosen (`chosen`: `module:function`)."""
        return {}

    def datasets(self, run: "Run") -> Iterable[str]:
        """Names of data sets that it reads beside the source and the targets."""
        return ()

    def studies(self, run: "Run") -> Iterable[Study]:
        """Source models that no one else trains."""
        return ()

    def transfers(self, run: "Run") -> Iterable[Transfer]:
        """Adapted models that it reads."""
        return ()

    def trainings(self, run: "Run") -> Iterable[Trainings]:
        """Models that its steps adapt themselves."""
        return ()

    def features(self, run: "Run") -> Iterable[Features]:
        """Features of models that it reads; they are made once for all who do."""
        return ()

    def sizes(
        self, run: "Run", made: Artefact | Beside, wildcards: Wildcards, known: Mapping[str, int]
    ) -> Mapping[str, int]:
        """Sizes of the dimensions of a file that it makes, for the plan of a run.

        Args:
            known: the sizes that follow from data sets and studies: `model`, `unit`, `source_class`,
                `source_image`, `target_class`, `target_image` (for training), `example` (all of a target's
                others), `half`, `y`, `x`, `map_y`,
                `map_x`, `feature` (of a network). What is not known of a data set before it is prepared is
                not among them.

        Returns:
            Sizes by dimension, which go before those that are known; by a group of networks (`weights`,
            `head`), how many it holds; `*`, how many groups a file has where it has one for each choice; of a
            file beside artefacts, `bytes`.
        """
        return {}

    def check(self, run: "Run") -> None:
        """What must agree with other sections.

        Raises:
            ConfigError: one line, before anything runs.
        """

    def check_networks(self, run: "Run") -> None:
        """What must hold of the run's networks, which are tried; before data are read.

        Raises:
            ConfigError, SetupError: one line, before anything runs.
        """

    def check_data(self, run: "Run") -> None:
        """What must agree with the data sets, their classes, and files that the settings name."""

    def advice(self, run: "Run", results: Path) -> Iterable[Advice]:
        """What the plan of a run says beside its costs, from what a results folder already holds."""
        return ()

    def sections(self, run: "Run", results: Any) -> Iterable["PageSection"]:
        """What a reader sees on the page."""
        return ()
