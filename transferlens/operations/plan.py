"""What a study will cost before anything is run: models, jobs, hours, and bytes of every stage.

Bytes come from files of the same make, written here for a moment with the code that writes the real ones
and values like theirs, so that compression and the overhead of HDF5 are measured and not assumed.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from transferlens.core import store, studies
from transferlens.core.config import ArchitectureSettings, DatasetSettings
from transferlens.core.errors import TransferlensError
from transferlens.core.studies import Rows
from transferlens.data import ffcv_files, index, sources
from transferlens.data.catalogue import CATALOGUE, limited
from transferlens.maps import evidence
from transferlens.models import architectures, states
from transferlens.training import outputs, source, summary, transfer
from transferlens.training.recipes import settings as recipes

# Pictures, tables and page of one target and recipe, as measured on configs/smoke.yaml: mostly pictures, the
# size of which hardly depends on the study.
_REPORT_BYTES = 2_300_000
# Pictures of a study of memories on the page.
_MEMORY_PICTURES_BYTES = 530_000
# A row (a target class) of the picture of influence maps, as measured there; it is also on the page, as text.
_MAP_ROW_BYTES = 43_000 * (1 + 4 / 3)
# What one pair of models says of a composite, as measured there.
_COMPOSITE_BYTES = 44
_SAMPLE_CELLS = 250_000  # models times examples
_SAMPLE_IMAGES = 64


@dataclass(frozen=True)
class Data:
    """A data set as it will be prepared; None for what is not known before it is.

    Attributes:
        train, val: images.
        classes: labels.
        size: bytes of its FFCV files and its index.
        basis: where these come from.
    """

    train: int | None
    val: int | None
    classes: int | None
    size: float | None
    basis: str

    @property
    def countable(self) -> bool:
        return None not in (self.train, self.val, self.classes)


@dataclass(frozen=True)
class Stage:
    """Bytes of one stage; None where they are not known."""

    name: str
    size: float | None
    basis: str


def describe(name: str, entry: Mapping, folder: Path, data_root: Path) -> Data:
    """A data set's sizes: from its index where there is one, else from what its publishers state."""
    settings = DatasetSettings.of(entry["settings"])
    place = folder / "data" / name
    if (place / "index.h5").exists():
        found = index.read_index(place / "index.h5")
        sizes = [
            _beton_bytes(place / f"{s}.beton", entry, settings, found.split(s), data_root)
            for s in index.SPLITS
        ]
        size = None if None in sizes else sum(sizes) + (place / "index.h5").stat().st_size
        return Data(len(found.train), len(found.val), len(found.class_names), size, "its index")
    facts = CATALOGUE.get(entry["images"])
    if facts is None or settings.path is not None:
        return Data(None, None, None, None, "unknown")
    train = limited(facts.train_images, facts.classes, settings.train_per_class)
    val = limited(facts.val_images, facts.classes, settings.val_per_class)
    return Data(train, val, facts.classes, None, "published counts")


def _beton_bytes(
    beton: Path, entry: Mapping, settings: DatasetSettings, examples: index.Examples, data_root: Path
) -> float | None:
    """Bytes of an FFCV file: of the one that is there, else by the sizes of its images."""
    if beton.exists():
        return beton.stat().st_size
    pixels = _stored_sizes(examples.sizes, settings.max_resolution).prod(1) * 3.0
    if settings.format == "raw":
        return ffcv_files.expected_bytes(pixels)
    ratio = _jpeg_ratio(entry, settings, examples, data_root)
    return None if ratio is None else ffcv_files.expected_bytes(pixels * ratio)


def _stored_sizes(sizes: np.ndarray, longest: int | None) -> np.ndarray:
    """Height and width float[images, 2] after shrinking to the longer side `longest`."""
    shrunk = np.minimum(1.0, longest / sizes.max(1)) if longest else np.ones(len(sizes))
    return np.rint(sizes * shrunk[:, None])


def _jpeg_ratio(entry: Mapping, settings: DatasetSettings, examples, data_root: Path) -> float | None:
    """Bytes of a JPEG over those of its pixels, of some of the images; None where they are not there."""
    import cv2

    try:
        images = sources.open_image_set(entry["images"], settings, data_root, False, complete=False)
    except TransferlensError:
        return None
    split = images.train if len(examples.ids) and examples.ids[0] in images.train.ids else images.val
    chosen = np.linspace(0, len(examples) - 1, min(_SAMPLE_IMAGES, len(examples))).astype(int)
    encoded = plain = 0
    for i in chosen:
        height, width = _stored_sizes(examples.sizes[[i]], settings.max_resolution)[0].astype(int)
        pixels = cv2.resize(split.image(int(examples.positions[i])), (int(width), int(height)))
        encoded += len(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, settings.jpeg_quality])[1])
        plain += pixels.nbytes
    return encoded / plain


def count_models(given: Mapping) -> dict[str, int]:
    """Source models by study."""
    return {name: study["rows"] for name, study in given["studies"].items()}


def count_jobs(given: Mapping) -> dict[str, int]:
    """Jobs by rule, when nothing is there yet."""
    shards = {name: -(-study["rows"] // study["shard_size"]) for name, study in given["studies"].items()}
    temporary = sum(n for name, n in shards.items() if given["studies"][name]["temporary"])
    transfers = {name: len(study["transfers"]) for name, study in given["studies"].items()}
    for_memories = [
        is_remedied(given, *pair)
        for study in given["studies"].values()
        for pair in study["memory_transfers"]
        for _ in range(-(-study["memory_rows"] // study["shard_size"]))
    ]
    remedied = sum(is_remedied(given, *pair) for pair in given["memories"])
    pairs, sized, flags = len(given["adaptations"]), len(given["sized"]), given["flags"]
    counts = {
        "dataset": len(given["datasets"]),
        "beton": 2 * len(given["datasets"]),
        "draw_masks": sum(shards.values()),
        "train_source": sum(shards.values()) - temporary,
        "train_temporary_source": temporary,
        "transfer": sum(shards[name] * n for name, n in transfers.items()) + for_memories.count(False),
        "transfer_remedied": for_memories.count(True),
        "summary": sum(transfers.values()),
        "influence": pairs + sized,
        "label_mapping": len({target for target, _ in given["adaptations"]}) * flags["label_mapping"],
        "example_influence": pairs * flags["examples"],
        "leakage": pairs * flags["examples"],
        "faithfulness": pairs * flags["faithfulness"],
        "influence_maps": pairs * bool(given["influence_maps"]),
        "reuse": pairs * flags["reuse"],
        "small_targets": len({(given["size_of"][name], recipe) for name, recipe in given["sized"]}),
        "remedies": (len(given["memories"]) - remedied) * bool(remedied),
        "report": 1,
    }
    each = ("score", "counterfactual", "heatmaps", "subpopulations", "failures", "figures")
    counts |= dict.fromkeys(each, pairs)
    counts |= dict.fromkeys(("probe_memories", "composites", "interference"), len(given["memories"]))
    first = ("rank_examples", "memory_panels", "agreement", "gallery")
    counts |= dict.fromkeys(first, len(given["first_memories"]))
    return {rule: n for rule, n in counts.items() if n}


def is_remedied(given: Mapping, target: str, recipe: str) -> bool:
    """Whether a recipe is one that remedies make."""
    return recipes.KINDS[recipes.read(given["recipes"][f"{target}/{recipe}"]).kind].made_of_source


def stages(given: Mapping, data: Mapping[str, Data]) -> list[Stage]:
    """Bytes of every stage, without the targets of which even the number of images is unknown."""
    unprepared = [name for name, found in data.items() if found.size is None]
    without = f"; without {', '.join(unprepared)}: first snakemake datasets" if unprepared else ""
    missing = _without(data)
    shards, summaries = transfer_bytes(given, data)
    kept, temporary = weight_bytes(given, data)
    written = "a file like it, written and measured"
    found = [
        Stage("data sets", _known(d.size for d in data.values()), "sizes of the images" + without),
        Stage("masks", mask_bytes(given, data), written),
        Stage("source models", kept, written),
        Stage("transfer shards", shards, written + missing),
        Stage("summaries", summaries, written + missing),
        Stage("influences", influence_bytes(given, data), "numbers that are not compressed" + missing),
        Stage("influence maps", map_bytes(given, data), "numbers that are not compressed" + missing),
        Stage("memories", memory_bytes(given, data), "at most: no image compressed" + missing),
        Stage("the rest", rest_bytes(given, data), "pictures of a small study"),
    ]
    if temporary:
        note = "in all; each shard is deleted when its transfers are done"
        found.insert(3, Stage("(source models, temporary)", temporary, note))
    return found


def _without(data: Mapping[str, Data]) -> str:
    """A note on data sets of which even the number of images is unknown."""
    unknown = [name for name, found in data.items() if not found.countable]
    return f"; without {', '.join(unknown)}: first snakemake datasets" if unknown else ""


def _known(sizes: Iterable[float | None]) -> float | None:
    """The sum of what is known; None if nothing is."""
    known = [size for size in sizes if size is not None]
    return float(sum(known)) if known else None


def mask_bytes(given: Mapping, data: Mapping[str, Data]) -> float | None:
    """Every shard holds its masks, and the unit of every training image."""
    images = data[given["source"]].train
    if images is None:
        return None
    total = 0.0
    for study in given["studies"].values():
        units = _units(given, study, images)
        shards = -(-study["rows"] // study["shard_size"])
        total += shards * _mask_shard(min(study["shard_size"], study["rows"]), units, images)
    return total


def _units(given: Mapping, study: Mapping, images: int) -> int:
    """What a study's masks switch: classes, groups, or blocks of images."""
    block = study["units"]
    return -(-images // block) if isinstance(block, int) else given["units"]


@cache
def _mask_shard(models: int, units: int, images: int) -> float:
    of_images = np.sort(np.arange(images) % units)
    division = _Division(_names(units), [""] * units, of_images)
    rows = _rows(models, division.names)
    return _measured(lambda path: studies.write_rows(path, rows, division, config={}, seed=0, inputs=[]))


@dataclass(frozen=True)
class _Division:
    names: list[str]
    groups: list[str]
    of_images: np.ndarray


def _names(units: int) -> list[str]:
    return [f"name of unit {i}" for i in range(units)]


def _rows(models: int, names: list[str]) -> Rows:
    rng = np.random.default_rng(0)
    seeds, labels = rng.integers(0, 2**62, models), [f"influence-{i}" for i in range(models)]
    masks = rng.random((models, len(names))) < 0.5
    return Rows(masks, np.arange(models), seeds, labels, names, [""] * len(names))


def _measured(write: Callable[[Path], Any]) -> float:
    """Bytes of what a function writes to a path."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sample.h5"
        write(path)
        return path.stat().st_size


def weight_bytes(given: Mapping, data: Mapping[str, Data]) -> tuple[float | None, float | None]:
    """Source models that are kept, and those that are temporary."""
    classes = data[given["source"]].classes
    if classes is None:
        return None, None
    sizes = {False: 0.0, True: 0.0}
    for study in given["studies"].values():
        each = _weights_of_a_model(tuple(sorted(study["architecture"].items())), classes)
        sizes[study["temporary"]] += study["rows"] * each
    return sizes[False], sizes[True]


def _weights_of_a_model(architecture: tuple, classes: int) -> float:
    """Bytes a model adds to a shard: those of its tensors as they are before training, compressed."""
    size, tensors = _smallest_model(architecture)
    head = (classes - 2) * (_features(architecture) + 1) * 4
    return size * (1 + head / tensors)


@cache
def _smallest_model(architecture: tuple) -> tuple[float, int]:
    """Bytes in a file, and bytes of tensors, of a network with two classes."""
    network = source.initial_network(ArchitectureSettings.of(dict(architecture)), 2, 0)

    def write(path: Path, models: int) -> None:
        with store.create(path, source.KIND, config={}) as out:
            states.reserve(out, "weights", network, models)
            for i in range(models):
                states.save(out, "weights", i, network)

    size = _measured(lambda path: write(path, 2)) - _measured(lambda path: write(path, 1))
    return size, sum(tensor.nbytes for tensor in network.state_dict().values())


def transfer_bytes(given: Mapping, data: Mapping[str, Data]) -> tuple[float | None, float | None]:
    """All transfer shards, and all summaries."""
    shards = summaries = 0.0
    for study in given["studies"].values():
        features = _features(tuple(sorted(study["architecture"].items())))
        for target, recipe, rows, summarised in transfers_of(study):
            if not data[target].countable:
                continue
            epochs = given["recipes"][f"{target}/{recipe}"]["training"]["epochs"]
            models = min(rows, study["shard_size"], max(1, _SAMPLE_CELLS // data[target].val))
            size, collected = _transfer_shard(
                models, data[target].val, data[target].classes, features, epochs, given["units"]
            )
            shards += size * rows / models
            summaries += collected * rows / models * summarised
            shards += rows * _kept_networks(given, study, target, recipe, data)
    probed = given["studies"]["influence"]
    for target, _ in given["adaptations"] if given["influence_maps"] else []:
        if data[target].countable:
            examples, cells = _probed(given, target, data)
            shards += probed["rows"] * examples * (cells + 1) * 4
    return shards, summaries


def transfers_of(study: Mapping) -> Iterator[tuple[str, str, int, bool]]:
    """(target, recipe, models, whether there is a summary) of the transfers of a study."""
    for target, recipe in study["transfers"]:
        yield target, recipe, study["rows"], True
    for target, recipe in study["memory_transfers"]:
        yield target, recipe, study["memory_rows"], False


def _probed(given: Mapping, target: str, data: Mapping[str, Data]) -> tuple[int, int]:
    """Probe examples of a target (at most its report half), and cells of each one's map."""
    architecture = tuple(sorted(given["studies"]["influence"]["architecture"].items()))
    cells = _cells(architecture, given["input"][target]["resolution"])
    select = given["datasets"][target]["settings"]["select_fraction"]
    report = round(data[target].val * (1 - select))
    return min(given["influence_maps"]["examples"], report), cells


@cache
def _cells(architecture: tuple, resolution: int) -> int:
    """Cells of a network's class maps."""
    import torch

    with torch.device("meta"):
        network = architectures.build(ArchitectureSettings.of(dict(architecture)), 2).eval()
        maps, _ = evidence.with_activations(network, torch.zeros(1, 3, resolution, resolution))
        return maps[0, 0].numel()


def map_bytes(given: Mapping, data: Mapping[str, Data]) -> float:
    """Effects (and errors) on maps of two kinds, q-values of one, of examples and classes; the images."""
    total = 0.0
    for target, _ in given["adaptations"] if given["influence_maps"] else []:
        if data[target].countable:
            examples, cells = _probed(given, target, data)
            rows = examples + min(examples, data[target].classes)
            # Images compress by half or so; a small part of it all.
            total += rows * given["units"] * (5 * cells + 4) * 4
            total += examples * 3 * given["input"][target]["resolution"] ** 2 / 2
    return total


def memory_bytes(given: Mapping, data: Mapping[str, Data]) -> float:
    """At most: composites and what models make of them; images and maps of the gallery, and its page."""
    settings, total = given["memory_settings"], 0.0
    for target, recipe in given["memories"]:
        if not (data[target].countable and data[given["source"]].countable):
            continue
        pairs = min(settings["classes"], data[given["source"]].classes) * data[target].classes
        total += 2 * pairs * settings["per_cell"] * (_COMPOSITE_BYTES * settings["models"] + 6)
        if (target, recipe) in map(tuple, given["first_memories"]):
            side = given["input"][target]["resolution"]
            cells = _cells(tuple(sorted(given["studies"]["reference"]["architecture"].items())), side)
            # In HDF5 in half precision with five numbers each, and on the page as text of eight bits.
            maps = 6 * (2 * cells + 20 + 4 / 3 * (cells + 40))
            total += settings["examples"] * (3 * side**2 * (1 + 4 / 3) + maps)
    return total


def _kept_networks(
    given: Mapping, study: Mapping, target: str, recipe: str, data: Mapping[str, Data]
) -> float:
    """Bytes a model of the whole adapted networks that a study keeps."""
    changed = recipes.changes_backbone(recipes.read(given["recipes"][f"{target}/{recipe}"]))
    if not (changed and study["keeps_networks"]):
        return 0.0
    return _weights_of_a_model(tuple(sorted(study["architecture"].items())), data[target].classes)


@cache
def _features(architecture: tuple) -> int:
    import torch

    with torch.device("meta"):
        return architectures.build(ArchitectureSettings.of(dict(architecture)), 2).head.in_features


@cache
def _transfer_shard(
    models: int, examples: int, classes: int, features: int, epochs: int, units: int
) -> tuple[float, float]:
    """Bytes of a transfer shard, and of a summary of it alone, with outputs like real ones."""
    import torch

    rng, head = np.random.default_rng(0), torch.nn.Linear(features, classes)
    labels = np.sort(np.arange(examples) % classes)
    names = [f"class {i}" for i in range(classes)]
    examples_of = index.Examples(
        [f"class/image-{i:06d}" for i in range(examples)],
        labels,
        (np.arange(examples) % 2).astype(np.int8),
        np.arange(examples),
        np.zeros((examples, 2), np.int64),
        labels,
    )
    with tempfile.TemporaryDirectory() as folder:
        shard, collected = Path(folder) / "shard.h5", Path(folder) / "summary.h5"
        with store.create(shard, outputs.KIND, config={}) as out:
            target = index.Index(names, [""] * classes, examples_of, examples_of, names)
            source_models = {"accuracy": rng.random(models), "train_images": np.full(models, 1000)}
            transfer.reserve(out, _rows(models, _names(units)), target, epochs, source_models)
            out.attribute("metric", "global")
            states.reserve(out, "head", head, models)
            for i in range(models):
                out.file["log"][i] = rng.random((epochs, 3))
                for name, values in _outputs(rng, labels, classes).items():
                    out.file[f"outputs/{name}"][i] = values.astype(outputs.OUTPUTS[name][0])
                out.file["class_accuracy"][i] = rng.integers(0, 20, (2, classes)) / 20
                states.save(out, "head", i, head)
        summary.write_summary(collected, [shard], config={})
        return shard.stat().st_size, collected.stat().st_size


def _outputs(rng: np.random.Generator, labels: np.ndarray, classes: int) -> dict[str, np.ndarray]:
    """Outputs of a model that is right on most examples."""
    margin = rng.normal(1, 2, len(labels))
    correct = margin > 0
    return {
        "p_true": 1 / (1 + np.exp(-margin)),
        "margin": margin,
        "raw_margin": margin + rng.exponential(0.5, len(labels)),
        "correct": correct,
        "prediction": np.where(correct, labels, rng.integers(0, classes, len(labels))),
    }


def influence_bytes(given: Mapping, data: Mapping[str, Data]) -> float | None:
    """Effects and errors of every unit on every example and output, and the tables of classes."""
    total = 0.0
    studied = [(name, recipe, given["units"]) for name, recipe in given["adaptations"] + given["sized"]]
    images = data[given["source"]].train
    if given["flags"]["examples"]:
        if images is None:
            return None
        blocks = _units(given, given["studies"]["examples"], images)
        studied += [(name, recipe, blocks) for name, recipe in given["adaptations"]]
    for name, _, units in studied:
        if not data[name].countable:
            continue
        cells = 2 * units * data[name].val * 4 + 5 * 2 * (data[name].classes + 1) * units * 8
        total += len(given["outputs"]) * cells
    return total


def rest_bytes(given: Mapping, data: Mapping[str, Data]) -> float:
    """Pictures, tables and page of all targets and recipes."""
    rows = 0
    if given["influence_maps"]:
        shown = given["influence_maps"]["shown"]
        rows = sum(min(shown, data[target].classes or shown) for target, _ in given["adaptations"])
    memories = len(given["first_memories"]) * _MEMORY_PICTURES_BYTES
    return len(given["adaptations"]) * _REPORT_BYTES + rows * _MAP_ROW_BYTES + memories


def report(given: Mapping, data: Mapping[str, Data], hours: Mapping, device: str) -> Iterator[str]:
    """The plan as tables; `hours` as `rate.hours` finds them, on this device."""
    jobs, bytes_of = count_jobs(given), stages(given, data)
    kept = [stage.size for stage in bytes_of if not stage.name.startswith("(")]
    rows = [["data set", "train", "val", "classes", "from"]]
    rows += [[n, *map(_number, (d.train, d.val, d.classes)), d.basis] for n, d in data.items()]
    yield _table(rows)
    rows = [["study", "models", "a shard", "transfers", ""]]
    for name, study in given["studies"].items():
        transfers = sum(models for *_, models, _ in transfers_of(study))
        numbers = (study["rows"], study["shard_size"], transfers)
        rows.append([name, *map(_number, numbers), ""])
    rows.append(["all", _number(sum(count_models(given).values())), "", "", ""])
    yield "\n" + _table(rows)
    rows = [["rule", "jobs", ""], *([rule, _number(n), ""] for rule, n in jobs.items())]
    yield "\n" + _table([*rows, ["all", _number(sum(jobs.values())), ""]])
    unit = "CPU-hours" if device.startswith("a CPU") else "GPU-hours"
    rows = [["work", "models", unit, "measured on"]]
    rows += [[name, _number(h.models), _hours(h.seconds), _basis(h, device)] for name, h in hours.items()]
    total = sum(found.seconds for found in hours.values())
    yield "\n" + _table([*rows, ["all", "", _hours(total), _without(data).removeprefix("; ")]])
    rows = [["stage", "size", "from"]]
    rows += [[stage.name, readable_bytes(stage.size), stage.basis] for stage in bytes_of]
    yield "\n" + _table([*rows, ["all that stays", readable_bytes(_known(kept)), ""]])


def _number(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"


def _hours(seconds: float) -> str:
    hours = seconds / 3600
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.3g}"


def _basis(hours, device: str) -> str:
    steps = f"a few steps on {device}, decoding of images not among them"
    if not hours.finished:
        return steps
    jobs = f"finished jobs of {hours.finished:,} models"
    return jobs if hours.finished == hours.models else f"{jobs}; for studies without any, {steps}"


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as aligned columns, numbers (all but the first and last) to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row[1:-1], widths[1:-1], strict=True)]
        lines.append("  ".join([row[0].ljust(widths[0]), *cells, row[-1]]).rstrip())
    return "\n".join(lines)


def readable_bytes(size: float | None) -> str:
    """Three digits and a unit; '?' for what is not known."""
    if size is None:
        return "?"
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.4g} TB"
