"""What holds for every recipe that stays near the source, by weights, features, norms or its head."""

import numpy as np
import pytest
import torch

from tests.conftest import SMALL_VIT, TRAINING, changed
from tests.training.rivals import SEED, run, settings_of
from transferlens.core.errors import ConfigError
from transferlens.core.settings import NetworkSettings
from transferlens.training import source

KINDS = ("l2_sp", "behavioural", "delta", "ldifs", "bss", "stoch_norm", "lwf", "co_tuning")
AUGMENTED = changed(TRAINING, epochs=2, crop="random_resized", flip=True)


@pytest.mark.parametrize("kind", KINDS)
def test_a_transformer_is_trained_so_too(textures, kind):
    _, images, _ = textures
    options = {"image_size": 28, "patch_size": 7, "dim": 16, "depth": 5, "heads": 2, "dropout": 0.1}
    architecture = NetworkSettings(file=f"{SMALL_VIT}:make_vit", resolution=28, **options)
    kept = source.initial_network(architecture, 4, SEED).eval().requires_grad_(False)
    if kind == "stoch_norm":
        with pytest.raises(ConfigError, match=r"'stoch_norm' cannot train .*: it has no batch norm"):
            run(images, settings_of(kind), kept)
        return
    before = {name: tensor.clone() for name, tensor in kept.state_dict().items()}
    found, _, log = run(images, settings_of(kind, changed(AUGMENTED, lr=0.02)), kept)
    assert np.isfinite(log).all()
    torch.testing.assert_close(kept.state_dict(), before, rtol=0, atol=0)
    assert not torch.equal(found.backbone.patches.weight, kept.backbone.patches.weight)
