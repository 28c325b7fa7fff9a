"""Remedies: their losses by hand, what joins a batch, and what they do to a planted memory."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from tests.conftest import ARCHITECTURE, INPUT, TRAINING, changed
from tests.training.test_resumption import Interrupted, interrupt_after
from transferlens.core.errors import ConfigError
from transferlens.core.settings import InputSettings
from transferlens.data import composites
from transferlens.data.pipeline import shuffled_batches
from transferlens.training import engine, recipes, resumption, source, transfer
from transferlens.training.block import train_block
from transferlens.training.recipes import remedies
from transferlens.training.recipes.base import Data
from transferlens.training.recipes.settings.plain import FullSettings
from transferlens.training.recipes.settings.remedies import RemediedSettings
from transferlens.training.runs import Job

FULL = FullSettings(training=TRAINING)
KINDS = ("composites", "uniform", "consistency", "inside")
LOGITS = torch.tensor([[1.0, 3.0, -2.0], [0.0, 0.5, 4.0]])


@dataclass
class Pictures:
    """Images [N, 3, H, W] in place of a split's."""

    images: torch.Tensor
    labels: torch.Tensor
    settings: InputSettings = INPUT

    @property
    def device(self):
        return self.images.device

    @property
    def examples(self):
        return replace(self, labels=self.labels.numpy())

    def __len__(self):
        return len(self.images)

    def training_batches(self, one):
        for batch in shuffled_batches(one):
            yield self.images[batch], self.labels[batch]


def stripes(orientations, strength, seed):
    """Noisy images of sine stripes, vertical (0), horizontal (1) or none (2)."""
    rng = torch.Generator().manual_seed(seed)
    count, at = len(orientations), torch.arange(28.0)
    wave = torch.sin(at / 1.3 + 6.3 * torch.rand(count, 1, generator=rng))
    along = torch.stack([wave[:, None, :].expand(-1, 28, -1), wave[:, :, None].expand(-1, -1, 28)], 1)
    along = torch.cat([along, torch.zeros(count, 1, 28, 28)], 1)
    images = strength * along[torch.arange(count), orientations][:, None].expand(-1, 3, -1, -1)
    noisy = images + 0.4 * torch.randn(count, 3, 28, 28, generator=rng)
    return noisy.contiguous(memory_format=torch.channels_last)


def pictures(classes, strength, seed, each=60):
    labels = torch.arange(classes).repeat(each)
    return Pictures(stripes(labels, strength, seed), labels)


@pytest.fixture(scope="module")
def planted():
    """(source images, a model trained on them, target images): source class 1 looks like target class 1."""
    images = pictures(3, 2.0, seed=0)
    network = source.initial_network(ARCHITECTURE, 3, 0).train()
    engine.train(network, network.parameters(), images, np.arange(len(images)), TRAINING, 0)
    return images, network.state_dict(), pictures(2, 0.8, seed=1)


def material(images, classes=(1,)):
    return remedies.Material(images, np.array(classes), ["horizontal"], 0.45, "random")


def remedied(kind, weight=1.0):
    return RemediedSettings(kind=kind, training=TRAINING, classes=1, weight=weight)


def started(settings, network, images, target, seed=0):
    """A recipe at the start of a run on all of the target."""
    recipe = recipes.make(settings)
    data = Data(target, np.arange(len(target)), material=material(images))
    recipe.start(network, None, data, seed)
    return recipe


def adapted(planted, remedy=FULL, seed=3, epochs=8):
    images, state, target = planted
    network = source.initial_network(ARCHITECTURE, 3, 0)
    network.load_state_dict(state)
    torch.manual_seed(seed)
    network.head = torch.nn.Linear(network.head.in_features, 2)
    recipe = changed(remedy, training=changed(TRAINING, epochs=epochs))
    adapted = transfer.adapt(network, target, recipe, seed, material(images))
    return adapted.network.eval(), adapted.log


def p_composites(network):
    """Mean p(vertical) of vertical images pasted on images of source class 1."""
    overlays = stripes(torch.zeros(64, dtype=torch.int64), 0.8, seed=5)
    corners = composites.places(64, 15, "random", np.random.default_rng(0))
    pasted = remedies.paste(stripes(torch.ones(64, dtype=torch.int64), 2.0, seed=6), overlays, corners, 13)
    with torch.inference_mode():
        return float(network(pasted).softmax(1)[:, 0].mean())


def test_remedies_reduce_what_a_planted_memory_does(planted):
    """The plain recipe takes hardly any composite for what is pasted, the remedied ones most."""

    def mean_p(remedy):
        return np.mean([p_composites(adapted(planted, remedy, seed)[0]) for seed in (1, 2)])

    assert mean_p(FULL) < 0.2
    for kind in ("composites", "consistency", "inside"):
        assert mean_p(remedied(kind)) > 0.5, kind


def test_uniform_targets_make_the_memory_uninformative(planted):
    (plain, _), (uniform, _) = (adapted(planted, r) for r in (FULL, remedied("uniform")))
    images = stripes(torch.ones(64, dtype=torch.int64), 2.0, seed=6)
    with torch.inference_mode():
        bound, free = (float(network(images).softmax(1)[:, 1].mean()) for network in (plain, uniform))
    assert bound > 0.9
    assert abs(free - 0.5) < 0.2


@pytest.mark.parametrize("kind", KINDS)
def test_a_remedy_is_a_function_of_the_seed_and_leaves_no_hook(planted, kind):
    settings = remedied(kind, 0.5)
    (first, log), (again, _), (other, _) = (adapted(planted, settings, seed, epochs=1) for seed in (3, 3, 4))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(first.backbone.stem[0].weight, other.backbone.stem[0].weight)
    assert np.isfinite(log).all()
    assert not any(module._forward_hooks for module in first.modules())


@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupted_remedy_goes_on_to_the_same_bits(planted, tmp_path, monkeypatch, kind):
    """With the next source images, pasted at the next places."""
    images, state, target = planted
    settings = changed(remedied(kind), training=changed(TRAINING, epochs=2))
    data = Data(target, np.arange(len(target)), material=material(images))

    def network():
        made = source.initial_network(ARCHITECTURE, 2, 0)
        made.backbone.load_state_dict({n[9:]: t for n, t in state.items() if n.startswith("backbone.")})
        return made

    def trained(kept):
        (model,) = train_block([Job(network, data, settings, 3, kept=kept)])
        return model.network

    def kept():
        return resumption.Progress(tmp_path / "runs.h5", 0.0, "identity").of(0)

    with monkeypatch.context() as patch:
        interrupt_after(patch, 5)
        with pytest.raises(Interrupted):
            trained(kept())
    again, whole = trained(kept()), trained(resumption.NOTHING)
    torch.testing.assert_close(again.state_dict(), whole.state_dict(), rtol=0, atol=0)


def test_the_weight_weighs(planted):
    settings = [remedied("composites", weight) for weight in (1e-9, 1.0, 5.0)]
    first = [adapted(planted, s, epochs=1)[1][0, 0] for s in settings]
    assert first[0] < first[1] < first[2]


@pytest.mark.parametrize("kind", KINDS)
def test_what_joins_a_batch(planted, kind):
    images, _, target = planted
    network = source.initial_network(ARCHITECTURE, 3, 0)
    batch = target.images[:16]
    remedy = started(remedied(kind), network, images, target)
    joined = remedy.extra_images(batch)
    distracting = images.images[images.labels == 1]
    if kind == "uniform":
        assert all((distracting == image).all((1, 2, 3)).any() for image in joined)
        return
    small = remedies.resized(batch, 13)
    for i, (x, y) in enumerate(remedy.corners):
        torch.testing.assert_close(joined[i, :, y : y + 13, x : x + 13], small[i])
        outside = torch.ones(28, 28, dtype=bool)
        outside[y : y + 13, x : x + 13] = False
        assert (distracting[:, :, outside] == joined[i][:, outside]).all((1, 2)).any()


def test_composites_are_labelled_by_what_is_pasted(planted):
    images, _, target = planted
    recipe = started(remedied("composites", 2.0), source.initial_network(ARCHITECTURE, 3, 0), images, target)
    recipe.enter(next(recipe.phases()), {})
    labels = torch.tensor([2, 0])
    own, beside = (torch.nn.functional.cross_entropy(logits, labels) for logits in (LOGITS, LOGITS.flip(1)))
    loss = recipe.loss(torch.cat([LOGITS, LOGITS.flip(1)]), {}, labels, {})
    torch.testing.assert_close(loss, own + 2 * beside)


def test_divergence_from_the_uniform_distribution():
    assert float(remedies.from_uniform(torch.full((4, 5), 7.0))) == pytest.approx(0, abs=1e-6)
    p = torch.tensor([[0.7, 0.2, 0.1]], dtype=torch.float64)
    expected = float((1 / 3 * torch.log(1 / 3 / p)).sum())
    assert float(remedies.from_uniform(p.log() + 4)) == pytest.approx(expected)


def test_divergence_from_the_clean_prediction():
    assert float(remedies.from_clean(LOGITS, LOGITS + 2)) == pytest.approx(0, abs=1e-6)
    clean, composite = LOGITS.clone().requires_grad_(), LOGITS.flip(1).requires_grad_()
    found = remedies.from_clean(clean, composite)
    p, q = clean.softmax(1).detach(), composite.softmax(1).detach()
    torch.testing.assert_close(found.detach(), (p * (p / q).log()).sum(1).mean())
    found.backward()
    assert clean.grad is None
    torch.testing.assert_close(composite.grad, (q - p) / 2)


def test_evidence_outside_the_square():
    """Maps enlarged to 8 pixels a side, by hand: the share of what torch makes of them."""
    evidence = torch.tensor(
        [[[6.0, 2.0], [-9.0, 0.0]], [[1.0, 1.0], [1.0, 1.0]], [[-1.0, -1.0], [-2.0, 0.0]]]
    )
    corners, expected = torch.tensor([[0, 0], [3, 2], [4, 4]]), []
    for cells, (x, y) in zip(evidence, corners, strict=True):
        whole = torch.nn.functional.interpolate(cells.relu()[None, None] + 1e-6, (8, 8), mode="bilinear")[
            0, 0
        ]
        expected.append(1 - whole[y : y + 4, x : x + 4].sum() / whole.sum())
    assert expected[1] == expected[2] == 0.75
    found = remedies.outside(evidence.requires_grad_(), corners, 4, 8)
    assert float(found.detach()) == pytest.approx(float(sum(expected)) / 3, rel=1e-5)
    found.backward()
    assert evidence.grad[0, 0, 0] < 0 < evidence.grad[0, 0, 1]
    assert (evidence.grad[2] == 0).all()


@pytest.mark.parametrize("kind", ["consistency", "inside"])
def test_running_out_of_memory_changes_nothing_with_batch_norm(planted, kind):
    """Stages are computed again in the backward pass; the images beside the batch are drawn once."""
    images, _, target = planted

    def weights(short):
        network = source.initial_network(ARCHITECTURE, 2, 0).train()
        block = network.backbone.block3

        def full(_, inputs):
            if short and "forward" not in vars(block):
                raise torch.OutOfMemoryError("CUDA out of memory")

        block.register_forward_pre_hook(full)
        engine.run(started(remedied(kind), network, images, target))
        return network.state_dict()

    torch.testing.assert_close(weights(True), weights(False), rtol=0, atol=0)


def test_running_out_of_memory_is_an_error_where_the_batch_cannot_be_computed_with_less(planted):
    """Without batch norm a batch would be cut; with a remedy it is not."""
    images, _, target = planted
    flat = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 28 * 28, 2))

    def full(_, inputs):
        if len(inputs[0]) > 8:
            raise torch.OutOfMemoryError("CUDA out of memory")

    flat.register_forward_pre_hook(full)
    positions = np.arange(len(target))
    engine.train(flat, flat.parameters(), target, positions, TRAINING, 0)
    with pytest.raises(torch.OutOfMemoryError):
        engine.run(started(remedied("composites"), flat, images, target))


def test_places_of_a_grid():
    """Nine places in turn, whole inside; the next batch goes on where the last one ended."""
    rng = np.random.default_rng(0)
    whole = composites.places(18, 15, "grid", rng)
    assert len(np.unique(whole[:9], axis=0)) == 9
    assert (whole.min(), whole.max()) == (0, 15)
    np.testing.assert_array_equal(whole[:9], whole[9:])
    np.testing.assert_array_equal(composites.places(5, 15, "grid", rng, first=4), whole[4:9])


def test_evidence_needs_a_network_that_pools(planted):
    network = source.initial_network(ARCHITECTURE, 2, 0)
    network.parts = replace(network.parts, pools=False)
    images, _, target = planted
    with pytest.raises(ConfigError, match="features are means over the cells"):
        started(remedied("inside"), network, images, target)
