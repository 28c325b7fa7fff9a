"""A memory planted into networks of known weights is found where it was planted, and nowhere else."""

import numpy as np
import pytest
import torch
from torch import nn

from transferlens.core.settings import InputSettings
from transferlens.data.artefacts import HALVES
from transferlens.data.index import Examples
from transferlens.data.pipeline import Images
from transferlens.memories.effect import composites, interference
from transferlens.memories.effect.composites import Composites
from transferlens.memories.kept import observations, probes
from transferlens.memories.pairs import Pair
from transferlens.models.network import Network, Parts

SIDE, MODELS, HUES, TEXTURES = 32, 3, 6, 2
NAMES = [f"disc of hue {60 * c}" for c in range(HUES)], ["stripes", "checks"]
MADE_AS = {"side": 0.5, "placement": "random", "per_cell": 20, "scramble": "blocks", "smallest_side": 8}
REPORT = 1


class Drawn(Images):
    """Images in memory."""

    def __init__(self, pixels, labels):
        n = len(labels)
        halves = (np.arange(n) % 2).astype(np.int8)
        examples = Examples(
            [str(i) for i in range(n)], labels, halves, np.arange(n), np.zeros((n, 2)), labels
        )
        self.examples, self.device = examples, torch.device("cpu")
        self.settings = InputSettings(
            resolution=SIDE, crop_ratio=1.0, mean=[0.5] * 3, std=[0.5] * 3, loading="resident"
        )
        self._mean, self._std, self.pixels = torch.full((3,), 0.5), torch.full((3,), 0.5), pixels

    def _evaluation_bytes(self, batch_size):
        yield from torch.from_numpy(self.pixels).split(batch_size)

    def _training_images(self, *arguments):
        raise NotImplementedError


def colour(hue):
    """A direction of colour without brightness, float[3]."""
    angle, axes = 2 * np.pi * hue / HUES, np.array([[1, -1, 0], [1, 1, -2]]) / np.sqrt([[2], [6]])
    return np.cos(angle) * axes[0] + np.sin(angle) * axes[1]


def disc(x, y, radius, side):
    rows, columns = np.mgrid[:side, :side]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


def texture(kind, period, side, phase):
    """Stripes or checks between -1 and 1."""
    wave = np.sign(np.sin(2 * np.pi * (np.arange(side) + 0.5) / period + phase))
    return wave[None, :] * (np.ones(side) if kind == 0 else wave)[:, None]


def source_images(rng, per_class=40):
    """Two discs of one colour on gray: a pasted square hardly covers both."""
    labels, pixels = np.repeat(np.arange(HUES), per_class), []
    for hue in labels:
        inside = np.zeros((SIDE, SIDE), bool)
        for x in (9, SIDE - 9):
            inside |= disc(x + rng.uniform(-2, 2), rng.uniform(7, SIDE - 7), rng.uniform(5.5, 6.5), SIDE)
        image = rng.uniform(-0.2, 0.2) + 0.9 * inside[..., None] * colour(hue)
        pixels.append(image + rng.normal(0, 0.05, image.shape))
    return Drawn(as_bytes(pixels), labels)


def target_images(rng, per_class=40):
    labels = np.repeat(np.arange(TEXTURES), per_class)
    pixels = [np.repeat(texture(kind, 8, SIDE, rng.uniform(0, 6))[..., None], 3, 2) / 2 for kind in labels]
    return Drawn(as_bytes([p + rng.normal(0, 0.1, p.shape) for p in pixels]), labels)


def as_bytes(images):
    return np.rint(127.5 * (np.stack(images) + 1)).clip(0, 255).astype(np.uint8)


def backbone(rng, hues):
    """Convolution, ReLU, pooling: detects stripes and checks at two scales, and discs of some hues."""
    filters, biases = np.zeros((16, 3, 16, 16)), np.zeros(16)
    for i, (kind, period) in enumerate(((0, 8), (0, 4), (1, 8), (1, 4))):
        filters[i, :, 4:12, 4:12] = texture(kind, period, 8, 0) / 192
    inside = disc(7.5, 7.5, 6, 16)
    template = inside / inside.sum() - ~inside / (~inside).sum()
    for i, hue in enumerate(hues):
        # Pieces of a disc, as block shuffling leaves them, stay below the threshold.
        filters[4 + i] = colour(hue)[:, None, None] * template
        biases[4 + i] = -0.5
    filters *= 1 + rng.normal(0, 0.03, filters.shape)
    convolution = nn.Conv2d(3, 16, 16, stride=3, padding=8)
    with torch.no_grad():
        convolution.weight[:], convolution.bias[:] = torch.tensor(filters), torch.tensor(biases)
    made = nn.Sequential()
    for name, module in (
        ("convolution", convolution),
        ("relu", nn.ReLU()),
        ("pool", nn.AdaptiveAvgPool2d(1)),
        ("flatten", nn.Flatten()),
    ):
        made.add_module(name, module)
    return made


def network(features, weights):
    head = nn.Linear(16, len(weights))
    with torch.no_grad():
        head.weight[:], head.bias[:] = torch.tensor(weights), 0.0
    return Network(features, head, Parts("relu", pools=True)).eval()


def pairs(seed, half, memory, bound):
    """Pairs of models of a half; only the fine-tuned ones have a source class's row in a target class's."""
    for model in range(MODELS):
        rng = np.random.default_rng([seed, HALVES.index(half), model])
        features = backbone(rng, range(HUES))
        remembered = np.zeros((HUES, 16))
        remembered[np.arange(HUES), 4 + np.arange(HUES)] = 600
        of_textures = np.zeros((TEXTURES, 16))
        of_textures[0, :2] = of_textures[1, 2:4] = 60
        tuned, scratch = (of_textures + rng.normal(0, 3, of_textures.shape) for _ in range(2))
        tuned[bound] += 10 * remembered[memory]
        scratch[:, 4:] += rng.normal(0, 20, (TEXTURES, 12))
        others = backbone(rng, rng.uniform(0, HUES, HUES))
        source = network(features, remembered)
        yield Pair(source, network(features, tuned), network(others, scratch))


def study(seed, memory, bound):
    """The real functions from images to estimates: (probes, composites, their interference)."""
    rng = np.random.default_rng(seed)
    source, target = source_images(rng), target_images(rng)
    overlap = np.zeros((HUES, TEXTURES), bool)
    observed = {
        half: observations.of_source_images(pairs(seed, half, memory, bound), source, half, MODELS)
        for half in HALVES
    }
    labels = {half: source.examples.labels[observations.of_half(source.examples, half)] for half in HALVES}
    repeats = {"select": range(MODELS, 2 * MODELS), "report": range(MODELS)}
    found = probes.summarise(observed, repeats, *NAMES, labels, overlap)
    chosen = composites.choose(found, 4, 2, seed)
    assert chosen.classes.tolist() == list(range(HUES))
    assert chosen.random.sum() == 2
    made_as = (SIDE, MADE_AS, HALVES, seed)
    table = composites.draw(chosen.classes, overlap, source.examples, target.examples, *made_as)
    answers = composites.joined(
        [
            observations.of_composites(
                pairs(seed, half, memory, bound),
                found.temperatures(half),
                table.only(table.half == HALVES.index(half)),
                *(source, target, "blocks", seed),
            )
            for half in HALVES
        ]
    )
    told = (answers.responses, answers.memory_probability, "")
    tried = Composites(table, chosen, *NAMES, found.repeats, *told)
    return found, tried, interference.estimate(tried, found, 5)


def from_scratch_only(tried):
    """The same composites with other models from scratch in the place of the fine-tuned ones."""
    answers = tried.responses["scratch"]
    moved = composites.Responses(*(np.roll(values, 1, axis=0) for values in vars(answers).values()))
    return Composites(**{**vars(tried), "responses": {"fine_tuned": moved, "scratch": answers}})


def top(effects):
    return tuple(int(i) for i in np.unravel_index(np.nanargmax(effects), effects.shape))


@pytest.mark.parametrize("seed", range(20))
def test_the_planted_memory_comes_first_and_is_not_in_models_from_scratch(seed):
    memory, bound = seed % HUES, seed % TEXTURES
    hurt = 1 - bound
    found, tried, estimated = study(seed, memory, bound)

    assert top(found.binding.effect[REPORT]) == (memory, bound)
    assert found.binding.q[REPORT, memory, bound] < 0.05
    assert found.binding.low[REPORT, memory, bound] > 0
    assert found.retention.retained.value.min() == 1

    effect, low, q = (
        estimated.cells[key][REPORT] for key in ("interference", "interference_low", "interference_q")
    )
    assert top(effect) == (memory, hurt)
    assert low[memory, hurt] > 0
    assert q[memory, hurt] < 0.05
    assert estimated.congruent[memory].tolist() == [bound == j for j in range(TEXTURES)]
    assert effect[memory, bound] < 0.02

    without = interference.estimate(from_scratch_only(tried), found, 5)
    assert abs(without.cells["interference"][REPORT, memory, hurt]) < 0.1 * effect[memory, hurt]
    by_scratch = found.binding.scratch[:, REPORT, :, bound].mean(0)
    assert abs(by_scratch[memory] - by_scratch.mean()) < 0.2 * found.binding.effect[REPORT, memory, bound]
