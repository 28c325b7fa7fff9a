"""A planted truth on real images: are source classes found that were made to help and to hurt?

The target is handwritten digits by other writers, ten training images each. The source holds clothes, and

* duplicates: six of the target's classes (other images: MNIST);
* a conflict: `any digit`, images of all ten digits under one label, which teaches not to tell them apart.

The whole workflow runs on them, in a temporary folder. Printed are the influence of every planted class on
the class it was made for, its rank among all source classes, and what removing it alone really does.

    python benchmarks/planted_images.py [--models 128] [--cores 2]
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import yaml
from PIL import Image
from tables import print_table

from transferlens import open_results
from transferlens.core.settings import DatasetSettings
from transferlens.data import sources, splits
from transferlens.data.digits import CLOTHES, DIGITS

REPOSITORY = Path(__file__).resolve().parents[1]
DUPLICATES, CONFLICT = DIGITS[:6], "any digit"
CLOTHES_SHOWN = CLOTHES[:7]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=int, default=128)
    parser.add_argument("--cores", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for split, planted, each in (("train", 150, 100), ("val", 40, 5)):
            make_source(folder, split, planted, each)
        run_workflow(folder, arguments.models, arguments.cores)
        report(open_results(folder / "results"))


def make_source(folder: Path, split_name: str, planted: int, each: int) -> None:
    """Write a split of the source: `planted` images a class, `each` of every digit under one label."""
    images = sources.open_image_set("digits-and-clothes", DatasetSettings(), folder, download=True)
    split, place = getattr(images, split_name), folder / "source" / split_name

    def members(name: str) -> np.ndarray:
        return np.flatnonzero(split.labels == images.class_names.index(name))

    for name in DUPLICATES + CLOTHES_SHOWN:
        save(split, members(name)[:planted], place / name)
    for name in DIGITS:  # images that are under no other label
        save(split, members(name)[planted : planted + each], place / CONFLICT)


def save(split: splits.Split, members: np.ndarray, place: Path) -> None:
    """Images of a split as PNG files in a folder."""
    place.mkdir(parents=True, exist_ok=True)
    for i in members:
        Image.fromarray(split.image(int(i))).save(place / f"{i}.png")


def run_workflow(folder: Path, models: int, cores: int) -> None:
    """The default study's settings with the planted source."""
    for part in ("Snakefile", "config.yaml", "workflow", "scripts", "transferlens", "envs", "profiles"):
        source = REPOSITORY / part
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / part)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["source"] = "source"
    config["datasets"]["source"] = {"path": str(folder / "source")}
    del config["datasets"]["digits-and-clothes"]
    config["studies"]["influence"] = {"models": models}
    removals = {"handpicked": None, "orders": ["bottom", "random"], "ks": [1]}
    removals["singles"] = len(DUPLICATES + CLOTHES_SHOWN) + 1
    config["studies"]["counterfactual"] |= removals
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", str(cores), "--quiet"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        stderr=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        raise SystemExit(done.stderr)


def report(results) -> None:
    """Print the planted classes' influences with their ranks, and the realised effects of removing them."""
    influence = results.influence("optdigits", "fixed", "p_true").sel(half="report")
    rows = [planted_row(name, name, influence.sel(target_class=name), "class", 1) for name in DUPLICATES]
    rows.append(planted_row(CONFLICT, "all digits", influence, "overall", -1))
    print_table(
        "Planted source classes, probability of the true class",
        ["source class", "on target", "planted to", "influence (95 %)", "q", "rank among source classes"],
        rows,
    )
    removal = results.counterfactual("optdigits", "fixed")
    print_table(
        "Removed alone, mean probability of the true class of the whole target",
        ["source class", "predicted change", "realised change (95 %)"],
        [
            [
                name,
                f"{float(one.single_predicted):+.3f}",
                interval(*(one[f"single_change_mean{end}"] for end in ("", "_low", "_high"))),
            ]
            for name, one in ((n, removal.sel(removed_class=n)) for n in removal.removed_class.values)
        ],
    )
    slope = [removal.attrs[f"singles_slope{k}"] for k in ("", "_low", "_high")]
    print(f"slope of realised on predicted {interval(*slope)}, R^2 {removal.attrs['singles_r_squared']:.2f}")


def planted_row(name: str, target: str, influence, table: str, sign: int) -> list[str]:
    """A planted class beside the others: its influence, and its rank in the planted direction."""
    cell = influence.sel(source_class=name)
    effects = sign * influence[f"{table}_effect"]
    rank = int((effects > float(sign * cell[f"{table}_effect"])).sum()) + 1
    numbers = interval(*(cell[f"{table}_effect{end}"] for end in ("", "_low", "_high")))
    direction = "help" if sign > 0 else "hurt"
    q = f"{float(cell[f'{table}_effect_q']):.2g}"
    return [name, target, direction, numbers, q, f"{rank} of {effects.sizes['source_class']}"]


def interval(value, low, high) -> str:
    return f"{float(value):+.3f} ({float(low):+.3f} to {float(high):+.3f})"


if __name__ == "__main__":
    main()
