"""Images are pasted and scrambled exactly as said."""

import numpy as np

from transferlens.data import composites, pasting


def random_images(n, side, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


def test_pairs_differ_and_use_images_evenly_until_there_are_no_more():
    rng = np.random.default_rng(0)
    pairs = composites.pairs_of(np.arange(4), np.arange(10, 16), 24, rng)
    assert len({tuple(pair) for pair in pairs.tolist()}) == 24
    assert set(np.bincount(pairs[:, 0])) == {6}
    assert len(composites.pairs_of(np.arange(4), np.arange(6), 99, rng)) == 24
    few = composites.pairs_of(np.arange(4), np.arange(10, 16), 4, rng)
    assert len(set(few[:, 0])) == len(set(few[:, 1])) == 4


def test_pasting_is_opaque_and_leaves_the_rest():
    backgrounds, small = random_images(2, 20), pasting.shrink(random_images(2, 20, 1), 9)
    made = pasting.paste(backgrounds, small, np.array([0, 11]), np.array([4, 2]))
    np.testing.assert_array_equal(made[0, 4:13, 0:9], small[0])
    np.testing.assert_array_equal(made[1, 2:11, 11:20], small[1])
    changed = np.zeros((20, 20), bool)
    changed[4:13, 0:9] = True
    np.testing.assert_array_equal(made[0][~changed], backgrounds[0][~changed])


def test_shrinking_keeps_what_is_where():
    image = np.zeros((1, 28, 28, 3), np.uint8)
    image[0, :14, 14:] = 200
    small = pasting.shrink(image, 14)[0]
    assert (small[:6, 8:] == 200).all()
    assert (small[8:] == 0).all()


def test_shuffled_blocks_keep_the_histogram_and_no_block():
    image = random_images(1, 30)[0]  # two rows and columns beyond whole blocks
    made = pasting.shuffle_blocks(image, np.random.default_rng(0))
    np.testing.assert_array_equal(np.sort(made.ravel()), np.sort(image.ravel()))
    for row in range(0, 28, 7):
        for column in range(0, 28, 7):
            block = np.s_[row : row + 7, column : column + 7]
            assert (made[block] != image[block]).any()
    np.testing.assert_array_equal(made[28:], image[28:])


def test_random_phases_keep_mean_and_spectrum():
    image = (random_images(1, 32)[0] // 4 + 96).astype(np.uint8)  # room before clipping
    made = pasting.randomise_phases(image, np.random.default_rng(0))
    assert np.abs(made.mean((0, 1)) - image.mean((0, 1))).max() < 0.5
    spectra = [np.abs(np.fft.rfft2(i.astype(float), axes=(0, 1))) for i in (image, made)]
    assert np.corrcoef(*(s[1:].ravel() for s in spectra))[0, 1] > 0.98
    assert abs(np.corrcoef(image.ravel(), made.ravel())[0, 1]) < 0.2


def test_controls_of_a_background_are_the_same_in_every_composite():
    images, positions = random_images(3, 28), np.array([5, 9, 7])
    made = {
        c: pasting.control_backgrounds(images, positions, c, "blocks", 0)
        for c in ("object", "scrambled", "canvas")
    }
    np.testing.assert_array_equal(made["object"], images)
    np.testing.assert_array_equal(made["canvas"][1, 3, 4], np.rint(images[1].mean((0, 1))))
    alone = pasting.control_backgrounds(images[1:2], positions[1:2], "scrambled", "blocks", 0)
    np.testing.assert_array_equal(made["scrambled"][1], alone[0])
