"""The configuration of the study that recommends a recipe: an ordinary one, to go on from by hand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from transferlens.core.files import replace_file
from transferlens.core.settings import NetworkSettings
from transferlens.operations.recommend import recipes
from transferlens.operations.recommend.images import MOST_KEPT, Task, write_table

CONFIG = "config.yaml"
CHOOSING = 1
# A job of less than about so many seconds has several models, as its start takes a few.
_LONG_ENOUGH = 300
_HEADER = """\
# Which recipe for {target}? Written by `transferlens advise`, and run by it again where it is there.
# By hand, from the folder of the Snakefile:
#   snakemake --cores {cores} --directory {out} --configfile {out}/{config}
"""


@dataclass(frozen=True)
class Question:
    """What is asked: a network with weights, a target, what should be kept, and how much is tried.

    Attributes:
        network: with the resolution of its input.
        weights: an absolute path, or a name.
        mean, std: of the channels of its input.
        crop_ratio: share of the shorter side that is seen.
        target, kept: data sets; the first of the kept ones is the source of the study.
        names: recipes in the order of their priority.
        trials: of each.
        models: that report.
        epochs: as `recipes.settings` takes them.
        flip: whether pictures may be mirrored.
        seed: of everything.
    """

    network: NetworkSettings
    weights: str
    mean: Sequence[float]
    std: Sequence[float]
    crop_ratio: float
    target: Task
    kept: Sequence[Task]
    names: Sequence[str]
    trials: int
    models: int
    epochs: int | None
    flip: bool
    seed: int

    def less(self, names: Sequence[str], trials: int) -> "Question":
        """With fewer recipes or trials."""
        return replace(self, names=names, trials=trials)


@dataclass(frozen=True)
class Shards:
    """What one job trains: pairs of reporting models, and trials."""

    pairs: int
    trials: int

    @staticmethod
    def by(question: Question, seconds: float) -> "Shards":
        """As many as take some minutes, a model taking so many seconds; all where these are fewer.

        Reporting models are in jobs of one pair each, or all in one: the models that choose then stand apart.
        """
        many = max(1, round(_LONG_ENOUGH / max(seconds, 1e-9)))
        pairs = question.models if 2 * question.models <= many else 1
        return Shards(pairs, min(many, question.trials))


def compose(question: Question, tables: Path, shards: Shards) -> dict[str, Any]:
    """The configuration.

    Args:
        tables: the folder of the tables that `write_tables` writes.
    """
    source, *others = question.kept
    chosen = recipes.settings(
        question.names, len(question.target.folder.train.labels), question.epochs, question.flip
    )
    return {
        "seed": question.seed,
        "source": source.name,
        "targets": {question.target.name: {"recipes": [recipes.PROBE]}},
        "datasets": {task.name: _dataset(task, tables) for task in (question.target, *question.kept)},
        "input": {
            "resolution": question.network.resolution,
            "crop_ratio": question.crop_ratio,
            "enlarging": "bicubic",
            "mean": list(question.mean),
            "std": list(question.std),
        },
        "architecture": question.network.model_dump(exclude={"resolution", "digest"}, exclude_defaults=True),
        "source_training": dict(recipes.HEAD),
        "recipes": chosen,
        "studies": {
            "reference": None,
            "influence": None,
            "repeated": None,
            "counterfactual": None,
            "pretrained": {
                "weights": question.weights,
                "head": "probe",
                "repeats": question.models + CHOOSING,
                "shard_size": 2 * shards.pairs,
            },
        },
        **dict.fromkeys(("heatmaps", "influence_maps", "memories", "variance", "relatedness")),
        "transferability": None,
        "comparison": _comparison(question, others, shards),
        "report": {"title": f"Which recipe for {question.target.name}?"},
    }


def _comparison(question: Question, others: Sequence[Task], shards: Shards) -> dict[str, Any]:
    """Neither influences nor corruptions, nor what papers would have printed: they would take the budget."""
    return {
        "recipes": list(question.names),
        "plain": recipes.PLAIN,
        "source": "pretrained",
        "models": question.models,
        "choosing": CHOOSING,
        "trials": question.trials,
        "shard_size": shards.trials,
        "others": [task.name for task in others],
        "corruptions": {"names": []},
        "published": False,
    }


def _dataset(task: Task, tables: Path) -> dict[str, Any]:
    if task.root is None:
        return {"train_per_class": MOST_KEPT, "val_per_class": MOST_KEPT}
    return {"path": str(table_of(task, tables))}


def table_of(task: Task, tables: Path) -> Path:
    """Where the images of a task are listed."""
    return tables / f"{task.name}.csv"


def write_tables(question: Question, tables: Path) -> None:
    """List the images of all folders."""
    for task in (question.target, *question.kept):
        if task.root:
            write_table(table_of(task, tables), task)


class _Plain(yaml.SafeDumper):
    """YAML without anchors, which a person would have to resolve."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def write(out: Path, configuration: Mapping[str, Any], target: str, cores: int) -> None:
    """The configuration as a file that Snakemake takes, and a person."""
    text = _HEADER.format(target=target, cores=cores, out=out, config=CONFIG)
    text += yaml.dump(dict(configuration), Dumper=_Plain, sort_keys=False, default_flow_style=None, width=110)
    with replace_file(out / CONFIG) as temporary:
        temporary.write_text(text, encoding="utf-8")
