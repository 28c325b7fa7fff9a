"""A finished study of seconds: made by the commands of its own run, without Snakemake."""

import json
from pathlib import Path
from typing import Any

from fuzzing import image_sets
from fuzzing.children import run_script
from fuzzing.image_sets import Random

# The steps whose files it ends in; all that they are made from is made, too.
_WANTED = ("influence", "influence_figures", "influence_rivals")


def settings(seed: int = 0) -> dict[str, Any]:
    """Three classes of images of 8 pixels, as the source and as the target; tiny networks."""
    training = {"epochs": 1, "batch_size": 4, "lr": 0.05, "lr_peak_epoch": 0.5, "crop": "none", "flip": False}
    return {
        "seed": seed,
        "source": "source",
        "targets": {"target": {"recipes": ["fixed"]}},
        "datasets": {"source": {"path": "source"}, "target": {"path": "target"}},
        "input": {"resolution": 8, "crop_ratio": 1.0, "mean": [0.5] * 3, "std": [0.5] * 3},
        "architecture": {"name": "small_resnet", "width": 8},
        "source_training": training,
        "recipes": {"fixed": {"kind": "fixed", "training": training}},
        "studies": {
            "reference": {"repeats": 3, "shard_size": 6},
            "repeated": None,
            "influence": {"models": 8, "shard_size": 4, "design": "complementary"},
        },
        "influence": {"estimator": "difference_of_means"},
    }


def make(folder: Path, seed: int = 0) -> Any:
    """Write the image sets, run the jobs, and return the run."""
    from transferlens.capabilities import run_of

    for number, name in enumerate(("source", "target")):
        if not (folder / name).exists():
            image_sets.make(folder / name, "folder", Random(number))
    (folder / "config.yaml").write_text(json.dumps(settings(seed)))
    run = run_of(settings(seed))
    made: dict[str, tuple[str, dict[str, str]]] = {}
    for name, step in run.steps.items():
        for wildcards in run.jobs_of(name):
            made |= {output.at(**wildcards): (name, dict(wildcards)) for output in step.outputs.values()}
    for path in [path for path, (name, _) in made.items() if name in _WANTED]:
        _make(folder, run, path, made)
    return run


def _make(folder: Path, run: Any, path: str, made: dict[str, tuple[str, dict[str, str]]]) -> None:
    """A file, after all that it is made from."""
    if (folder / path).exists() or path not in made:
        return
    name, wildcards = made[path]
    for value in run.inputs(name, wildcards).values():
        for needed in [value] if isinstance(value, str) else value:
            _make(folder, run, needed, made)
    status, said = run_job(folder, run, name, wildcards)
    if status:
        raise RuntimeError(f"{path} of the study that is spoiled could not be made: {said}")


def run_job(folder: Path, run: Any, step: str, wildcards: dict[str, str]) -> tuple[int, str]:
    """Run a job as Snakemake would; its exit status, and what it prints."""
    import contextlib

    outputs = {key: made.at(**wildcards) for key, made in run.steps[step].outputs.items()}
    with contextlib.chdir(folder):
        words = run.words(step, wildcards, run.inputs(step, wildcards), outputs)
        printed = Path("job.printed").absolute()
        status = run_script(words, {}, printed)
        return status, printed.read_text(errors="replace")
