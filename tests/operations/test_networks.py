"""`snakemake network`: what is found of a run's networks, in words, with the keys that say otherwise."""

from pathlib import Path

import pytest

from transferlens.capabilities import run_of
from transferlens.core.configuration import architecture_of
from transferlens.operations import networks

RUN = {"source": "digits-and-clothes", "targets": {"optdigits": {}}}
INPUT = {"resolution": 16, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}
# A network of patches; `read` is what becomes of its tokens [N, T, 8], a class token before the others.
PATCHES = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.token = nn.Parameter(torch.randn(1, 1, 8))
        self.patches = nn.Conv2d(3, 8, 4, stride=4)
        self.mixed = nn.TransformerEncoderLayer(8, 2, 8, 0, batch_first=True)
        self.norm, self.fc = nn.LayerNorm(8), nn.Linear(8, classes)

    def forward(self, x):
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        return self.fc({read})


def make_net(classes):
    return Net(classes)
"""
MEAN = "self.norm(self.mixed(tokens).mean(1))"
TOKEN = "self.mixed(self.norm(torch.cat([self.token.expand(len(x), 1, 8), tokens], 1)))[:, 0]"


def printed(**given):
    return "\n".join(networks.report(run_of({**RUN, "input": INPUT, **given})))


@pytest.fixture
def patches(tmp_path, monkeypatch):
    """Makes the architecture of a network of patches in a user's file."""
    monkeypatch.chdir(tmp_path)

    def make(read):
        Path("net.py").write_text(PATCHES.replace("{read}", read))
        return {"file": "net.py:make_net"}

    return make


def said(text):
    """What a table says, line by line: the words before the key, the key, and what was found."""
    return [tuple(part.strip() for part in (line[:25], line[25:61], line[61:])) for line in text.splitlines()]


def test_every_line_of_a_small_network():
    """The stem has 8 x 3 x 9 weights and a batch norm of 2 x 8; and so on."""
    text = printed(architecture={"name": "small_resnet", "width": 8})
    retreat = "yes: when memory runs out, blocks are computed again in the backward pass"
    assert [line for line in said(text) if any(line)] == [
        ("Network of the run: small", "_resnet, width 8", ""),
        ("", "to say otherwise", "found"),
        ("network", "architecture.name", "small_resnet, width 8"),
        ("parameters", "", "19,624, and 33 in the head for each class"),
        ("input", "input.resolution", "16 px"),
        ("", "input.mean", "0.5, 0.5, 0.5"),
        ("", "input.std", "0.5, 0.5, 0.5"),
        ("features", "", "32"),
        ("head", "architecture.parts.head", "fc"),
        (
            "class maps come from",
            "architecture.parts.class_map_layer",
            "block3: 4 x 4 cells, a map of 32 channels",
        ),
        ("tokens before the cells", "architecture.parts.prefix_tokens", "0"),
        ("they add up to logits", "", "exactly"),
        ("batch normalisation", "", retreat),
        ("blocks", "architecture.parts.blocks", "4"),
        ("block  path    parameters", "", ""),
        (f"1      stem    {8 * 3 * 9 + 2 * 8}", "", ""),
        (f"2      block1  {2 * (8 * 8 * 9 + 2 * 8):,}", "", ""),
        (f"3      block2  {(8 + 16) * 16 * 9 + 8 * 16 + 3 * 2 * 16:,}", "", ""),
        (f"4      block3  {(16 + 32) * 32 * 9 + 16 * 32 + 3 * 2 * 32:,}", "", ""),
    ]


def test_tokens_a_norm_and_the_content_of_a_file(patches):
    lines = said(printed(architecture=patches(MEAN)))
    found = {what or key: words for what, key, words in lines}
    assert found["network"].startswith("net.py:make_net (SHA-256 ")
    assert found["class maps come from"] == "mixed: 4 x 4 cells, 16 tokens of 8 channels"
    assert (
        found["they add up to logits"] == "exactly, with the statistics of the layer norm 'norm' held fixed"
    )
    assert found["batch normalisation"].startswith("none: when memory runs out, batches are cut into micro")
    assert found["parameters"].endswith("9 in the head for each class")


def test_a_run_that_would_be_refused_is_shown_its_network_and_why(patches):
    text = printed(architecture=patches(TOKEN), heatmaps={"method": "CAM"}, influence_maps={})
    found = {what or key: words for what, key, words in said(text)}
    assert found["they add up to logits"].startswith("no, as its features are read from a token of their own")
    assert found["tokens before the cells"] == "1"
    _, _, refused = text.partition("A run of these settings would be refused:\n")
    heatmaps, maps = refused.splitlines()
    assert "CAM needs class maps that add up to logits" in heatmaps
    assert "influence_maps needs class maps that add up to logits" in maps


def test_a_network_that_is_not_understood_is_said_once_and_others_are_shown(patches):
    text = printed(
        architecture=patches("tokens"),
        studies={"reuse": {"architecture": {"name": "small_resnet", "width": 8}}},
        heatmaps=None,
    )
    assert (
        "Refused: architecture: net.py:make_net, asked for 7 classes, gives a tensor of shape (2, 16, 7)"
        in text
    )
    assert text.count("gives a tensor of shape") == 1
    assert "(keys `architecture` of its own section): small_resnet, width 8" in text
    assert "block3: 4 x 4 cells" in text


def test_input_that_published_weights_do_not_expect_is_marked():
    text = printed(
        architecture={"name": "efficientnet_lite0"}, input={**INPUT, "resolution": 32, "std": [1.0] * 3}
    )
    found = {key: words for _, key, words in said(text)}
    assert found["input.resolution"] == "32 px DIFFERS: published weights expect 224 px"
    assert found["input.mean"] == "0.5, 0.5, 0.5 as published weights expect"
    assert found["input.std"] == "1, 1, 1 DIFFERS: published weights expect 0.5, 0.5, 0.5"


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([{"width": 8, "name": "a"}, {"name": "b"}], {"name": "b"}),
        ([{"width": 8, "name": "a"}, {"file": "f.py:g"}], {"file": "f.py:g"}),
        ([{"width": 8, "name": "a"}, {"width": 16}], {"width": 16, "name": "a"}),
        ([{"width": 8, "name": "a"}, {"name": "a", "depth": 3}], {"width": 8, "name": "a", "depth": 3}),
        ([{"width": 8}, "a"], "a"),
        ([{"name": "a"}, None], None),
    ],
)
def test_another_network_does_not_get_the_options_of_the_one_it_replaces(layers, expected):
    assert architecture_of([{"architecture": layer} for layer in layers]) == expected
    assert architecture_of([{}, *({"architecture": layer} for layer in layers), {}]) == expected
