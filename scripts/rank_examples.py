"""Rank target examples by how far their memories distract; test the first ones by removal and ablation."""

from pathlib import Path

import torch
from scipy.special import softmax

from transferlens.core import job, store
from transferlens.core.config import InputSettings
from transferlens.data import index, pipeline
from transferlens.data.index import HALVES
from transferlens.memories import pairs
from transferlens.memories.effect import ablation, removal
from transferlens.memories.images import ranking, seen
from transferlens.memories.kept import probes
from transferlens.memories.retraining import without
from transferlens.training import device

_BATCH = 64


def main(arguments):
    settings, place = arguments.settings, device.pick()
    found = probes.read_probes(arguments.probes)
    target = index.read_index(arguments.index)
    images = pipeline.open_images(arguments.val, target.val, InputSettings.of(settings["input"]), place)
    examples = ranking.report_half(target.val)
    labels = target.val.labels[examples]
    logits, first = [], None
    models = zip(pairs.pairs_of(arguments, settings, place), found.temperature, strict=True)
    for pair, temperature in job.progress(models, "rank examples", "pairs of models", settings["models"]):
        first = first or pair
        logits.append(ranking.pair_logits(pair, float(temperature), images, examples))
    away = ranking.pull(found.binding.effect[HALVES.index("select")], found.overlap)
    distracted = ranking.distraction((softmax(of.memory, axis=1) for of in logits), labels, away)
    predicted = logits[0].target.argmax(1)
    agreement = ranking.map_agreement(
        first.fine_tuned, first.source_head, images, examples, predicted, distracted.memory
    )
    ranked = ranking.rank(examples, labels, distracted, logits[0], agreement)
    left_out = None
    if arguments.without:
        left_out = without.read_without(
            arguments.without, arguments.reference, ranked.memory, ranked.examples
        )
    of_target, of_scratch = ([getattr(of, name) for of in logits] for name in ("target", "scratch"))
    ranking.write_ranking(
        arguments.out,
        ranked,
        target.val.ids,
        found.source_names,
        found.target_names,
        "CAM" if first.fine_tuned.pools else seen.GRADIENT_METHOD,
        tests(first, ranked.top(settings["removal"]["examples"]), images, found.overlap, settings),
        left_out,
        ranking.failure_aucs(
            distracted.values, of_target, of_scratch, labels, settings["bootstrap"], settings["seed"]
        ),
        config=settings,
        inputs=[*pairs.files_of(arguments), *given(arguments)],
        device=device.name(place),
    )
    store.write_csv(arguments.table, ranking.table(arguments.out))


def tests(pair, top, images, overlap, settings):
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


def given(arguments):
    """The files, beside those of the models, that the ranking is made from."""
    files = (arguments.probes, arguments.index, arguments.without, arguments.reference)
    return [path for path in files if path]


if __name__ == "__main__":
    parser = job.parser(__doc__)
    pairs.add_arguments(parser)
    parser.add_argument("--probes", type=Path, required=True)
    parser.add_argument("--index", type=Path, required=True, help="of the target data set")
    parser.add_argument("--val", type=Path, required=True)
    parser.add_argument("--without", type=Path, help="summary of models whose source lacks one class")
    parser.add_argument("--reference", type=Path, help="summary of full-source models, their pairs")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--table", type=Path, required=True)
    job.run(main, parser)
