"""Generated files are as the declarations now say; and Slurm's profile names what they derive."""

from pathlib import Path

import jsonschema
import pytest
import yaml

from transferlens.capabilities import CAPABILITIES, run_of
from transferlens.core.configuration import merged
from transferlens.core.errors import ConfigError
from transferlens.operations import reference

REPOSITORY = Path(__file__).resolve().parents[2]
CONFIGURATIONS = ("config.yaml", *(f"configs/{p.name}" for p in (REPOSITORY / "configs").glob("*.yaml")))
LAID_OVER = {
    "configs/smoke.yaml": "config.yaml",
    "configs/simclr.yaml": "config.yaml",
    "configs/tour.yaml": "config.yaml",
    "configs/recipes.yaml": "config.yaml",
    "configs/scores.yaml": "configs/photographs.yaml",
    "configs/comparison.yaml": "configs/photographs.yaml",
}
# Rules that share a job, or a step, with one that uses a GPU.
BESIDE = {"draw_masks", "train_temporary_source"}


def test_generated_files_are_as_generated():
    for path, text in reference.written(CAPABILITIES).items():
        assert path.read_text(encoding="utf-8") == text, (
            f"run python -m transferlens.operations.reference: {path}"
        )


def test_every_key_of_every_section_is_told():
    page = reference.keys_page(CAPABILITIES)
    for capability in CAPABILITIES:
        for section in capability.settings:
            part = page.partition(f"\n## `{section.key}`\n")[2].partition("\n## `")[0]
            for key, field in section.model_fields.items():
                told = f"| `{key}` |" in part or f"\n## `{section.key}.{key}" in page
                assert told, f"{section.key}.{key}"
                assert field.description or field.annotation


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_the_schema_takes_what_ships(name):
    given = yaml.safe_load((REPOSITORY / name).read_text(encoding="utf-8"))
    if "source" not in given:  # laid over another one
        base = yaml.safe_load((REPOSITORY / LAID_OVER[name]).read_text(encoding="utf-8"))
        given = merged(base, given)
    jsonschema.validate(given, reference.schema(CAPABILITIES))


@pytest.mark.parametrize("name", ["photographs", "pretrained"])
def test_what_ships_names_classes_that_its_data_sets_have(name, monkeypatch):
    """Tables of overlaps, parts of classes and ImageNet's outputs, without the images."""
    monkeypatch.chdir(REPOSITORY)
    run_of(yaml.safe_load(Path(f"configs/{name}.yaml").read_text(encoding="utf-8"))).check_data()


@pytest.mark.parametrize(
    "changes",
    [
        {"sead": 1},
        {"seed": "one"},
        {"recipes": {"fixed": {"kind": "fixed", "batchnrm": "eval"}}},
        {"recipes": {"full": {"kind": "full", "training": {"lr": 0}}}},
        {"memories": {"models": 0}},
    ],
)
def test_the_schema_refuses_what_the_run_refuses(changes):
    given = {"source": "digits-and-clothes", "targets": {"optdigits": {}}, **changes}
    with pytest.raises(ConfigError):
        run_of(given)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(given, reference.schema(CAPABILITIES))


def test_the_profile_names_a_gpu_partition_for_each_rule_that_uses_one():
    profile = yaml.safe_load((REPOSITORY / "slurm/profile.yaml").read_text(encoding="utf-8"))
    run = run_of({"source": "digits-and-clothes", "targets": {"optdigits": {}}})
    named = {
        rule for rule, asked in profile["set-resources"].items() if asked.get("slurm_partition") == "gpu"
    }
    assert named - BESIDE == {step for step in run.steps if run.wants_gpu(step)}
    assert named >= BESIDE
    assert all(run.needs_torch(step) for step in named - BESIDE)
