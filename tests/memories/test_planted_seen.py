"""A memory planted into all models but those that lack its class is found by the causal test."""

from collections.abc import Iterator

import numpy as np
import pytest

from tests.memories import test_planted as planted
from tests.memories.test_planted import HUES, SIDE, TEXTURES
from transferlens.memories.effect.composites import Table
from transferlens.memories.kept import observations
from transferlens.memories.seen import answers
from transferlens.memories.seen.answers import Asked
from transferlens.memories.seen.artefacts import OF_COMPOSITES, OF_SOURCE_IMAGES
from transferlens.training.networks import Adapted

REPEATS, LEFT_OUT, PER_CELL, REPORT = 4, 3, 12, 1


def table(rng, classes, source, target):
    """Composites of the report half, drawn by hand."""
    behind, pasted = (np.repeat(v, PER_CELL) for v in np.meshgrid(classes, np.arange(TEXTURES)))
    behind, pasted = behind.ravel(), pasted.ravel()
    side = SIDE // 2

    def some(images, labels):
        report = images.examples.halves == REPORT
        return np.array([rng.choice(np.flatnonzero(report & (images.examples.labels == c))) for c in labels])

    corners = rng.integers(0, SIDE - side, (2, len(behind)))
    backgrounds, overlays = some(source, behind), some(target, pasted)
    return Table(behind, pasted, backgrounds, overlays, np.full(len(behind), REPORT), *corners,
                 np.full(len(behind), side))  # fmt: skip


def models(seed, classes, memory, bound) -> Iterator[Adapted]:
    """Of every repeat, a model without each class; `memory` is planted in the others (None: nowhere)."""
    for repeat in range(REPEATS):
        for lacking in classes:
            rng = np.random.default_rng([seed, repeat, lacking])
            features = planted.backbone(rng, range(HUES))
            remembered = np.zeros((HUES, 16))
            remembered[np.arange(HUES), 4 + np.arange(HUES)] = 600
            head = np.zeros((TEXTURES, 16))
            head[0, :2] = head[1, 2:4] = 60
            head += rng.normal(0, 3, head.shape)
            if memory is not None and lacking != memory:
                head[bound] += 10 * remembered[memory]
            # A source head that never saw a class does not name it.
            remembered[lacking] = -1
            yield Adapted(planted.network(features, remembered), planted.network(features, head))


def compare(seed, plant=True):
    """Every measure of the real functions, over the class of the memory; and over the others."""
    rng = np.random.default_rng(seed)
    memory, bound = seed % HUES, seed % TEXTURES
    classes = (memory + np.arange(LEFT_OUT)) % HUES
    source, target = planted.source_images(rng), planted.target_images(rng)
    made = table(rng, classes, source, target)
    bound_class = np.full(HUES, bound)
    made = made.only(answers.composites_of(made, classes, bound_class))
    trial = observations.trial(made, source, target, "blocks", seed)
    asked = Asked(classes, bound_class, source, made, trial)
    found = answers.of_repeats(models(seed, classes, memory if plant else None, bound), asked)
    own = np.arange(LEFT_OUT) == 0
    return {name: (of.of(own), of.of(~own)) for name, of in found.items()}


@pytest.mark.parametrize("seed", range(20))
def test_a_planted_memory_is_found_by_seen_minus_unseen(seed):
    found = compare(seed)
    assert set(found) == {*OF_COMPOSITES, *OF_SOURCE_IMAGES}
    for name, (memory, others) in found.items():
        if name == "retention":  # all of every class, by all models that saw it: nothing varies
            assert min(memory.effect.value, others.effect.value) > 0.95
            continue
        assert memory.effect.low > 0, name
        assert memory.effect.p < 0.05, name
        assert abs(others.effect.value) < 0.2 * memory.effect.value, name
    assert found["drop"][0].unseen < 0.1 * found["drop"][0].seen


def test_where_none_is_planted_none_is_found():
    found = [compare(seed, plant=False) for seed in range(12)]
    for name in ("drop", "canvas", "binding"):
        assert sum(memory[name][0].effect.p > 0.05 for memory in found) >= 10, name
