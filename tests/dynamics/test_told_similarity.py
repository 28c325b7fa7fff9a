"""All that is told, as a file: of two domains, of one, of several shards."""

import numpy as np
import pytest

from tests.dynamics import activities
from tests.runs import ROOMS
from transferlens.core import labelled
from transferlens.core.errors import ArtefactError
from transferlens.core.run import Run
from transferlens.dynamics.capability import CAPABILITY as DYNAMICS
from transferlens.dynamics.told import bands, stored
from transferlens.dynamics.told.artefacts import SIMILARITY
from transferlens.dynamics.told.steps import TELL

WALKS = {"models": 4, "steps": 3, "images": 32, "channels": 4}


def told(tmp_path, **files):
    stored.write(tmp_path / "similarity.h5", files, 99, 19, 0)
    return labelled.read(tmp_path / "similarity.h5", SIMILARITY)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two domains, the target's networks untouched, images of two classes."""
    folder = tmp_path_factory.mktemp("two")
    still = activities.write(folder / "t.h5", activities.walks(**WALKS, speeds=[0, 0]), ["x", "y"])
    moving = activities.write(folder / "s.h5", activities.walks(1, **WALKS), ["a"], accuracy=False)
    return told(folder, optdigits=[still], digits=[moving])


def test_a_file_holds_both_domains_under_its_names(made):
    assert made.domain.values.tolist() == ["optdigits", "digits"]
    assert made.model.values.tolist() == [0, 2]
    assert made.step.values.tolist() == [0, 1, 2]
    assert made.cka.dims == ("domain", "model", "layer", "step", "other_layer", "other_step")
    assert made.metric_value.dims == ("metric", "domain", "model", "reference", "layer", "step")
    np.testing.assert_allclose(made.accuracy.values[1], np.linspace(0, 1, 12)[6:9])
    assert made.attrs["band_missing"] == made.attrs["gap_missing"] == ""


def test_without_training_all_is_exactly_one_and_nothing_has_a_length(made):
    still = made.sel(domain="optdigits")
    for name in ("to_start", "to_end", "excess", "pooled_to_start", "metric_value", "metric_excess"):
        assert (still[name] == 1).all(), name
    assert (still.path_length == 0).all()
    assert np.isnan(still.half_change_step).all()
    assert not np.isnan(made.sel(domain="digits").path_length).any()


def test_classes_of_a_domain_are_told_on_it_alone(made):
    assert made.target_class_note.values.tolist() == ["16 probe images, fewer than 32"] * 2
    assert np.isnan(made.target_class_to_start).all()
    assert made.source_class.values.tolist() == ["a"]
    of_class = made.source_class_to_start.sel(source_class="a")
    np.testing.assert_allclose(of_class, made.pooled_to_start.sel(domain="digits"))


def test_gaps_lie_between_the_domains(made):
    assert made.gap.dims == ("gap_measure", "model", "layer", "step")
    assert not np.isnan(made.gap).any()
    means = made.gap.sel(gap_measure="means")
    np.testing.assert_allclose(made.mean_gap.sel(gap_measure="means"), means.mean("model"))
    assert "no interval" in made.gap_note.sel(gap_measure="frechet").item()
    assert np.isnan(made.gap_low.sel(gap_measure="frechet")).all()
    assert not np.isnan(made.gap_low.sel(gap_measure="means")).any()


def test_a_target_that_is_the_source_has_one_domain_and_one_pair_no_band(tmp_path):
    walks = activities.walks(**WALKS | {"models": 2})
    made = told(tmp_path, digits=[activities.write(tmp_path / "t.h5", walks)])
    assert made.attrs["gap_missing"] == "the target is the source"
    assert made.attrs["band_missing"] == bands.ONE_MODEL
    assert "gap" not in made
    assert "source_class_to_start" not in made
    assert "target_class_to_start" in made


def test_shards_are_told_as_one_file_is(tmp_path):
    walks = activities.walks(**WALKS)
    whole = told(tmp_path, digits=[activities.write(tmp_path / "whole.h5", walks)])
    parts = [activities.write(tmp_path / f"{row}.h5", walks[row : row + 2], first_row=row) for row in (0, 2)]
    split = told(tmp_path, digits=parts)
    for name in ("cka", "mean_to_start_low", "other_seed", "metric_excess", "path_length"):
        np.testing.assert_array_equal(split[name], whole[name])


def test_shards_that_were_kept_at_other_steps_are_refused(tmp_path):
    walks = activities.walks(**WALKS)
    first = activities.write(tmp_path / "0.h5", walks[:2])
    second = activities.write(tmp_path / "1.h5", walks[2:], first_row=2, steps=[0, 1, 9])
    with pytest.raises(ArtefactError, match=r"1\.h5: networks were kept after other steps"):
        told(tmp_path, digits=[first, second])


@pytest.mark.parametrize("target", ["optdigits", "digits-and-clothes"])
def test_the_step_reads_every_shard_of_every_domain(target):
    """Of three pairs of models in shards of four; a target that is the source is read once."""
    given = {
        "source": "digits-and-clothes",
        "targets": {target: {}},
        "recipes": {"fixed": {"kind": "fixed"}, "full": {"kind": "full"}},
        "studies": {"reference": {"repeats": 4, "shard_size": 4}},
        "dynamics": {"models": 3},
    }
    run = Run(given, [*ROOMS, DYNAMICS])
    place = {"target": target, "recipe": "full"}
    (job,) = TELL.made_for(run)
    assert job == place
    inputs, settings = TELL.inputs(run, place), TELL.settings(run, place)
    domains = ["optdigits", "digits-and-clothes"] if target == "optdigits" else ["digits-and-clothes"]
    assert settings["domains"] == domains
    assert list(inputs.values()) == [
        [f"results/studies/reference/activity/{target}/full/{domain}/000{shard}.h5" for shard in range(2)]
        for domain in domains
    ]
