"""Paste target images on images of source classes, and record what every model makes of them."""

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

import torch

from transferlens.core import job
from transferlens.core.settings import InputSettings
from transferlens.data import index, pipeline
from transferlens.data.artefacts import HALVES
from transferlens.memories import pairs
from transferlens.memories.effect import composites
from transferlens.memories.effect.composites import Composites
from transferlens.memories.kept import observations, probes
from transferlens.memories.kept.probes import Probes
from transferlens.training import device


def main(arguments: Namespace) -> None:
    settings, place = arguments.settings, device.pick()
    probed = probes.read_probes(arguments.probes)
    reason = composites.too_small(settings["input"]["resolution"], settings["composites"])
    if reason:
        job.log.warning("%s: no composites are made: %s", arguments.composites, reason)
        made = composites.none_made(probed, reason)
    else:
        made = try_composites(arguments, settings, probed, place)
    composites.write_composites(arguments.composites, made)


def try_composites(
    arguments: Namespace, settings: Mapping[str, Any], probed: Probes, place: torch.device
) -> Composites:
    seed, made_as = settings["seed"], settings["composites"]
    source, target = (index.read_index(path) for path in (arguments.source_index, arguments.index))
    inputs = [InputSettings.read(settings[key]) for key in ("source_input", "input")]
    chosen = composites.choose(
        probes.read_probes(arguments.first_probes), settings["strongest"], settings["random"], seed
    )
    halves = pairs.halves_seen(settings)
    of_images = (source.val, target.val, inputs[1].resolution)
    drawn = composites.draw(chosen.classes, probed.overlap, *of_images, made_as, halves, seed)
    images = (
        pipeline.open_images(arguments.source_val, source.val, inputs[0], place),
        pipeline.open_images(arguments.val, target.val, inputs[1], place),
    )
    answers = composites.joined(
        [
            observations.of_composites(
                pairs.pairs_of(arguments, settings, place, half),
                probed.temperatures(half),
                drawn.only(drawn.half == HALVES.index(half)),
                *images,
                made_as["scramble"],
                seed,
            )
            for half in halves
        ]
    )
    names = probed.source_names, probed.target_names
    return Composites(
        drawn, chosen, *names, probed.repeats, answers.responses, answers.memory_probability, ""
    )


if __name__ == "__main__":
    script = job.Script(__doc__)
    pairs.add_arguments(script)
    script.reads("probes")
    script.reads("first_probes", "those that choose source classes")
    script.reads("source_index")
    script.reads("source_val")
    script.reads("index", "of the target data set")
    script.reads("val")
    script.writes("composites")
    script.run(main)
