"""Networks of every family, from what is found of them to class maps and training with little memory.

The table says what is expected of each; the tests below hold for all. Dropout and stochastic depth are
switched on, so that micro-batches must share their draws.
"""

import copy
import shutil
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.conftest import INPUT, OWN_NETWORKS, SMALL_VIT, TRAINING, changed, rows_of
from transferlens.core import artefacts
from transferlens.core.errors import ConfigError
from transferlens.core.settings import DatasetSettings, NetworkSettings
from transferlens.data import ffcv_writing, folder, index_making, pipeline
from transferlens.maps import class_maps, evidence
from transferlens.models import contract, layers
from transferlens.training import engine, fitting, networks, outputs, source, summary, transfer
from transferlens.training.artefacts import SUMMARY, TRANSFER_RUNS
from transferlens.training.recipes.settings.plain import FixedSettings, FullSettings

CPU = torch.device("cpu")
EXACT = ""
CLASS_TOKEN = "its features are read from a token of their own"
MORE_LAYERS = "its features are no means over the cells of a map (more layers stand between)"


@dataclass(frozen=True)
class Expected:
    """What is to be found of a network.

    Attributes:
        side: of the images, in pixels.
        heads: paths of the linear layers that give the logits.
        layer: where class maps come from.
        cells: height and width of class maps.
        evidence: EXACT where they add up to logits; else why not.
        norm: a normalisation between their means and the features.
        prefix: tokens that stand for no cell.
        blocks: how many there are.
        batchnorm: whether images of a batch see each other in training.
        options: of the network.
    """

    side: int
    heads: str | tuple[str, ...]
    layer: str
    cells: int
    blocks: int
    evidence: str = EXACT
    norm: str | None = None
    prefix: int = 0
    batchnorm: bool = False
    options: dict = field(default_factory=dict)


RESNET20, VIT = f"{OWN_NETWORKS}:make_resnet20", f"{SMALL_VIT}:make_vit"
TIMM_DROPS = {"proj_drop_rate": 0.1, "drop_path_rate": 0.2}
EXPECTED = {
    # torchvision
    "resnet18": Expected(64, "fc", "layer4", 2, 9, batchnorm=True),
    "vgg11": Expected(32, "classifier.6", "features.19", 2, 10, MORE_LAYERS),
    "densenet121": Expected(64, "classifier", "features", 2, 8, batchnorm=True),
    "googlenet": Expected(64, "fc", "inception5b", 2, 12, batchnorm=True),
    "mobilenet_v3_small": Expected(64, "classifier.3", "features", 2, 14, MORE_LAYERS, batchnorm=True),
    "efficientnet_b0": Expected(64, "classifier.1", "features", 2, 18, batchnorm=True),
    "convnext_tiny": Expected(64, "classifier.2", "features", 2, 22, norm="classifier.0"),
    "vit_b_16": Expected(
        32,
        "heads.head",
        "encoder.layers.encoder_layer_11.ln_1",
        2,
        13,
        CLASS_TOKEN,
        prefix=1,
        options={"image_size": 32, "dropout": 0.1},
    ),
    "swin_t": Expected(64, "head", "permute", 2, 16),
    # timm
    "timm/resnet10t": Expected(64, "fc", "layer4", 2, 7, batchnorm=True),
    "timm/vit_tiny_patch16_224": Expected(
        32,
        "head",
        "blocks.11.norm1",
        2,
        13,
        CLASS_TOKEN,
        prefix=1,
        options={"img_size": 32, **TIMM_DROPS},
    ),
    "timm/vit_tiny_patch16_224, mean": Expected(
        64,
        "head",
        "blocks",
        4,
        13,
        norm="fc_norm",
        prefix=1,
        options={"img_size": 64, "global_pool": "avg", **TIMM_DROPS},
    ),
    "timm/convnext_atto": Expected(
        64, "head.fc", "stages", 2, 16, norm="head.norm", options={"drop_path_rate": 0.2}
    ),
    "timm/deit_tiny_distilled_patch16_224": Expected(
        64,
        ("head", "head_dist"),
        "network.blocks.11.norm1",
        4,
        13,
        CLASS_TOKEN,
        prefix=2,
        options={"img_size": 64, **TIMM_DROPS},
    ),
    # files of users' own
    RESNET20: Expected(32, "linear", "layers.2", 8, 10, batchnorm=True),
    VIT: Expected(32, "head", "norm", 4, 3, options={"image_size": 32, "depth": 2, "dropout": 0.1}),
}


# A gigabyte of weights and minutes together; their families have smaller members in the table.
LARGE = ("vgg11", "densenet121", "googlenet", "efficientnet_b0", "convnext_tiny", "vit_b_16", "swin_t")
NETWORKS = [pytest.param(name, marks=[pytest.mark.large] * (name in LARGE)) for name in EXPECTED]


class _Narrow(nn.Linear):
    """64 in place of the 4,096 hidden units of vgg11, which would take most of the time."""

    def __init__(self, inputs, outputs, bias=True):
        super().__init__(*(64 if width == 4096 else width for width in (inputs, outputs)), bias)


@dataclass(frozen=True)
class Case:
    """A network of the table, trained on three textures and transferred to them by both recipes.

    Attributes:
        val: images of the val split.
        paths: files of the source model and of either recipe.
        trained: networks by recipe as they are loaded again, in evaluation mode.
    """

    expected: Expected
    settings: NetworkSettings
    val: pipeline.Images
    paths: dict
    trained: dict

    @property
    def images(self):
        """Four images of the val split."""
        return next(self.val.evaluation_batches(4))


@pytest.fixture(scope="module")
def few_images(image_folder, tmp_path_factory):
    """Opens 24 train and 12 val images of the textures at a resolution: (index, train, val)."""
    settings, place = DatasetSettings(train_per_class=8, val_per_class=4), tmp_path_factory.mktemp("few")
    images = folder.open_folder(image_folder)
    index, _ = index_making.make_index("textures", images, settings, seed=0)
    for split in ("train", "val"):
        path = place / f"{split}.beton"
        ffcv_writing.write_beton(path, getattr(images, split), index.split(split), settings, 1)
        ffcv_writing.write_manifest(path.with_suffix(".h5"), path, len(index.split(split)))

    def at(side):
        how = changed(INPUT, resolution=side)
        opened = (
            pipeline.open_images(place / f"{s}.beton", index.split(s), how, CPU) for s in ("train", "val")
        )
        return index, *opened

    return at


@pytest.fixture(scope="module", params=NETWORKS, ids=lambda name: name.rsplit("/", 1)[-1])
def case(request, few_images, tmp_path_factory):
    if request.param.startswith("timm/"):
        pytest.importorskip("timm")
    expected, place = EXPECTED[request.param], tmp_path_factory.mktemp("networks")
    name = request.param.split(",")[0]
    named = {"file": name} if name in (RESNET20, VIT) else {"name": name}
    settings = NetworkSettings(**named, resolution=expected.side, **expected.options)
    with pytest.MonkeyPatch.context() as patch:
        if name == "vgg11":
            patch.setattr(nn, "Linear", _Narrow)
        yield _through_both_recipes(expected, settings, few_images(expected.side), place)
    shutil.rmtree(place)


def _through_both_recipes(expected, settings, opened, place):
    index, train, val = opened
    once = changed(TRAINING, epochs=1, batch_size=12, lr=0.01, clip=1.0)
    paths, trained = {"source": place / "source.h5"}, {}
    source.train_shard(
        paths["source"],
        rows_of([[1, 1, 1]]),
        train.examples.labels,
        index.class_names,
        train,
        val,
        settings,
        FullSettings(training=once),
        False,
    )
    for recipe in (FixedSettings(training=once), FullSettings(training=once)):
        path = paths[recipe.kind] = place / f"{recipe.kind}.h5"
        transfer.transfer_shard(path, paths["source"], index, train, val, settings, recipe, True, "global")
        (adapted,) = networks.adapted_networks([paths["source"]], [path], settings, CPU)
        trained[recipe.kind] = adapted.network
    return Case(expected, settings, val, paths, trained)


def test_the_contract_is_found(case):
    expected, found = case.expected, contract.find(case.settings)
    heads = (expected.heads,) if isinstance(expected.heads, str) else expected.heads
    parts = found.parts
    assert (found.heads.paths, found.heads.last) == (heads, len(heads) == 1)
    assert (parts.class_map_layer, found.cells) == (expected.layer, (expected.cells,) * 2)
    assert (parts.pools, parts.norm) == (expected.evidence == EXACT, expected.norm)
    assert found.no_evidence.startswith(expected.evidence)
    assert bool(found.no_evidence) == bool(expected.evidence)
    assert (parts.prefix_tokens, len(parts.blocks), found.batchnorm) == (
        expected.prefix,
        expected.blocks,
        expected.batchnorm,
    )


def test_both_recipes_are_stored_and_loaded_bit_by_bit(case, tmp_path):
    """What a loaded network says of the val images is what was stored when it was trained."""
    (own,) = networks.source_networks([case.paths["source"]], case.settings, CPU)
    for kind, network in case.trained.items():
        said = outputs.per_example(engine.evaluate(network, case.val), case.val.labels)
        with artefacts.open(case.paths[kind], TRANSFER_RUNS) as file:
            assert np.isfinite(file["log"][:]).all()
            for name, values in said.items():
                np.testing.assert_array_equal(file[name][0], values)
        backbones = own.backbone.state_dict(), network.backbone.state_dict()
        kept = all(torch.equal(a, b) for a, b in zip(*(state.values() for state in backbones), strict=True))
        assert kept == (kind == "fixed")
        summary.write_summary(tmp_path / f"{kind}.h5", [case.paths[kind]])
        with artefacts.open(tmp_path / f"{kind}.h5", SUMMARY) as file:
            assert file["margin"].shape == (1, 12)


def test_class_maps_add_up_to_logits_or_are_refused(case):
    """To 1e-5 of the largest logit, in float32."""
    network, images = case.trained["full"], case.images
    if case.expected.evidence != EXACT:
        with pytest.raises(ConfigError, match="CAM needs a network whose features are means over the cells"):
            class_maps.class_maps(network, images, [0, 1, 2, 0], "CAM")
        return
    maps = class_maps.class_maps(network, images, [0, 1, 2, 0], "CAM")
    sums = maps.maps.mean((1, 2)) + evidence.offsets(network).detach().numpy()[[0, 1, 2, 0]]
    np.testing.assert_allclose(sums, maps.logits, rtol=0, atol=1e-5 * np.abs(maps.logits).max())


@pytest.mark.parametrize("method", ["GradCAM", "LayerCAM"])
def test_gradient_methods_map_every_network(case, method):
    network, cells = case.trained["full"], case.expected.cells
    found = [class_maps.class_maps(network, case.images, [c] * 4, method).maps for c in range(3)]
    assert np.isfinite(found).all()
    assert np.shape(found) == (3, 4, cells, cells)
    assert (np.ptp(found, axis=(2, 3)) > 0).any()


def test_tokens_lie_as_the_cells_of_the_picture(case):
    """A change in one cell of the picture moves that cell of the layer most."""
    network, cells, images = case.trained["full"], case.expected.cells, case.images[:1]
    side = images.shape[-1] // cells
    moved_in = images.repeat(cells**2, 1, 1, 1)
    for cell, image in enumerate(moved_in):
        row, column = divmod(cell, cells)
        image[:, row * side : (row + 1) * side, column * side : (column + 1) * side] += 2
    layer = network.class_map_layer
    with layers.watch(network.backbone, [layer]) as latest, torch.no_grad():
        network.backbone(torch.cat([images, moved_in]))
    if latest[layer].ndim == 4:
        return  # it has rows and columns
    before, *after = network.maps_of(latest[layer])
    change = (torch.stack(after) - before).square().sum(1).flatten(1)
    assert change.argmax(1).tolist() == list(range(cells**2))


def gradients(network, images, labels, forbidden=lambda network, images: False, dtype=torch.float32):
    """Gradients and loss of a step out of memory where that is forbidden, and what it resorts to."""

    def check(module, inputs):
        if torch.is_grad_enabled() and forbidden(network, inputs[0]):
            raise torch.OutOfMemoryError("a device is full")

    handle = network.get_submodule(f"backbone.{network.parts.blocks[-1]}").register_forward_pre_hook(check)
    step = fitting.Step(
        network,
        functional.cross_entropy,
        len,
        torch.amp.GradScaler("cpu", enabled=False),
        partial(torch.autocast, "cpu", dtype, enabled=dtype != torch.float32),
        network.zero_grad,
    )
    torch.manual_seed(0)
    loss, _ = step(images, labels)
    handle.remove()
    return [p.grad.clone() for p in network.parameters()], loss, (step.parts, step.recompute)


def test_training_with_less_memory_gives_the_whole_batch_s_gradients(case):
    network, images, labels = copy.deepcopy(case.trained["full"]).train(), case.images, torch.arange(4) % 3

    def kept(network, images):
        return "forward" not in vars(network.backbone.get_submodule(network.parts.blocks[-1]))

    whole, loss, resort = gradients(network, images, labels)
    assert resort == (1, False)
    found, found_loss, resort = gradients(network, images, labels, kept)
    assert resort == ((1, True) if case.expected.batchnorm else (4, True))
    torch.testing.assert_close(found_loss, loss)
    norm = torch.stack([g.norm() for g in whole]).norm()
    assert torch.stack([(a - b).norm() for a, b in zip(found, whole, strict=True)]).norm() < 1e-4 * norm


def test_a_step_in_bfloat16_is_finite_and_near_float32(case):
    network, images, labels = copy.deepcopy(case.trained["full"]).train(), case.images, torch.arange(4) % 3
    _, loss, _ = gradients(network, images, labels)
    rough, rough_loss, _ = gradients(network, images, labels, dtype=torch.bfloat16)
    assert all(g.isfinite().all() and g.dtype == torch.float32 for g in rough)
    torch.testing.assert_close(rough_loss, loss, rtol=0.05, atol=0.05)


class HeldFixed(nn.LayerNorm):
    """A normalisation whose statistics take no part in gradients."""

    def forward(self, x):
        variance, mean = torch.var_mean(x.detach(), dim=-1, correction=0, keepdim=True)
        return (x - mean) / (variance + self.eps).sqrt() * self.weight + self.bias


def test_evidence_behind_a_normalisation_is_gradient_times_input_with_its_statistics_held_fixed():
    """Of the maps less the mean that the normalisation takes away, through the network itself, in float64."""
    torch.manual_seed(0)
    settings = NetworkSettings(file=f"{OWN_NETWORKS}:make_convnext", resolution=64)
    network = contract.build(settings, 5).double().eval()
    nn.init.normal_(network.norm.weight)
    nn.init.normal_(network.norm.bias)
    maps, _ = evidence.with_activations(network, images := torch.randn(3, 3, 64, 64).double())
    found = evidence.class_evidence(network, maps)
    fixed = copy.deepcopy(network)
    norm, where = network.norm, network.parts.norm
    held = HeldFixed(norm.normalized_shape, norm.eps).double()
    held.load_state_dict(norm.state_dict())
    channels_last = nn.Sequential(Permuted((0, 2, 3, 1)), held, Permuted((0, 3, 1, 2)))
    fixed.backbone.set_submodule(where, channels_last)
    torch.testing.assert_close(fixed(images), network(images))
    less, outputs_seen = maps - maps.mean((1, 2, 3), keepdim=True), []
    layer = fixed.backbone.get_submodule(fixed.class_map_layer)
    layer.register_forward_hook(lambda _, inputs, output: outputs_seen.append(output))
    logits = fixed(images)
    for c in range(5):
        (gradient,) = torch.autograd.grad(logits[:, c].sum(), outputs_seen, retain_graph=True)
        torch.testing.assert_close(found[:, c], gradient[0, 0].numel() * (gradient * less).sum(1))


class Permuted(nn.Module):
    def __init__(self, order):
        super().__init__()
        self.order = order

    def forward(self, x):
        return x.permute(self.order)
