"""One stream of decoded JPEGs for several models: each takes the images of its own, in one order."""

import numpy as np
import pytest
import torch

from tests.conftest import INPUT, TRAINING, changed
from transferlens.core.errors import ConfigError
from transferlens.data import ffcv_files, shared
from transferlens.data.pipeline import Pass
from transferlens.data.shared import Share, SharedImages

CPU = torch.device("cpu")
MOVED = changed(TRAINING, crop="translate", padding=2, flip=True)
IMAGES, SIDE = 90, 28
EVERY = np.arange(IMAGES)


@pytest.fixture(scope="module")
def images(dataset):
    """Decoded in plain Python, as compiling takes longer (random crops: tests/training)."""
    made, files = dataset
    settings = changed(INPUT, loading="shared")
    with ffcv_files._compiling(False):
        yield SharedImages(files["jpg"]["train"], made.train, settings, CPU, 7)


def whole(positions, batch_size=16):
    return Share(positions, batch_size, 0, len(positions) // batch_size)


def taken(images, shares, number=0, training=MOVED, resolution=SIDE):
    """Of every share, all its images and labels one after the other."""
    found = [([], []) for _ in shares]
    for model, (batch, labels) in images.shared_batches(number, resolution, training, shares):
        assert len(batch) == shares[model].batch_size
        found[model][0].append(batch)
        found[model][1].append(labels)
    return [(torch.cat(batches), torch.cat(labels)) for batches, labels in found]


def test_a_model_takes_each_of_its_images_once_in_the_order_of_all(images):
    """Whatever part of them it takes: the reference is a model of all images, in batches of two."""
    ((pixels, labels),) = taken(images, [whole(EVERY, 2)])
    order = shared.Drawn.of(images.seed, 0, IMAGES, MOVED).order
    np.testing.assert_array_equal(labels.numpy(), images.examples.labels[order])
    rng = np.random.default_rng(0)
    masks = [np.sort(rng.permutation(IMAGES)[:count]) for count in (20, 45, 70)]
    for positions, (own, own_labels) in zip(masks, taken(images, [whole(m) for m in masks]), strict=True):
        places = np.flatnonzero(np.isin(order, positions))[: len(positions) // 16 * 16]
        assert torch.equal(own, pixels[places])
        assert torch.equal(own_labels, labels[places])
    assert len(torch.unique(pixels.flatten(1), dim=0)) == IMAGES


@pytest.mark.parametrize("chunk", [7, 64])
def test_batches_do_not_depend_on_who_else_takes_or_on_the_chunk(images, chunk, monkeypatch):
    alone = taken(images, [whole(np.arange(60))])[0]
    monkeypatch.setattr(shared, "_CHUNK", chunk)
    others = [whole(np.arange(40, 90)), whole(np.arange(60)), Share(EVERY, 32, 1, 2)]
    assert torch.equal(taken(images, others)[1][0], alone[0])
    batches = images.training_batches(Pass(np.arange(60), MOVED, 16, 0, 99, SIDE))
    assert torch.equal(torch.cat([batch for batch, _ in batches]), alone[0])


def test_passes_and_seeds_have_orders_and_changes_of_their_own(images):
    """Two of the same image, found by its place in the order."""
    (first, _), (second, _) = (taken(images, [whole(EVERY, 2)], number)[0] for number in (0, 1))
    orders = [shared.Drawn.of(images.seed, number, IMAGES, MOVED).order for number in (0, 1)]
    assert not np.array_equal(*orders)
    assert not np.array_equal(orders[0], shared.Drawn.of(images.seed + 1, 0, IMAGES, MOVED).order)
    of_image = [pixels[np.argsort(order)] for pixels, order in zip((first, second), orders, strict=True)]
    # One in fifty is shifted and mirrored alike by chance.
    assert (of_image[0] == of_image[1]).flatten(1).all(1).float().mean() < 0.1


def test_every_image_is_decoded_once_for_all_and_none_that_nobody_takes(images, monkeypatch):
    decoded = []
    make = images._loader

    def watched(*given, **others):
        loader = make(*given, **others)

        class Watching:
            restart = staticmethod(loader.restart)

            def __iter__(self):
                for (chunk,) in loader:
                    decoded.append(len(chunk))
                    yield (chunk,)

        return Watching()

    monkeypatch.setattr(images, "_loader", watched)
    monkeypatch.setattr(shared, "_CHUNK", 16)
    shares = [whole(np.arange(0, 64)), whole(np.arange(16, 80)), whole(np.arange(16, 64))]
    taken(images, shares)
    assert sum(decoded) == 80
    decoded.clear()
    taken(images, [Share(np.arange(64), 16, 3, 4)])  # the others were taken before a kill
    assert sum(decoded) == 16


def test_decoded_are_the_very_images_and_shifts_are_by_the_image(images):
    """Without changes those of evaluation, bit for bit; with shifts a part of them."""
    everything = torch.cat(list(images.evaluation_batches(50)))
    order = shared.Drawn.of(images.seed, 0, IMAGES, MOVED).order
    ((plain, _),) = taken(images, [whole(EVERY, 2)], training=changed(TRAINING, crop="none", flip=False))
    assert torch.equal(plain, everything[order])
    ((shifted, _),) = taken(images, [whole(EVERY, 2)], training=changed(MOVED, flip=False))
    corners = shared.Drawn.of(images.seed, 0, IMAGES, MOVED).corners[:, order]
    assert corners.unique().tolist() == [0, 1, 2, 3, 4]
    for pixels, unmoved, (top, left) in zip(shifted, plain, corners.T.tolist(), strict=True):
        kept = unmoved[:, max(0, top - 2) : SIDE + top - 2, max(0, left - 2) : SIDE + left - 2]
        rows, columns = (slice(max(0, 2 - at), SIDE + 2 - at) for at in (top, left))
        assert torch.equal(pixels[:, rows, columns], kept)


def test_a_second_view_is_refused(images):
    with pytest.raises(ConfigError, match=r"have one view; set input\.loading to streaming"):
        next(images.training_batches(Pass(EVERY, MOVED, 16, 0, 0, SIDE, view=1)))
