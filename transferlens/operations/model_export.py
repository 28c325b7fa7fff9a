"""Stored source models as safetensors files, with a card that tells what they are and how to load them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from transferlens import __version__
from transferlens.core import artefacts
from transferlens.core.errors import ArtefactError
from transferlens.core.settings import NetworkSettings
from transferlens.operations.folders import new_folder
from transferlens.results import open_results
from transferlens.training import networks
from transferlens.training.artefacts import SOURCE_MODELS

_LOADING = """import json
from safetensors import safe_open
from safetensors.torch import load_file
from transferlens.core.settings import NetworkSettings
from transferlens.models import contract

path = "{file}"
with safe_open(path, "pt") as file:
    card = file.metadata()
classes = json.loads(card["source_class"])  # what the head's outputs stand for
network = contract.build(NetworkSettings.read(json.loads(card["architecture"])), len(classes))
network.load_state_dict(load_file(path))
network.eval()  # takes float32[images, 3, side, side], normalised by input.mean and input.std
"""
_CARD = """# Source models of study {study}

{count} networks as the study made them. `models.json` tells for each which units of the source's training
data it saw (its mask), its accuracy on the validation images of the classes it saw, and its training seed.
The head has an output for every class of the source, also for those that a model never saw.

| row | role | seed | units seen | training images | val accuracy |
|---|---|---|---|---|---|
{table}

The accuracies are of single models, without intervals. The models are means of measuring influences, not
products: the units outside its mask were not among a model's training images.

To load one (the tensors have the names of this software's networks, so that it is needed{own}):

```python
{loading}```

- Architecture: `{architecture}`, {parameters} numbers in {tensors} tensors,
  {classes} source classes.
- Made {created} by Transferlens {made_by} (commit {commit}) on {device};
  exported by Transferlens {exported_by}.
- Licence: this card claims none for the weights, nor for the images they were trained on, whose own
  terms hold.
- To cite: Transferlens, version {made_by} (CITATION.cff of its source names it and the papers of the
  methods).

Settings of network, images and training:

```json
{settings}
```
"""


def export_models(results: Path, study: str, rows: Sequence[int] | None, out: Path) -> list[str]:
    """Write source models of a study into a new folder; returns the names of its files.

    Args:
        rows: their numbers in the study; None for all that are stored.

    Raises:
        ArtefactError: no such study, no stored weights, a row that is not stored, or the folder is there.
    """
    from safetensors.torch import save_file

    paths = _shards(results, study)
    every = networks.study_rows(paths)
    wanted = [int(row) for row in (every.numbers if rows is None else dict.fromkeys(rows))]
    places = networks.places(paths, wanted)
    with artefacts.open(paths[0], SOURCE_MODELS) as file:
        settings, said = artefacts.settings_of(file), dict(file.attrs.items())
        classes = artefacts.names(file["source_class"])
    architecture = NetworkSettings.read(settings["architecture"])
    models = [_model(paths[shard], i) for shard, i in places]
    with new_folder(out) as folder:
        for model, network in zip(
            models, networks.source_networks(paths, architecture, torch.device("cpu"), wanted), strict=True
        ):
            state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
            about = {"architecture": settings["architecture"], "source_class": classes, **model}
            text = {
                key: value if isinstance(value, str) else json.dumps(value) for key, value in about.items()
            }
            save_file(state, folder / model["file"], metadata=text)
        described = {"study": study, "source_class": classes, "settings": settings, "models": models}
        (folder / "models.json").write_text(json.dumps(described, indent=1), encoding="utf-8")
        card = _card(study, settings, said, classes, models, state)
        (folder / "README.md").write_text(card, encoding="utf-8")
        return sorted(path.name for path in folder.iterdir())


def _shards(results: Path, study: str) -> list[Path]:
    opened = open_results(results)
    opened.source_models(study, partial=True)  # names the nearest study where there is none
    paths = sorted((opened.folder / "studies" / study / "source").glob("[!.]*.h5"))
    if not paths:
        raise ArtefactError(
            f"{results}: of study '{study}' only records are stored, no weights (they were temporary); ask "
            "for them by source_weights: keep, and run snakemake again"
        )
    return paths


def _model(path: Path, i: int) -> dict[str, Any]:
    """What is known of the model at a position of a shard."""
    with artefacts.open(path, SOURCE_MODELS) as file:
        number, accuracy = int(file["model"][i]), float(file["accuracy"][i])
        return {
            "file": f"row-{number:04d}.safetensors",
            "row": number,
            "role": artefacts.names(file["role"])[i],
            "training_seed": int(file["training_seed"][i]),
            "units_seen": [
                unit
                for unit, seen in zip(artefacts.names(file["unit"]), file["mask"][i], strict=True)
                if seen
            ],
            "train_images": int(file["train_images"][i]),
            "val_accuracy": accuracy if np.isfinite(accuracy) else None,
        }


def _card(
    study: str,
    settings: dict[str, Any],
    said: dict[str, Any],
    classes: list[str],
    models: list[dict[str, Any]],
    state: dict[str, torch.Tensor],
) -> str:
    table = [
        f"| {m['row']} | {m['role']} | {m['training_seed']} | {len(m['units_seen'])} | {m['train_images']} | "
        f"{'none' if m['val_accuracy'] is None else format(m['val_accuracy'], '.4f')} |"
        for m in models
    ]
    own = settings["architecture"].get("file")
    return _CARD.format(
        study=study,
        count=len(models),
        table="\n".join(table),
        own=f"; and the file {own} that makes the network" if own else "",
        loading=_LOADING.format(file=models[0]["file"]),
        architecture=settings["architecture"]["name"],
        parameters=sum(tensor.numel() for tensor in state.values()),
        tensors=len(state),
        classes=len(classes),
        created=_text(said["created"]),
        made_by=_text(said["transferlens_version"]),
        commit=_text(said["git_commit"]) or "unknown",
        device=_text(said["device"]),
        exported_by=__version__,
        settings=json.dumps(settings, indent=2),
    )


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
