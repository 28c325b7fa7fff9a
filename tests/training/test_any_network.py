"""Recipes that change the steps, on networks of other kinds: transformers and networks without batch norm."""

import numpy as np
import pytest
import torch

from tests.conftest import OWN_NETWORKS, SMALL_VIT, changed
from tests.training.adapting import ADAM, differs, settings, trained
from transferlens.core.settings import NetworkSettings
from transferlens.training import source

NETWORKS = {
    "vit": NetworkSettings(file=f"{SMALL_VIT}:make_vit", resolution=28, image_size=28, patch_size=7, depth=2),
    "class token": NetworkSettings(
        file=f"{OWN_NETWORKS}:make_class_token_vit", resolution=28, image_size=28, patch_size=7
    ),
    "convnext": NetworkSettings(file=f"{OWN_NETWORKS}:make_convnext", resolution=28),
}
KINDS = {
    "lp_ft": {"grid": 2},
    "wise_ft": {"grid": 2},
    "ftp": {},
    "spd": {},
    "mars_sp": {"radius": 0.01},
    "lora": {"rank": 2},
    "layerwise": {},
    "bitfit": {"trained": "norms"},
    "ema": {"decay": 0.5},
}
SHORT = changed(ADAM, epochs=1, iterations=2)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("kind", KINDS)
def test_any_network_is_trained_and_stays_of_its_form(textures, kind, name):
    _, images, _ = textures

    def network():
        return source.initial_network(NETWORKS[name], 3, 0)

    model = trained(images, settings(kind, SHORT, **KINDS[kind]), network)
    assert np.isfinite(model.log).all()
    assert all(torch.isfinite(value).all() for value in model.network.state_dict().values())
    loaded = network()
    loaded.load_state_dict(model.network.state_dict())
    assert differs(loaded.backbone, network().backbone)
    assert differs(loaded.head, network().head)
