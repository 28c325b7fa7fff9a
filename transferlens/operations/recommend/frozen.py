"""What can be said of a network on the target before any training: probe, bound and scores (`own_table`)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from transferlens.core.files import replace_file
from transferlens.models.network import Network
from transferlens.operations.recommend.images import Task
from transferlens.relatedness import own_folders, own_table
from transferlens.relatedness.bound import Options
from transferlens.relatedness.own_folders import Folder, Look
from transferlens.relatedness.own_table import Row
from transferlens.scores.registry import SCORES

FILE = "scores.csv"
# Images of a class in either split, at most; heads and transform as `transferlens scores` makes them.
_MOST = 100
_TAU, _OPTIONS = 0.2, Options("LearnedAll", "orthogonal", "hungarian")


def rows(
    out: Path, network: Network, has_head: bool, tasks: tuple[Task, Task], look: Look, seed: int
) -> Sequence[Row]:
    """The table of a folder: read where it is there, else made.

    Args:
        has_head: whether the network's head is its own.
        tasks: the target, and the task that it is related to.
    """
    if (out / FILE).exists():
        return own_table.read(out / FILE)
    target, reference = (own_folders.see(_smaller(task, seed), network, look) for task in tasks)
    logits = own_folders.logits_of(target.train, network) if has_head else None
    asked = own_table.Asked(_TAU, _OPTIONS, list(SCORES), seed)
    made = own_table.rows(reference, target, logits, asked)
    with replace_file(out / FILE) as temporary:
        own_table.write(temporary, made)
    return made


def _smaller(task: Task, seed: int) -> Folder:
    folder, rng = task.folder, np.random.default_rng(seed)
    parts = (own_folders.at_most(split, _MOST, rng) for split in (folder.train, folder.test))
    return Folder(folder.name, folder.class_names, *parts)
