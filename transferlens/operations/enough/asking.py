"""What is asked of a study, checked before anything runs: of what, how sure, with how many models at most."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import yaml

from transferlens.capabilities import run_of
from transferlens.core import written
from transferlens.core.configuration import OUTPUTS, merged, together
from transferlens.core.errors import ConfigError, nearest
from transferlens.core.run import Run
from transferlens.data.capability import described
from transferlens.estimation.asked import unit_names
from transferlens.estimation.designs import FOLD_OVER
from transferlens.influence import stopping
from transferlens.influence.settings import InfluenceSettings, InfluenceStudy
from transferlens.influence.stopping import RELIABILITY, Quantity, Wanted

STUDY = "influence"


@dataclass(frozen=True)
class Question:
    """What is asked of the influence study.

    Attributes:
        target, recipe, output: whose influences.
        quantities: whose intervals are looked at.
        wanted: of them.
        planned: the numbers of models that are looked at.
        estimator: of the influences.
        settings: a digest of the settings that decide the study's models.
    """

    target: str
    recipe: str
    output: str
    quantities: Sequence[Quantity]
    wanted: Wanted
    planned: Sequence[int]
    estimator: str
    settings: str

    @property
    def confidence(self) -> float:
        """Of every single interval."""
        return stopping.confidence_of_each(len(self.planned), len(self.quantities))


def refuse_settings(words: Sequence[str]) -> None:
    """Refuse settings among the words for Snakemake: what is asked would be checked against others.

    Raises:
        ConfigError: naming the word.
    """
    if words and not words[0].startswith("-"):
        raise ConfigError(f"'{words[0]}' belongs to no option; put names with spaces in quotes")
    for word in words:
        if word.split("=")[0] in ("--config", "-C", "--configfile", "--configfiles", "--directory", "-d"):
            raise ConfigError(
                f"{word} after --: give --configfile and --directory before it, and no --config"
            )


def given_settings(project: Path, files: Sequence[Path]) -> dict[str, Any]:
    """The settings of a study, as the workflow reads them.

    Raises:
        ConfigError: a file cannot be read, or not be meant so.
    """
    paths = [project / "config.yaml", *files]
    for path in paths:
        written.check_file(path)
    defaults, *layers = (yaml.safe_load(path.read_text(encoding="utf-8")) for path in paths)
    return together(defaults, layers)


def run_with(given: Mapping[str, Any], models: int) -> Run:
    """The run of a study with so many models of influences.

    Raises:
        ConfigError: it cannot be.
    """
    return run_of(merged(given, {"studies": {STUDY: {"models": models}}}))


def adaptation(run: Run, target: str | None, recipe: str | None) -> tuple[str, str]:
    """The target and the recipe that are named, or the only ones.

    Raises:
        ConfigError: an unknown one, or several and none is named.
    """
    chosen = _one_of("--target", target, list(run.targets))
    return chosen, _one_of("--recipe", recipe, run.targets[chosen].recipes)


def _one_of(option: str, given: str | None, known: Sequence[str]) -> str:
    if given is None and len(known) > 1:
        raise ConfigError(f"{option}: the study has {', '.join(known)}; name one of them")
    if given is not None and given not in known:
        raise ConfigError(f"{option}: the study has no '{given}'" + nearest(given, list(known)))
    return given or known[0]


def output_of(run: Run, given: str | None) -> str:
    """The output that is named, or the report's.

    Raises:
        ConfigError: an unknown one.
    """
    known = list(get_args(OUTPUTS))
    return run.settings.report.output if given is None else _one_of("--output", given, known)


def quantities(run: Run, target: str, influences: Sequence[Sequence[str]], wanted: Wanted) -> list[Quantity]:
    """What is looked at.

    Args:
        influences: of each the source class and, where it is not on the whole target, the target class.

    Raises:
        ConfigError: an unknown class, or a wish of nothing, or nothing asked.
    """
    units, classes = unit_names(run), _classes_of(run, target)
    asked = []
    for source, *of in influences:
        if len(of) > 1:
            raise ConfigError(
                f"--influence: {1 + len(of)} names; give a source class and, perhaps, a target class (names"
                " with spaces in quotes)"
            )
        _one_of("--influence", source, units)
        asked.append(Quantity(source, *(_one_of("--influence ... CLASS", name, classes) for name in of)))
    if asked and wanted.within is None and not wanted.sign:
        raise ConfigError("--influence: add what should be known of it: --within WIDTH, --sign, or both")
    if not asked and (wanted.within is not None or wanted.sign):
        raise ConfigError("--within and --sign speak of influences; name at least one: --influence CLASS")
    asked += [RELIABILITY] * (wanted.reliability is not None)
    if not asked:
        raise ConfigError("nothing is asked for; give --reliability, or --influence with --within or --sign")
    return list(dict.fromkeys(asked))


def _classes_of(run: Run, target: str) -> list[str]:
    names, groups = described(run, target)
    return sorted(set(groups)) if run.dataset(target).labels == "groups" else names


def wanted(reliability: float | None, within: float | None, sign: bool) -> Wanted:
    """When it is enough.

    Raises:
        ConfigError: what cannot be reached with any number of models.
    """
    if reliability is not None and not 0 < reliability < 1:
        raise ConfigError(f"--reliability: {reliability:g} is not between 0 and 1, which none exceeds")
    if within is not None and not 0 < within < math.inf:
        raise ConfigError(f"--within: {within:g} is no width above 0, and an interval always has one")
    return Wanted(reliability, within, sign)


def looks(given: Mapping[str, Any], run: Run, most: int, before: Sequence[int]) -> list[int]:
    """The numbers of models that are looked at, from those that the configuration has to the most.

    Args:
        before: what was planned when the question was asked first, and holds; none for a new one.

    Raises:
        ConfigError: fewer than there are, what fills no shards or pairs, or more than the design has.
    """
    study = _study(run)
    if before and before[-1] == most:
        return list(before)
    step = math.lcm(study.shard_size, 2 if study.design in FOLD_OVER else 1)
    if study.models % step:
        raise ConfigError(
            f"config: studies.influence.models is {study.models}, and shards of {study.shard_size} in pairs "
            f"of models are added by {step}; use a multiple of that"
        )
    if most < study.models:
        raise ConfigError(
            f"--most: {most} models are fewer than the {study.models} of studies.influence.models, which the "
            "first look is at; allow more, or lower that"
        )
    if most % step:
        below = most - most % step
        raise ConfigError(f"--most: {most} models fill no shards; use {below} or {below + step}")
    for models in {study.models, most}:
        run_with(given, models).check_data()
    return stopping.planned(study.models, most, step)


def estimator_of(run: Run, asked: Sequence[Quantity]) -> str:
    """The study's estimator.

    Raises:
        ConfigError: its intervals do not hold what they should.
    """
    estimator = run.section(InfluenceSettings).estimator
    stopping.require_estimator(estimator, _study(run).design, asked)
    return estimator


def _study(run: Run) -> InfluenceStudy:
    study = run.section(InfluenceStudy)
    if study is None:
        raise ConfigError("config: studies.influence is null, and it is its models that are added; write one")
    return study


def settings_digest(run: Run, target: str, recipe: str) -> str:
    """A digest of all settings that decide the models of the study, but their number."""
    of_models = {"study": STUDY, "shard": "0000", "target": target, "recipe": recipe}
    jobs = [(name, of_models) for name in ("draw_masks", "train_source", "transfer")]
    jobs += [("dataset", {"dataset": name}) for name in (run.source, target)]
    text = "\n".join(run.settings_of(step, wildcards) for step, wildcards in jobs)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
