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


def test_what_a_command_takes_is_told_without_the_libraries_that_it_works_with():
    code = (
        "import sys\n"
        "from transferlens.command.main import COMMANDS, parser_of\n"
        "for name in COMMANDS:\n"
        "    parser_of(name).format_help()\n"
        "print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "ffcv", "pandas", "xarray", "matplotlib", "snakemake"} & set(loaded.stdout.split())
