"""The read API of what is kept of source classes, and of what that does."""

import numpy as np
import pytest

from transferlens import open_results
from transferlens.memories.artefacts import INTERFERENCE
from transferlens.memories.effect import interference
from transferlens.memories.effect.interference import Interference
from transferlens.memories.kept import probes
from transferlens.memories.kept.binding import Binding
from transferlens.memories.kept.probes import Probes
from transferlens.memories.kept.retention import Retained, Retention

SOURCES, TARGETS, TRIED = list("abcd"), ["x", "y"], [1, 3]
MODELS = 3


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(results, probes, interference), at random."""
    results, rng = tmp_path_factory.mktemp("results"), np.random.default_rng(0)
    of_class, cell = (MODELS, 2, len(SOURCES)), (2, len(SOURCES), len(TARGETS))
    probed = Probes(
        SOURCES,
        TARGETS,
        np.array([[3, 4, 5], [0, 1, 2]]),
        Retention(
            *rng.random((4, *of_class)),
            rng.integers(0, 9, of_class[1:]),
            Retained(*rng.random((4, len(SOURCES)))),
        ),
        Binding(
            *rng.random((2, MODELS, *cell)), *rng.random((6, *cell)), rng.random(cell[1:]) < 0.5, "too few"
        ),
        rng.random((MODELS, 2)),
        rng.random((MODELS, *cell)),
        rng.random(cell[1:]) < 0.5,
    )
    shape = (2, len(TRIED), len(TARGETS))
    flags = np.array([[True, False], [False, True]])
    estimated = Interference(
        np.array(TRIED),
        SOURCES,
        TARGETS,
        {f.name: rng.random(shape) for f in INTERFERENCE.fields if f.dtype is np.float64 and f.dims},
        *rng.integers(1, 9, (2, *shape)),
        ~flags,
        {f.name: rng.random() for f in INTERFERENCE.fields if not f.dims},
        *(flags, flags),
        *("too few", ""),
    )
    folder = results / "memories" / "pets" / "full"
    probes.write_probes(folder / "probes.h5", probed, "a note")
    interference.write_interference(folder / "interference.h5", estimated)
    return results, probed, estimated


def test_both_are_joined_by_source_class(made):
    results, probed, estimated = made
    joined = open_results(results).memories("pets", "full")
    assert joined.source_class.values.tolist() == SOURCES
    assert joined.attrs["note"] == "a note"
    np.testing.assert_array_equal(joined.binding_q, probed.binding.q)
    np.testing.assert_array_equal(joined.retained_low, probed.retention.retained.low)
    np.testing.assert_array_equal(joined.coupling, probed.coupling)
    tried = joined.isel(source_class=TRIED)
    for name in estimated.cells:
        np.testing.assert_array_equal(tried[name], estimated.cells[name])
    np.testing.assert_array_equal(tried.interference_n, estimated.n)
    np.testing.assert_array_equal(tried.congruent, estimated.congruent)


def test_classes_that_were_not_tried_have_no_estimate_no_composites_and_no_flag(made):
    joined = open_results(made[0]).memories("pets", "full").sel(source_class=["a", "c"])
    assert np.isnan(joined.interference).all()
    assert joined.interference_n.dtype.kind == "i"
    assert not joined.interference_n.any()
    assert joined.congruent.dtype == bool
    assert not joined.congruent.any()
    assert not np.isnan(joined.binding).any()


def test_a_join_can_be_saved(made, tmp_path):
    joined = open_results(made[0]).memories("pets", "full")
    joined.to_netcdf(tmp_path / "joined.nc", engine="h5netcdf")
    assert (tmp_path / "joined.nc").exists()


def test_each_file_says_what_the_read_api_says(made):
    results, _, estimated = made
    stored = open_results(results).interference("pets", "full")
    cell = stored.sel(half="select", tried_class="d", target_class="x")
    assert cell.interference_low == estimated.cells["interference_low"][0, 1, 0]
    assert open_results(results).memory_probes("pets", "full").sizes["model"] == MODELS
