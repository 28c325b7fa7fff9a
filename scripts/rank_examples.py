"""Rank target examples by how far their memories distract; test the first ones by removal and ablation."""

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from transferlens.core import files, job
from transferlens.core.settings import InputSettings
from transferlens.data import index, pipeline
from transferlens.data.artefacts import HALVES
from transferlens.memories import pairs
from transferlens.memories.effect import ablation, removal
from transferlens.memories.effect.removal import Tested
from transferlens.memories.images import ranking, seen
from transferlens.memories.images.ranking import Ranking, Recalled
from transferlens.memories.kept import probes
from transferlens.memories.pairs import Pair
from transferlens.memories.seen import examples as seen_examples
from transferlens.memories.seen.examples import SeenMinusUnseen
from transferlens.training import device

_BATCH = 64


def main(arguments: Namespace) -> None:
    settings, place = arguments.settings, device.pick()
    probed = probes.read_probes(arguments.probes)
    target = index.read_index(arguments.index)
    images = pipeline.open_images(arguments.val, target.val, InputSettings.read(settings["input"]), place)
    examples = ranking.report_half(target.val)
    labels = target.val.labels[examples]
    logits, first = [], None
    models = zip(
        pairs.pairs_of(arguments, settings, place, "report"), probed.temperatures("report"), strict=True
    )
    for pair, temperature in job.progress(models, "rank examples", "pairs of models", settings["models"]):
        first = first or pair
        logits.append(ranking.pair_logits(pair, float(temperature), images, examples))
    binding = probed.binding.effect[HALVES.index("select")]
    recalled = Recalled.of(
        logits, labels, binding, probed.overlap, index.read_index(arguments.source_index).class_groups
    )
    distracted = ranking.distraction(recalled.memory, labels, ranking.pull(binding, probed.overlap))
    predicted = logits[0].target.argmax(1)
    agreement = ranking.map_agreement(
        first.fine_tuned, first.source_head, images, examples, predicted, distracted.memory
    )
    ranked = ranking.rank(examples, labels, distracted, logits[0], agreement)
    ranking.write_ranking(
        arguments.ranking,
        ranked,
        target.val.ids,
        probed.source_names,
        probed.target_names,
        "CAM" if first.fine_tuned.pools else seen.GRADIENT_METHOD,
        tests(first, ranked.top(settings["removal"]["examples"]), images, probed.overlap, settings),
        retrained(arguments, ranked),
        ranking.tell_failures(recalled, settings["seed"]),
    )
    files.write_csv(arguments.table, ranking.table(arguments.ranking))


def retrained(arguments: Namespace, ranked: Ranking) -> SeenMinusUnseen | None:
    """What models with and without each memory make of the examples; None where no class was left out."""
    if not arguments.without:
        return None
    return seen_examples.of_examples(arguments.without, ranked.memory, ranked.examples)


def tests(
    pair: Pair, top: Ranking, images: pipeline.Images, overlap: np.ndarray, settings: Mapping[str, Any]
) -> dict[str, Tested]:
    """Removal and ablation on the highest ranked examples."""
    batch, _ = images.pick(top.examples)
    memories = torch.from_numpy(top.memory).to(batch.device)
    parts = [seen.see(pair.fine_tuned, part) for part in batch.split(_BATCH)]
    maps = [s.maps(pair.source_head, of) for s, of in zip(parts, memories.split(_BATCH), strict=True)]
    features = torch.cat([s.features for s in parts])
    heads = pair.fine_tuned.head, pair.source_head
    blur, seed = settings["removal"], settings["seed"]
    return {
        "removal": removal.measure(
            pair.fine_tuned, batch, top.true, torch.cat(maps), blur["share"], blur["shifts"], seed
        ),
        "ablation": ablation.measure(
            features, top.true, top.memory, *heads, overlap, settings["permutations"], seed
        ),
    }


if __name__ == "__main__":
    script = job.Script(__doc__)
    pairs.add_arguments(script)
    script.reads("probes")
    script.reads("source_index")
    script.reads("index", "of the target data set")
    script.reads("val")
    script.reads("without", "summary of models whose source lacks one class", required=False)
    script.writes("ranking")
    script.writes("table")
    script.run(main)
