"""What a network is found to be, on small networks of which it is known; and why others are refused."""

import builtins
import itertools
import random
import textwrap

import pytest
import torch

from transferlens.core.errors import ConfigError, SetupError
from transferlens.core.settings import NetworkSettings
from transferlens.models import architectures, contract, heads, main_path

HEADER = """
import torch
from torch import nn
from torch.nn import functional


class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 4, stride=4)
        self.deep = nn.Conv2d(6, 8, 3, padding=1)
        self.norm = nn.LayerNorm(8)
        self.fc = nn.Linear(8, classes)

    def maps(self, x):
        return self.deep(self.stem(x).relu())

    def features(self, x):
        return self.maps(x).mean((2, 3))

    def forward(self, x):
        return self.fc(self.features(x))


def make_net(classes):
    return Net(classes)


"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Makes a user's file from source text (a class `Net` stands above it), and the settings that name it."""
    monkeypatch.chdir(tmp_path)
    numbers = itertools.count()

    def write(source="", resolution=16, plain=False, **given):
        name = f"net{next(numbers)}.py"
        (tmp_path / name).write_text(("" if plain else HEADER) + textwrap.dedent(source))
        return NetworkSettings.read(
            {"file": f"{name}:make_net", "resolution": resolution, **given}, "architecture"
        )

    return write


# What is found


def test_maps_head_and_blocks_of_a_plain_network(own):
    found = contract.find(own())
    assert found.heads == heads.Heads(("fc",), last=True)
    assert (found.features, found.cells, found.no_evidence, found.batchnorm) == (8, (4, 4), "", False)
    assert found.parts.class_map_layer == "deep"
    assert (found.parts.pools, found.parts.norm, found.parts.rectified) == (True, None, False)
    assert found.parts.blocks == ("stem", "deep")


def test_a_relu_after_the_last_map_that_is_no_module(own):
    found = contract.find(
        own("class Own(Net):\n    def maps(self, x):\n        return super().maps(x).relu()\nmake_net = Own")
    )
    assert (found.parts.class_map_layer, found.parts.rectified, found.no_evidence) == ("deep", True, "")


def test_a_layer_norm_after_pooling(own):
    found = contract.find(
        own(
            """
            class Own(Net):
                def features(self, x):
                    return self.norm(super().features(x))
            make_net = Own
            """
        )
    )
    assert (found.parts.class_map_layer, found.parts.norm, found.no_evidence) == ("deep", "norm", "")
    assert found.parts.blocks == ("stem", "deep")  # the normalisation is none


def test_what_follows_a_head_is_refused_and_left_out_when_it_is_named(own):
    source = """
        class Own(Net):
            def forward(self, x):
                return super().forward(x).softmax(1)
        make_net = Own
    """
    with pytest.raises(ConfigError, match=r"softmax follows it.*architecture\.parts\.head: fc"):
        contract.find(own(source))
    settings = own(source, parts={"head": "fc"})
    found = contract.find(settings)
    assert found.heads == heads.Heads(("fc",), last=False)
    assert found.parts.class_map_layer == "network.deep"
    assert found.parts.blocks == ("network.stem", "network.deep")
    _agree(settings, lambda net, x: net.fc(net.features(x)))


def test_two_heads_that_are_averaged_become_one(own):
    settings = own(
        """
        class Own(Net):
            def __init__(self, classes):
                super().__init__(classes)
                self.other = nn.Linear(6, classes, bias=False)
            def forward(self, x):
                early = self.stem(x).mean((2, 3))
                return (super().forward(x) + self.other(early)) / 2
        make_net = Own
        """
    )
    found = contract.find(settings)
    assert (found.heads.paths, found.features) == (("fc", "other"), 8 + 6)
    assert found.parts.pools is False
    _agree(settings, lambda net, x: net(x))


def test_a_head_without_a_bias_gets_one_of_zeros(own):
    settings = own(
        """
        class Own(Net):
            def __init__(self, classes):
                super().__init__(classes)
                self.fc = nn.Linear(8, classes, bias=False)
        make_net = Own
        """
    )
    assert not contract.build(settings, 5).head.bias.any()
    _agree(settings, lambda net, x: net(x))


def test_a_head_with_a_weight_norm_becomes_a_plain_one(own):
    settings = own(
        """
        class Own(Net):
            def __init__(self, classes):
                super().__init__(classes)
                self.fc = nn.utils.parametrizations.weight_norm(self.fc)
        make_net = Own
        """
    )
    assert list(contract.build(settings, 5).head.state_dict()) == ["weight", "bias"]
    _agree(settings, lambda net, x: net(x))


def _agree(settings, expected):
    """What is built gives what the user's own network gives, to 1e-6."""
    torch.manual_seed(3)
    theirs = architectures.make(settings, 5).eval()
    torch.manual_seed(3)
    ours = contract.build(settings, 5).eval()
    images = torch.randn(4, 3, settings.resolution, settings.resolution)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), expected(theirs, images), atol=1e-6, rtol=0)


TOKENS = """
    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.qkv, self.out = nn.LayerNorm(8), nn.Linear(8, 24), nn.Linear(8, 8)
        def forward(self, x):
            q, k, v = self.qkv(self.norm(x)).chunk(3, -1)
            return x + self.out(functional.scaled_dot_product_attention(q, k, v))

    class Own(nn.Module):
        def __init__(self, classes):
            super().__init__()
            self.patches = nn.Conv2d(3, 8, 4, stride=4)
            self.token = nn.Parameter(torch.randn(1, 1, 8))
            self.blocks = nn.Sequential(Attention(), Attention())
            self.norm = nn.LayerNorm(8)
            self.fc = nn.Linear(8, classes)
        def forward(self, x):
            tokens = self.patches(x).flatten(2).transpose(1, 2)
            token = self.token.expand(len(x), 1, 8)
            return self.fc({})

    make_net = Own
"""
FIRST = TOKENS.format("self.norm(self.blocks(torch.cat([token, tokens], 1)))[:, 0]")
LAST = TOKENS.format("self.norm(self.blocks(torch.cat([tokens, token], 1)))[:, -1]")
MEAN = TOKENS.format("self.blocks(tokens).mean(1)")


def test_tokens_before_a_class_token_is_read(own):
    """Of the last block only the class token is used: maps come from what its attention reads."""
    found = contract.find(own(FIRST))
    assert (found.parts.class_map_layer, found.cells) == ("blocks.1.norm", (4, 4))
    assert (found.parts.prefix_tokens, found.parts.pools) == (1, False)
    assert "read from a token of their own" in found.no_evidence
    assert found.parts.blocks == ("patches", "blocks.0", "blocks.1")


def test_a_mean_of_tokens_is_evidence(own):
    found = contract.find(own(MEAN))
    assert (found.parts.class_map_layer, found.parts.prefix_tokens, found.no_evidence) == ("blocks", 0, "")


def test_a_class_token_at_the_end_puts_tokens_out_of_the_order_of_the_picture(own):
    found = contract.find(own(LAST))
    assert (found.parts.class_map_layer, found.cells) == (None, None)
    assert "may lie otherwise" in found.no_evidence
    assert "prefix_tokens" in found.no_evidence


PIXELS = """
    def make_net(classes):
        hidden = nn.Linear(192, 9), nn.ReLU(), nn.Linear(9, 9)
        return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(9, classes))
"""
TWICE = """
    def make_net(classes):
        stem, again = nn.Conv2d(3, 6, 4, stride=4), nn.Conv2d(6, 6, 3, padding=1)
        tail = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, classes)
        return nn.Sequential(stem, again, nn.ReLU(), again, *tail)
"""
TRUNKS = """
    class Own(Net):
        def __init__(self, classes):
            super().__init__(classes)
            self.stem2, self.fc = nn.Conv2d(3, 6, 4, stride=4), nn.Linear(14, classes)
        def features(self, x):
            return torch.cat([super().features(x), self.stem2(x).mean((2, 3))], 1)
    make_net = Own
"""
ONE_CELL = """
    class Own(Net):
        def __init__(self, classes):
            super().__init__(classes)
            self.stem = nn.Conv2d(3, 6, 8, stride=8)
    make_net = Own
"""
NO_GRADIENTS = """
    class Own(Net):
        @torch.no_grad()
        def features(self, x):
            return super().features(x)
    make_net = Own
"""
RESIDUAL = """
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6)
        def forward(self, x):
            return x + self.b(self.a(x)).relu()

    def make_net(classes):
        stem = nn.Sequential(nn.Conv2d(3, 6, 2, stride=2), nn.BatchNorm2d(6))
        trunk = nn.Sequential(Block(), nn.Sequential(nn.MaxPool2d(2), Block()))
        return nn.Sequential(stem, trunk, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, classes))
"""


@pytest.mark.parametrize(
    ("source", "resolution", "layer", "blocks", "reason"),
    [
        (PIXELS, 8, None, ("1", "3"), "nothing in it has a height and a width"),
        (TWICE, 16, "1", ("0", "1"), ""),
        (TRUNKS, 16, "stem2", (), "no means over the cells"),
        (ONE_CELL, 8, None, ("stem", "deep"), "single cell at 8 px"),
        (NO_GRADIENTS, 16, "deep", (), ""),
        (RESIDUAL, 16, "1", ("0", "1.0", "1.1.1"), ""),
    ],
    ids=["pixels", "called-twice", "trunks", "one-cell", "no-gradients", "residual"],
)
def test_shapes_of_networks(own, source, resolution, layer, blocks, reason):
    found = contract.find(own(source, resolution))
    assert reason in found.no_evidence
    assert bool(found.no_evidence) == bool(reason)
    assert found.parts.class_map_layer == layer
    assert found.parts.blocks == blocks


@pytest.mark.parametrize("seed", range(6))
def test_cuts_of_a_graph_are_those_on_every_path(seed):
    """Against all paths of a random graph of sums, one by one."""
    draw = random.Random(seed)
    image = torch.ones(2, requires_grad=True)
    values = [image * 1]
    for i in range(9):
        values.append(sum(values[k] for k in {i, *draw.sample(range(i + 1), min(i, draw.randint(0, 1)))}) * 2)
    features = values[-1].sum()

    def paths(node):
        following = [other for other, _ in node.next_functions if other is not None]
        return [[node, *rest] for other in following for rest in paths(other)] or [[node]]

    on_all = set.intersection(*(set(path) for path in paths(features.grad_fn)))
    made_by = {f"value {i}": value.grad_fn for i, value in enumerate(values)}
    expected = {name for name, node in made_by.items() if node in on_all}
    assert main_path.on_main_path(features, made_by) == expected
    assert {"value 0", "value 9"} <= expected


# What is refused

FORWARD = """
    class Own(Net):
        def forward(self, x):
            {}
    make_net = Own
"""
TWO = """
    class Own(Net):
        def __init__(self, classes):
            super().__init__(classes)
            self.other = nn.Linear(8, classes)
        def forward(self, x):
            return self.fc(self.features(x)) * 2 + self.other(self.features(x))
    make_net = Own
"""
OPTION = "def make_net(classes, width=8):\n    return Net(classes)"


@pytest.mark.parametrize(
    ("source", "given", "message"),
    [
        (
            TWO,
            {},
            r"has several heads \(fc, other\), and gives neither one's logits nor their mean; name one",
        ),
        (FORWARD.format("return super().forward(x).relu_()"), {}, "something else than what .* 'fc' does"),
        (FORWARD.format("return super().forward(x), x"), {}, r"gives a tuple, not a tensor of logits"),
        (FORWARD.format("return {'out': super().forward(x)}"), {}, r"gives a dict, not a tensor of logits"),
        (
            FORWARD.format("return (super().forward(x), x) if self.training else super().forward(x)"),
            {},
            "gives a tuple in training, not a tensor of logits",
        ),
        (
            FORWARD.format("return super().forward(x) / 0"),
            {},
            "logits that are not finite for images of 16 px",
        ),
        (
            FORWARD.format("return x.view(3)"),
            {},
            r"cannot take images of 16 px \(RuntimeError in line 32 \(shape '\[3\]' is invalid",
        ),
        (
            FORWARD.format("return self.fc(self.maps(x).flatten(2).transpose(1, 2)).mean(1)"),
            {},
            "head of .* is not found: 'fc' acts on more than one vector an image",
        ),
        (
            FORWARD.format("return self.deep(self.stem(x)).mean((2, 3))[:, :7]"),
            {},
            "is not found: no linear layer gives its logits",
        ),
        (
            "def make_net(classes):\n    return Net(1000)",
            {},
            r"asked for 7 classes, .* \(2, 1000\) for 2 images",
        ),
        ("def make_net(classes):\n    return [Net(classes)]", {}, "returns list, not a torch.nn.Module"),
        (
            "def make_net(classes):\n    raise KeyError('no\\nluck')",
            {},
            r"raises KeyError in line 30 \('no\\nluck'\); it must return",
        ),
        ("import sys\nsys.exit('bye')", {}, r"raises SystemExit in line 30 \(bye\) when it is imported"),
        ("1 / 0", {}, r"raises ZeroDivisionError in line 29 \(division by zero\) when it is imported"),
        ("def make_net(classes:", {}, r"raises SyntaxError in line 29 \('\(' was never closed"),
        ("import not_there", {}, "imports 'not_there', which is not installed; a file must stand for itself"),
        ("import beside", {}, "imports 'beside' from beside it, a change of which would go unnoticed"),
        (
            "del make_net\ndef make_nets(classes): pass",
            {},
            r"no function 'make_net' \(did you mean 'make_nets'",
        ),
        (OPTION, {"widht": 4}, r"unexpected keyword argument 'widht'\) \(did you mean 'width'\?\)"),
        ("", {"parts": {"head": "fcs"}}, r"parts.head: .* has no linear layer 'fcs' \(did you mean 'fc'\?\)"),
        ("", {"parts": {"head": "deep"}}, r"has no linear layer 'deep' \(known: fc\)"),
        (TWO, {"parts": {"head": ["fc", "odd"]}}, r"has no linear layer 'odd'"),
        (FIRST, {"parts": {"head": "blocks.0.out"}}, "does not turn one vector .* one logit a class"),
        ("", {"parts": {"class_map_layer": "dep"}}, r"class_map_layer: .* 'dep' \(did you mean 'deep'\?\)"),
        ("", {"parts": {"class_map_layer": "fc"}}, "class_map_layer: 'fc' of .* gives no square of cells"),
        ("", {"parts": {"blocks": ["stem", "dep"]}}, r"parts.blocks: .* 'dep' \(did you mean 'deep'\?\)"),
        (FIRST, {"parts": {"prefix_tokens": 3}}, r"prefix_tokens is 3, .* \(tokens in a row: 17\)"),
        ("", {"parts": {"prefix_tokens": 0}}, r"no square of tokens remains .* \(tokens in a row: none\)"),
        ("", {"parts": {"heads": "fc"}}, r"unknown key 'architecture.parts.heads' \(did you mean 'head'\?\)"),
        (
            "",
            {"name": "resnet18"},
            "architecture names both a network and a file; leave `name` or `file` out",
        ),
        ("", {"num_classes": 3}, "'architecture.num_classes' is no option of a network"),
    ],
)
def test_a_users_file_that_is_no_network_for_us_is_one_line(
    own, tmp_path, monkeypatch, source, given, message
):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "beside.py").write_text("")
    with pytest.raises(ConfigError, match=message) as caught:
        contract.find(own(source, **given))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "squeezenet1_1"}, "head of squeezenet1_1 is not found: no linear layer gives its logits"),
        (
            {"name": "vit_b_16"},
            r"cannot take images of 64 px .*resolution .*expect 224\), or .*architecture.image_size: 64",
        ),
        ({"name": "resnet19"}, r"'architecture.name' is 'resnet19' \(did you mean 'resnet18'\?\)"),
        ({"name": "resnet18", "norm_layers": None}, r"'norm_layers' \(did you mean 'norm_layer'\?\)"),
        ({"name": "vit_b_16", "image_size": "64"}, r"cannot be built with the options {'image_size': '64'}"),
        ({"name": "resnet18", "weights": "DEFAULT"}, "weights are named in studies.pretrained.weights"),
        ({"file": "none.py:make_net"}, "architecture.file: there is no file 'none.py'"),
        ({"file": "net.py"}, r"'architecture.file' is 'net.py'; write the file and the function in it"),
        (
            {"name": "small_resnet", "widht": 8},
            r"unknown key 'architecture.widht' \(did you mean 'width'\?\)",
        ),
    ],
)
def test_a_named_network_that_cannot_be_is_one_line(given, message):
    with pytest.raises(ConfigError, match=message) as caught:
        contract.find(NetworkSettings.read({"resolution": 64, **given}, "architecture"))
    assert "\n" not in str(caught.value)


def test_a_file_that_changed_since_planning_is_refused(own):
    settings = own().model_copy(update={"digest": "0" * 64})
    with pytest.raises(ConfigError, match="has changed since the run was planned; start snakemake again"):
        architectures.make(settings, 5)


def test_names_that_timm_does_not_know_and_its_absence(monkeypatch):
    pytest.importorskip("timm")
    with pytest.raises(ConfigError, match=r"timm does not know \(did you mean 'timm/vit_tiny_patch16_224'"):
        contract.find(NetworkSettings(name="timm/vit_tiny_patch16_223"))
    with pytest.raises(ConfigError, match=r"'img_siz' \(did you mean 'img_size'\?\)"):
        contract.find(NetworkSettings(name="timm/vit_tiny_patch16_224", img_siz=64))
    with pytest.raises(ConfigError, match=r"expect 224\), or .*architecture.img_size: 64"):
        contract.find(NetworkSettings(name="timm/vit_tiny_patch16_224", resolution=64))
    usual = builtins.__import__

    def without_timm(name, *arguments):
        if name == "timm":
            raise ImportError(name)
        return usual(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without_timm)
    with pytest.raises(SetupError, match="needs the package timm, which is not installed: pip install timm"):
        contract.find(NetworkSettings(name="timm/resnet18"))
