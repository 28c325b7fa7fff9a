"""The studies that ship as files: each can be planned anywhere, and one really runs, small, on real JPEGs."""

import re

import pytest
import yaml

from tests.skips import shared_data
from tests.workflow.conftest import REPOSITORY, copy_project, planned_jobs, run_snakemake
from transferlens import open_results
from transferlens.data import index

pytestmark = pytest.mark.workflow


@pytest.mark.parametrize(
    ("study", "smaller", "transfers"),
    [
        # shards: 1 of the reference, and once more from other seeds, 8 of the influence, 1 of the repeated, 5
        # of the counterfactual study
        ("cifar", (), 16),
        # for each of 3 targets: twice 2, 30, 2 and 8
        ("tiny-imagenet", (), 3 * (2 * 2 + 30 + 2 + 8)),
        # sixteen pairs of a fine-tuning and a network from scratch, two a shard
        ("pretrained", (), 8),
        # for each of 23 pairs of a target and a recipe: twice 10, 20 (of 377), 2 and 9
        ("imagenet", ("studies={influence: {models: 400}}",), 23 * (2 * 10 + 20 + 2 + 9)),
    ],
)
def test_a_shipped_study_can_be_planned_before_its_data_are_there(tmp_path, study, smaller, transfers):
    given = ("--configfile", f"configs/{study}.yaml", *(["--config", *smaller] if smaller else []))
    counts = planned_jobs(copy_project(tmp_path), *given)
    assert counts["transfer"] == transfers
    assert counts["report"] == 1


def reduced(folder):
    """configs/tiny-imagenet.yaml with few images, small networks, ten groups of classes and one target."""
    study = yaml.safe_load((REPOSITORY / "configs/tiny-imagenet.yaml").read_text())
    study["targets"] = {"cifar10": study["targets"]["cifar10"]}
    names = [
        line.split("\t")[0] for line in shared_data("tiny-imagenet-200-names.tsv").read_text().splitlines()
    ]
    wnids = sorted(name for name in names if re.fullmatch(r"n\d{8}", name))
    table = "".join(f"{wnid},group {i // 20}\n" for i, wnid in enumerate(wnids))
    (folder / "groups.csv").write_text("class,group\n" + table)
    source, target = study["datasets"]["tiny-imagenet-200"], study["datasets"]["cifar10"]
    source |= {"path": str(shared_data("tiny-imagenet-200.tar")), "complete": False, "groups": "groups.csv"}
    source |= {"train_per_class": 5, "val_per_class": 4}
    target |= {"path": str(shared_data("cifar-10.tar")), "complete": False}
    target |= {"train_per_class": 20, "val_per_class": 20, "format": "jpg"}
    study["datasets"] = {"tiny-imagenet-200": source, "cifar10": target}
    study["input"] |= {"resolution": 32, "loading": "streaming"}
    study["architecture"]["width"] = 8
    study["source_training"] |= {"epochs": 2, "batch_size": 64, "lr_peak_epoch": 1}
    study["recipes"]["fixed"]["training"]["epochs"] = 10
    study["studies"] = {
        "reference": {"repeats": 2, "shard_size": 4},
        "influence": {"units": "groups", "models": 36, "shard_size": 36},
        "repeated": None,
        "counterfactual": {"orders": ["top", "bottom"], "ks": [5], "repeats": 2},
    }
    (folder / "reduced.yaml").write_text(yaml.safe_dump(study))


def test_tiny_imagenet_runs_on_real_jpegs_through_the_streaming_loader(tmp_path):
    folder = copy_project(tmp_path)
    reduced(folder)
    targets = ("results/influence/cifar10/fixed.h5", "results/heatmaps/cifar10/fixed.png")
    done = run_snakemake(folder, "--cores", "2", *targets, "--configfile", "reduced.yaml")
    assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]
    source = index.read_index(folder / "results/data/tiny-imagenet-200/index.h5")
    assert (len(source.class_names), len(source.train), len(source.val)) == (200, 1000, 800)
    assert (source.train.sizes == 64).all()
    results = open_results(folder / "results")
    influence = results.influence("cifar10", "fixed")
    assert influence.source_class.values.tolist() == [f"group {i}" for i in range(10)]
    assert influence.sizes["example"] == 200
    # The full source saw 1,000 images, half of the groups 500.
    images = results.source_models("influence").train_images
    assert ((images % 100 == 0) & (images > 0) & (images < 1000)).all()
    assert (folder / targets[1]).stat().st_size > 10_000
    again = run_snakemake(folder, "--dry-run", *targets, "--configfile", "reduced.yaml")
    assert "nothing to be done" in (again.stdout + again.stderr).lower()
