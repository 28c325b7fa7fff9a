"""A run: what a configuration asks for, as every rule, the planner, the doctor and the page need it.

Made from the settings alone, without Snakemake: targets, adaptations, studies, transfers, and of every step
its inputs, settings, code and command line.
"""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from transferlens.core import limits
from transferlens.core.artefacts import RESULTS, Artefact
from transferlens.core.capability import Capability, Features, Step, Transfer, Wildcards
from transferlens.core.configuration import TargetSettings, configuration_of, merged, with_every_dataset
from transferlens.core.errors import ConfigError, nearest, shown
from transferlens.core.fingerprint import fingerprint, reached, reaches
from transferlens.core.settings import (
    DatasetSettings,
    InputSettings,
    Section,
    TrainingSettings,
    digest_of,
    explain,
)
from transferlens.core.studies import Study

# From so many models on, source models of studies of many are deleted when all their transfers are done.
MODELS_OF_TEMPORARY_WEIGHTS = 1000
# Between the name of a target and the images a class that a part of it has; names of users cannot hold it.
_SIZE_MARK = "@"
# The name of inputs that a script does not take: what must be there before it.
WAITED_FOR = "waits_for"
SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
_START = Path(__file__).resolve().with_name("start.py")
_PICKS_DEVICE = "transferlens.training.device:pick"


class Run:
    """What a configuration asks for.

    Args:
        given: the configuration as written.
        capabilities: what the house can do, in the order of the page.
        published: training settings that the original study published, by data set; laid below the
            overrides of the targets that ask for them.

    Raises:
        ConfigError: the first unknown key, wrong type, impossible value, or pair of settings that cannot hold
            together.
    """

    def __init__(
        self,
        given: Mapping[str, Any],
        capabilities: Sequence[Capability],
        published: Mapping[str, Mapping[str, Any]] | None = None,
    ):
        self.capabilities, self._published = list(capabilities), published or {}
        model = configuration_of(capabilities)
        try:
            self.settings = model.model_validate(with_every_dataset(given))
        except ValidationError as error:
            raise ConfigError(explain(error, model)) from None
        limits.check(self.settings)
        for name in self._further_datasets:
            self.settings.datasets.setdefault(name, DatasetSettings())
        self._check_recipes()
        self._check_training(self.settings.source_training, "source_training")
        for capability in self.capabilities:
            capability.check(self)
        for study in self.studies.values():
            limits.check_shards(study.name, study.rows, study.shard_size)

    # What was asked for

    @property
    def seed(self) -> int:
        """The one seed of the run."""
        return self.settings.seed

    @property
    def source(self) -> str:
        """The name of the source data set."""
        return self.settings.source

    @property
    def targets(self) -> Mapping[str, TargetSettings]:
        """The transfer tasks by name."""
        return self.settings.targets

    def section(self, kind: type[Section]) -> Any:
        """A capability's section; None where the run does without."""
        place: Any = self.settings
        for part in kind.key.split("."):
            place = getattr(place, part)
        return place

    def as_given(self) -> dict[str, Any]:
        """The complete configuration, as JSON can hold it; reading it gives the same run."""
        return self.settings.model_dump(mode="json")

    def as_json(self) -> str:
        """The complete configuration as one line."""
        return json.dumps(self.as_given(), sort_keys=True)

    def check_networks(self) -> None:
        """What must hold of the networks, which are tried.

        Raises:
            TransferlensError: one line, before anything runs.
        """
        for capability in self.capabilities:
            capability.check_networks(self)

    def check_data(self) -> None:
        """What must agree with the data sets, their classes, and files that the settings name.

        Raises:
            TransferlensError: one line, before anything runs.
        """
        for capability in self.capabilities:
            capability.check_data(self)

    @cached_property
    def adaptations(self) -> list[tuple[str, str]]:
        """Every (target, recipe) of the run."""
        return [(target, recipe) for target, use in self.targets.items() for recipe in use.recipes]

    @cached_property
    def sizes(self) -> dict[str, tuple[str, int]]:
        """Targets with fewer training images: (target, images a class) by name."""
        return {
            f"{target}{_SIZE_MARK}{size}": (target, size)
            for target, use in self.targets.items()
            for size in use.sizes
        }

    @cached_property
    def sized_adaptations(self) -> list[tuple[str, str]]:
        """(target, recipe) of every target with fewer training images."""
        return [(name, r) for name, (whole, _) in self.sizes.items() for r in self.targets[whole].recipes]

    @cached_property
    def dataset_names(self) -> list[str]:
        """The data sets that are prepared."""
        return list(dict.fromkeys([self.source, *self.targets, *self.sizes, *self._further_datasets]))

    @cached_property
    def _further_datasets(self) -> list[str]:
        """Data sets that capabilities read, the source and the targets perhaps among them."""
        return [name for capability in self.capabilities for name in capability.datasets(self)]

    def whole(self, dataset: str) -> str:
        """A data set's entry in the configuration: of a part of a target, the target's."""
        return self.sizes.get(dataset, (dataset,))[0]

    def dataset(self, dataset: str) -> DatasetSettings:
        """The settings of a data set; of a part of a target, with its own number of images."""
        name, size = self.sizes.get(dataset, (dataset, None))
        settings = self.settings.datasets[name]
        if size is None:
            return settings
        return settings.model_copy(update={"train_per_class": size, "train_share": None})

    def input_of(self, dataset: str, study: str | None = None) -> dict[str, Any]:
        """How images of a data set enter the networks (of a study): by its own crop ratio, if it has one."""
        ratio = self.settings.datasets[self.whole(dataset)].crop_ratio
        shared = self._input(study)
        return (shared if ratio is None else shared.model_copy(update={"crop_ratio": ratio})).model_dump()

    def _input(self, study: str | None) -> InputSettings:
        own = None if study is None else self.studies[study].input
        return self.settings.input if own is None else InputSettings.model_validate(dict(own))

    # Recipes

    @cached_property
    def recipe_kinds(self) -> dict[str, Any]:
        """How source models can be adapted."""
        return {k: kind for c in self.capabilities for k, kind in c.recipe_kinds.items()}

    @cached_property
    def recipes(self) -> dict[str, Mapping[str, Any]]:
        """The run's recipes as written, and those that capabilities derive from them."""
        derived = {name: given for c in self.capabilities for name, given in c.recipes(self).items()}
        return {**self.settings.recipes, **derived}

    @cache  # noqa: B019 a run lives as long as its process
    def recipe(self, target: str, name: str) -> dict[str, Any]:
        """The complete settings of a recipe for a target: with the target's overrides laid over it."""
        whole = self.whole(target)
        given = merged(merged(self.recipes[name], self._published_for(whole)), self.targets[whole].overrides)
        return self.recipe_section(given, f" (in targets.{whole}.overrides)").model_dump()

    def recipe_section(self, given: Mapping[str, Any], where: str) -> Section:
        """A recipe's settings as the section of its kind, which `model_dump` completes."""
        kind = given.get("kind", "fixed")
        if kind not in list(self.recipe_kinds):  # a list has no hash
            raise ConfigError(
                f"config: recipe of kind {shown(kind)}" + nearest(str(kind), list(self.recipe_kinds)) + where
            )
        section = self.recipe_kinds[kind].settings
        try:
            made = section.model_validate({**given, "kind": kind})
        except ValidationError as error:
            raise ConfigError(explain(error, section) + where) from None
        limits.check(made, where)
        return made

    def changes_backbone(self, target: str, recipe: str) -> bool:
        """Whether the adapted backbone differs from the source model's."""
        given = self.recipe(target, recipe)
        return self.recipe_kinds[given["kind"]].changes_backbone(self.recipe_section(given, ""))

    def recipe_code(self, target: str, recipe: str) -> Sequence[str]:
        """Import paths of what adapts."""
        return self.recipe_kinds[self.recipe(target, recipe)["kind"]].code

    def _published_for(self, target: str) -> Mapping[str, Any]:
        if not self.targets[target].published:
            return {}
        images = self.settings.datasets[target].of or target
        if images not in self._published:
            raise ConfigError(
                f"config: targets.{target}.published is true, but no settings were published for '{images}'; "
                f"there are some for {', '.join(sorted(self._published))}"
            )
        return {"training": self._published[images]}

    def _check_recipes(self) -> None:
        """Recipes are complete and known, for every target that uses them."""
        for name, given in self.settings.recipes.items():
            section = self.recipe_section(given, f" (in recipes.{name})")
            self._check_training(section.training, f"recipes.{name}")
            if by := self.recipe_kinds[section.kind].asked_for_by:
                raise ConfigError(
                    f"config: recipes.{name}.kind is '{section.kind}', which is made of what an analysis "
                    f"finds; ask for it with `{by}: [{section.kind}]` and give '{name}' another kind"
                )
        for target, use in self.targets.items():
            for name in use.recipes:
                self.require_recipe(name, f"targets.{target}.recipes")
                adapted = self.recipe_section(self.recipe(target, name), "")
                self._check_training(adapted.training, f"targets.{target}.{name}")

    def _check_training(self, training: TrainingSettings, where: str) -> None:
        """Settings that hold together, and suit the images; `where` names them."""
        training.check(where)
        limits.check_padding(training, self.settings.input.resolution, where)

    def require_recipe(self, name: str, where: str) -> None:
        """Refuse the name of a recipe that there is not; `where` names the key."""
        if name not in self.settings.recipes:
            raise ConfigError(
                f"config: {where} names '{name}', which is no recipe"
                + nearest(name, list(self.settings.recipes))
            )

    # Studies and transfers

    @cached_property
    def studies(self) -> dict[str, Study]:
        """Every study by name, in the order in which capabilities declare them."""
        return {study.name: study for c in self.capabilities for study in c.studies(self)}

    def architecture_of(self, study: str | None = None) -> dict[str, Any]:
        """The network of a study's models, or of the run itself: `NetworkSettings`."""
        own = None if study is None else self.studies[study].architecture
        given = self.settings.architecture.model_dump() if own is None else own
        resolution = self._input(study).resolution
        return {**given, "resolution": resolution, "digest": self._digest_of(given["file"])}

    @cache  # noqa: B019 a run lives as long as its process
    def _digest_of(self, function: str | None) -> str | None:
        """SHA-256 of the user's file that makes a network, if one does."""
        return digest_of(function) if function else None

    @cached_property
    def temporary_weights(self) -> list[str]:
        """The studies whose source models are not kept."""
        many = [study for study in self.studies.values() if not study.keeps_weights]
        models = sum(study.rows for study in many)
        temporary = {"keep": False, "temporary": True, "auto": models >= MODELS_OF_TEMPORARY_WEIGHTS}
        return [study.name for study in many] if temporary[self.settings.source_weights] else []

    @cached_property
    def transfers(self) -> dict[tuple[str, str, str], Transfer]:
        """Every transfer by (study, target, recipe): what all capabilities together need of it."""
        needed: dict[tuple[str, str, str], Transfer] = {}
        for capability in self.capabilities:
            of_features = (t for request in capability.features(self) for t in request.transfers)
            for transfer in (*capability.transfers(self), *of_features):
                key = (transfer.study, transfer.target, transfer.recipe)
                needed[key] = _both(needed[key], transfer) if key in needed else transfer
        return needed

    def transfer_shards(self, study: str, target: str, recipe: str) -> list[str]:
        """The shards of a study that are adapted to a target by a recipe."""
        return self._shards_of(study, self.transfers[study, target, recipe].rows)

    @cached_property
    def features(self) -> dict[tuple[str, str, str, tuple[str, str] | None], Features]:
        """Features by (study, data set, split, (target, recipe) or None): what all capabilities read."""
        needed: dict[tuple[str, str, str, tuple[str, str] | None], Features] = {}
        for capability in self.capabilities:
            for request in capability.features(self):
                key = (request.study, request.dataset, request.split, request.of)
                rows = _more_rows(needed[key].rows, request.rows) if key in needed else request.rows
                needed[key] = replace(request, rows=rows)
        return needed

    def feature_shards(
        self, study: str, dataset: str, split: str, of: tuple[str, str] | None = None
    ) -> list[str]:
        """The shards of a study whose models' features on a split of a data set are made."""
        return self._shards_of(study, self.features[study, dataset, split, of].rows)

    def _shards_of(self, study: str, rows: int | None) -> list[str]:
        """The shards that hold the first rows of a study; None for all."""
        known = self.studies[study]
        return known.shards if rows is None else known.shards_of(rows)

    # Steps

    @cached_property
    def steps(self) -> dict[str, Step]:
        """Every step of the house by name, whether this run takes it or not."""
        return {step.name: step for capability in self.capabilities for step in capability.steps}

    @cached_property
    def artefacts(self) -> list[Artefact]:
        """Every kind of file."""
        made = [artefact for step in self.steps.values() for artefact in step.artefacts]
        return list(dict.fromkeys(made))

    def file(self, kind: str, **wildcards: str) -> str:
        """The path of an artefact by its kind, whichever capability declares it."""
        return next(artefact for artefact in self.artefacts if artefact.kind == kind).at(**wildcards)

    def inputs(self, step: str, wildcards: Wildcards) -> dict[str, str | list[str]]:
        """The files that a job is made from, by argument name."""
        declared = self.steps[step]
        files = {**declared.inputs(self, dict(wildcards)), WAITED_FOR: declared.waits_for(self)}
        return {name: paths for name, paths in files.items() if paths}

    def settings_of(self, step: str, wildcards: Wildcards) -> str:
        """The settings that decide a job's result, as the JSON that its script takes."""
        return json.dumps(self.steps[step].settings(self, dict(wildcards)), sort_keys=True)

    def code_of(self, step: str, wildcards: Wildcards) -> str:
        """The fingerprint of the code that decides a job's result."""
        declared = self.steps[step]
        return _code(declared.script, *declared.code(self, dict(wildcards)))

    def wants_gpu(self, step: str) -> bool:
        """Whether a step runs on a GPU where there is one: its code picks a device."""
        return reaches(self.steps[step].script, name=_PICKS_DEVICE)

    def needs_torch(self, step: str) -> bool:
        """Whether a step's jobs import torch, which takes far more memory than the rest."""
        return "torch" in reached(self.steps[step].script).packages

    def command(self, step: str, wildcards: Wildcards, inputs: Any, outputs: Any) -> str:
        """The command line of a job. Nothing in it but settings and names of files decides the result."""
        # Without -P, modules beside `start` would be found before others of their name.
        return shlex.join(["python", "-P", str(_START), *self.words(step, wildcards, inputs, outputs)])

    def words(self, step: str, wildcards: Wildcards, inputs: Any, outputs: Any) -> list[str]:
        """The script of a job, and its arguments."""
        declared = self.steps[step]
        parts = [str(SCRIPTS / declared.script), "--settings", self.settings_of(step, wildcards)]
        parts += ["--seed", str(self.seed), "--log", self.log_of(step).format(**wildcards)]
        for name, value in [*inputs.items(), *outputs.items()]:
            if name == WAITED_FOR:
                continue
            values = [value] if isinstance(value, str) else list(value)
            parts += [f"--{name.replace('_', '-')}", *values] * bool(values)
        parts += declared.arguments(self, dict(wildcards))
        return [str(part) for part in parts]

    def log_of(self, step: str) -> str:
        """Where a job's messages go, with wildcards in braces."""
        return f"{RESULTS}/logs/{step}/{self.steps[step].place}.log"

    def benchmark_of(self, step: str) -> str:
        """Where a job's time and memory go, with wildcards in braces."""
        return f"{RESULTS}/benchmarks/{step}/{self.steps[step].place}.tsv"

    def jobs_of(self, step: str) -> list[Wildcards]:
        """The wildcards of every job of a step in this run."""
        return list(self.steps[step].made_for(self))

    def shown(self) -> list[str]:
        """The files that the page is made from."""
        return [
            made.at(**wildcards)
            for step in self.steps.values()
            if step.shown
            for wildcards in self.jobs_of(step.name)
            for made in step.outputs.values()
        ]

    def constraints(self) -> dict[str, str]:
        """A pattern for each wildcard: the names that occur in this run."""
        values = {
            "study": self.studies,
            "target": [*self.targets, *self.sizes],
            "recipe": self.recipes,
            "dataset": self.dataset_names,
        }
        patterns = {name: "|".join(map(re.escape, known)) or "none" for name, known in values.items()}
        declared = {name for artefact in self.artefacts for name in artefact.wildcards}
        return {**dict.fromkeys(declared, "[^/]+"), **patterns, "split": "train|val", "shard": r"\d{4}"}


# Many jobs share their code, which does not change while they are planned.
_code = cache(fingerprint)


def _both(one: Transfer, other: Transfer) -> Transfer:
    """What two capabilities need of the same transfer."""
    return Transfer(
        one.study,
        one.target,
        one.recipe,
        _more_rows(one.rows, other.rows),
        one.summarised or other.summarised,
        one.keeps_networks or other.keeps_networks,
        {**one.keeps, **other.keeps},
    )


def _more_rows(one: int | None, other: int | None) -> int | None:
    """How many first rows serve both; None for all."""
    return None if one is None or other is None else max(one, other)
