"""Nothing imports what it does not use: start-up is part of every job."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("transferlens", {"torch", "pandas", "xarray", "h5py"}),
        ("transferlens.core.settings", {"torch", "pandas", "h5py", "numpy"}),
        ("transferlens.counterfactual.orders", {"torch", "pandas", "matplotlib"}),
        ("transferlens.estimation.designs", {"torch", "pandas", "matplotlib"}),
        ("transferlens.data.index", {"torch", "ffcv", "pandas", "matplotlib"}),
        ("transferlens.capabilities", {"torch", "ffcv", "pandas", "xarray", "matplotlib", "snakemake"}),
        ("transferlens.training.source", {"torchvision", "ffcv", "pandas", "xarray", "matplotlib"}),
        ("transferlens.training.transfer", {"torchvision", "ffcv", "pandas", "xarray", "matplotlib"}),
        ("transferlens.influence.estimate", {"torchvision", "ffcv", "pandas", "xarray", "matplotlib"}),
    ],
)
def test_a_module_does_not_drag_in_what_it_does_not_use(module, unwanted):
    code = f"import sys, {module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not unwanted & set(loaded.stdout.split())
