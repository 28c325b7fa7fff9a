"""A network and images of one's own, as docs/networks.md tells a newcomer."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import CLASSES, draw
from tests.docs import blocks
from tests.workflow.conftest import REPOSITORY, copy_project, planned_jobs, run_snakemake
from transferlens import open_results

pytestmark = [pytest.mark.workflow, pytest.mark.large]
# Less of everything than the page's example asks for, which takes minutes.
SMALLER = (
    "source_training={epochs: 2}",
    "recipes={full: {training: {epochs: 4}}}",
    "studies={influence: {models: 32}, reference: {repeats: 2}}",
    "heatmaps={examples: 2, faithfulness: null}",
    "variance=null",
)
OWN = ("--configfile", "my.yaml", "--config", *SMALLER)


PAGE = REPOSITORY / "docs/networks.md"


TINTS = {"plain": (1, 1, 1), "red": (1, 0.4, 0.4)}


def draw_folder(folder: Path, tints: list[str], seed: int) -> None:
    """Pictures of three textures in these tints, a class each: 24 to train on and 12 to evaluate on."""
    rng = np.random.default_rng(seed)
    for split, count in (("train", 24), ("val", 12)):
        for name, tint in itertools.product(CLASSES, tints):
            place = folder / split / f"{tint} {name}"
            place.mkdir(parents=True)
            for i in range(count):
                pixels = draw(name, rng, 40, 40) * np.array(TINTS[tint])
                Image.fromarray(pixels.astype(np.uint8)).save(place / f"{i}.png")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project with a newcomer's files."""
    folder = copy_project(tmp_path_factory.mktemp("own"))
    (folder / "my_net.py").write_text(blocks(PAGE, "python")[0])
    (folder / "my.yaml").write_text(blocks(PAGE, "yaml")[0])
    draw_folder(folder / "photos", list(TINTS), 0)
    draw_folder(folder / "drawings", ["plain"], 1)
    return folder


def test_the_example_of_the_page_runs(project):
    done = run_snakemake(project, "--cores", "2", *OWN)
    assert done.returncode == 0, done.stdout + done.stderr
    effects = open_results(project / "results").influence("drawings", "full").class_effect
    assert effects.sizes["source_class"] == len(CLASSES) * len(TINTS)
    assert np.isfinite(effects).all()
    assert (project / "results/report/index.html").exists()


def test_another_content_of_the_file_trains_its_models_again(project):
    assert planned_jobs(project, *OWN) == {}
    path = project / "my_net.py"
    path.write_text(path.read_text().replace("3, 2, padding=1", "5, 2, padding=2"))
    jobs = planned_jobs(project, *OWN)
    assert jobs["train_source"] == 3
    assert "write_beton" not in jobs
