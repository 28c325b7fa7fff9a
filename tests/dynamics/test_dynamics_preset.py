"""The published study as a configuration: what it follows, by which schedule."""

from pathlib import Path

import yaml

from transferlens.capabilities import run_of
from transferlens.core.settings import TrainingSettings
from transferlens.dynamics import scope
from transferlens.training import moments, schedule
from transferlens.training.recipes.settings.plain import FullSettings

CONFIG = Path(__file__).resolve().parents[2] / "configs/dynamics-paper.yaml"


def test_the_published_study_is_planned_as_published(tmp_path, monkeypatch):
    """As a dry run does, without Snakemake, and of the data with the names of classes alone."""
    monkeypatch.chdir(tmp_path)
    for split in ("train", "val"):
        for number in range(21):
            (tmp_path / f"data/fruits-360/{split}/fruit {number}").mkdir(parents=True)
            (tmp_path / f"data/fruits-360/{split}/fruit {number}/0.png").touch()
    run = run_of(yaml.safe_load(CONFIG.read_text(encoding="utf-8")))
    run.check_networks()
    run.check_data()
    assert scope.followed(run) == [("fruits", "full"), ("scene15", "full"), ("awa2", "full")]
    layers = scope.layers(run)
    assert len(layers) == 18  # the stem, sixteen bottlenecks, and what the head sees
    assert layers[-2:] == ["backbone.layer4.2", "backbone"]
    assert len(run.jobs_of("activity")) == 3 * 3 * 2  # targets, pairs of models, domains
    recipe = run.recipe("fruits", "full")
    training = TrainingSettings(**recipe["training"])
    assert (training.optimizer, training.weight_decay, training.clip, training.batch_size) == (
        "adamw",
        0,
        0.5,
        32,
    )
    assert {schedule.learning_rate(training, step, 10) for step in range(150)} == {5e-5}
    kept = moments.steps(scope.asked(run).steps, FullSettings.read(recipe), 320)
    assert kept == [10 * epoch for epoch in (0, 1, 3, 5, 7, 10)]
    assert moments.total(FullSettings.read(recipe), 320) == 150
