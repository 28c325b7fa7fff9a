"""Every parameter belongs to one block: those outside of all to the one before them."""

import pytest
from torch import nn

from transferlens.models.blocks import block_numbers
from transferlens.models.network import Network, Parts


def network(*blocks):
    """A stem, a normalisation, two blocks, and a last normalisation, registered in this order."""
    backbone = nn.Sequential()
    for name, module in {
        "early": nn.LayerNorm(2),
        "stem": nn.Linear(2, 2),
        "between": nn.LayerNorm(2),
        "trunk": nn.Sequential(*(nn.Linear(2, 2) for _ in range(11))),
        "last": nn.LayerNorm(2),
    }.items():
        backbone.add_module(name, module)
    return Network(backbone, nn.Linear(2, 3), Parts(None, False, blocks=blocks))


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        (
            ("stem", "trunk.0", "trunk.1", "trunk.10"),
            {"early": 1, "stem": 1, "between": 1, "trunk.0": 2, "trunk.1": 3, "trunk.9": 3, "trunk.10": 4}
            | {"last": 4, "head": 5},
        ),
        (("trunk.1",), {"early": 1, "trunk.0": 1, "trunk.1": 1, "last": 1, "head": 2}),
        ((), {"early": 1, "stem": 1, "last": 1, "head": 2}),
    ],
)
def test_numbers_of_blocks(blocks, expected):
    net = network(*blocks)
    numbers = block_numbers(net)
    assert list(numbers) == [name for name, _ in net.named_parameters()]
    for name, number in expected.items():
        module = name if name == "head" else f"backbone.{name}"
        assert {numbers[f"{module}.weight"], numbers[f"{module}.bias"]} == {number}, name
