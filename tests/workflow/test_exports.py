"""What is given away holds what the study stored."""

import re
import subprocess
import sys

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

from transferlens.core import artefacts
from transferlens.core.errors import ArtefactError
from transferlens.core.settings import InputSettings
from transferlens.data import index, pipeline
from transferlens.operations.influence_export import export_influence
from transferlens.operations.model_export import export_models
from transferlens.training import source
from transferlens.training.artefacts import SOURCE_MODELS

OUTPUTS = ("margin", "p_true")


def test_influences_in_tables_and_netcdf_are_those_of_the_artefact(smoke, tmp_path):
    export_influence(smoke / "results", "optdigits", "fixed", tmp_path / "out")
    read = {
        name: pd.read_csv(tmp_path / f"out/{name}_influence.csv") for name in ("overall", "class", "example")
    }
    card = (tmp_path / "out/README.md").read_text()
    assert "difference_of_means" in card
    with h5py.File(smoke / "results/influence/optdigits/fixed.h5") as stored:
        for output in OUTPUTS:
            group = stored[output]
            with xr.open_dataset(tmp_path / "out/influence.nc", group=output, engine="h5netcdf") as given:
                assert {*group} <= {*given.variables}
                for name, values in group.items():
                    np.testing.assert_array_equal(given[name].values, values[()])
                assert given.source_class.values.tolist() == artefacts.names(stored["source_class"])
                assert given.class_effect.dims == ("half", "target_class", "source_class")
            for kind, name in (
                ("overall", "overall_effect"),
                ("class", "class_effect"),
                ("example", "effect"),
            ):
                rows = read[kind][read[kind].output == output]
                for column in {"effect", "se", "low", "high", "q"} & {*rows.columns}:
                    whole = group[name + ("" if column == "effect" else f"_{column}")][()]
                    np.testing.assert_array_equal(rows[column].to_numpy(whole.dtype), whole.ravel())
            last = read["class"][read["class"].output == output].iloc[-1]
            assert last.source_class == artefacts.names(stored["source_class"])[-1]
            assert last.target_class == artefacts.names(stored["target_class"])[-1]


def test_a_model_loaded_as_its_card_says_is_the_one_that_was_stored(smoke, tmp_path, monkeypatch):
    data, shard = (
        smoke / "results/data/digits-and-clothes",
        smoke / "results/studies/influence/source/0001.h5",
    )
    export_models(smoke / "results", "influence", [17, 40], tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("README.md", "models.json", "row-0017.safetensors", "row-0040.safetensors")
    }
    card = (tmp_path / "out/README.md").read_text()
    monkeypatch.chdir(tmp_path / "out")
    made: dict = {}
    exec(re.search(r"^```python\n(.*?)^```", card, re.DOTALL | re.MULTILINE)[1], made)
    network, examples = made["network"], index.read_index(data / "index.h5")
    with artefacts.open(shard, SOURCE_MODELS) as file:
        settings, seen = artefacts.settings_of(file), file["mask"][1]
        accuracy, by_class = file["accuracy"][1], file["class_accuracy"][1]
        stored = source.load_network(file, 1, made["NetworkSettings"].read(settings["architecture"]), "cpu")
    val = pipeline.open_images(
        data / "val.beton", examples.val, InputSettings.read(settings["input"]), torch.device("cpu")
    )
    images = next(iter(val.evaluation_batches(64)))
    with torch.inference_mode():
        torch.testing.assert_close(network(images), stored.eval()(images), rtol=0, atol=0)
    right, labels = source.right(network.to(memory_format=torch.channels_last), val), val.examples.labels
    np.testing.assert_allclose([right[labels == c].mean() for c in range(len(by_class))], by_class)
    assert right[seen[labels]].mean() == pytest.approx(accuracy)
    assert f"| {seen.sum()} |" in card
    assert f"{accuracy:.4f}" in card


def test_what_is_not_there_is_not_given_away(smoke, tmp_path):
    results, out = smoke / "results", tmp_path / "out"
    with pytest.raises(ArtefactError, match="no source models of 'influense'"):
        export_models(results, "influense", None, out)
    with pytest.raises(ArtefactError, match="row 99"):
        export_models(results, "influence", [99], out)
    with pytest.raises(ArtefactError, match="did you mean"):
        export_influence(results, "optdigit", "fixed", out)
    assert not any(tmp_path.iterdir())
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine.txt").touch()
    command = [
        sys.executable,
        "-m",
        "transferlens.command.main",
        "export",
        "models",
        str(results),
        "influence",
    ]
    done = subprocess.run([*command, "--out", str(tmp_path / "full")], capture_output=True, text=True)
    assert (done.returncode, "is there already" in done.stderr) == (1, True)
    assert [path.name for path in tmp_path.rglob("*")] == ["full", "mine.txt"]
