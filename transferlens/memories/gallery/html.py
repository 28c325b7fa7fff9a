"""The gallery: one page of thousands of examples with what the models see in them, to sort and filter.

The page works from disk, without a network. Pixels are stored once an example, as JPEG (as PNG where images
are small), evidence maps as int8 with one scale each, beside a table of numbers; the page's script
(gallery.js) draws the few examples that are on screen.
"""

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from PIL import Image

from transferlens.core import artefacts, files
from transferlens.data.artefacts import HALVES, positions
from transferlens.memories.artefacts import CONTRASTS, OUTPUTS
from transferlens.memories.gallery import numbers
from transferlens.memories.gallery.numbers import Study
from transferlens.pictures import embedded, figures, templates

ROLES = {
    "source": ("source model", "its own top class", "source"),
    "predicted": ("predicted class", "fine-tuned model", "target"),
    "true": ("true class", "fine-tuned model", "target"),
    "memory": ("source class", "source head on the fine-tuned backbone", "source"),
    "contrast": ("contrast", "evidence for the prediction minus that for its rival", "target"),
    "scratch": ("from scratch", "prediction of the model without a source", "target"),
}
# Scores of an example: name, heading, explanation, whether the largest come first.
SCORES = (
    ("score", "score", "distraction times overlap: the rank of natural images", True),
    (
        "distraction",
        "distraction",
        "how far the source classes seen in the image pull away from the true class",
        True,
    ),
    (
        "overlap",
        "overlap",
        "evidence for the prediction and for the source class in the same place, 0 to 1",
        True,
    ),
    ("margin", "margin", "logit of the true class minus the largest other", False),
    ("removal_effect", "rescue", "gain of the margin when the source class's region is blurred", True),
    ("removal_effect_p", "rescue, p", "share of shifted regions that rescue the image as much", False),
    (
        "ablation_effect",
        "ablation",
        "gain of the margin when the source class's direction is taken from features",
        True,
    ),
    ("ablation_effect_p", "ablation, p", "share of other source classes whose ablation gains as much", False),
    ("seen_effect", "seen", "log-odds of models that saw the source class minus of those that did not", True),
    ("drop", "drop", "probability of the pasted image's class that the background costs", True),
    (
        "inside_share",
        "inside share",
        "share of the evidence for the true class within the pasted image",
        False,
    ),
    ("cell_effect", "of its pair", "net interference of the composite's pair of classes", True),
)
# What cells of the matrix can show: name, heading, explanation.
QUANTITIES = (
    ("interference", "net interference", "drop beyond a scrambled background, fine-tuned minus from scratch"),
    ("interference_margin", "net interference, log-odds", "the same of the log-odds of the pasted class"),
    ("beyond_canvas", "beyond a canvas", "drop beyond a plain canvas, fine-tuned minus from scratch"),
    ("beyond_canvas_margin", "beyond a canvas, log-odds", "the same of the log-odds"),
    (
        "scrambled_beyond_canvas",
        "the scrambled control",
        "its own drop beyond a plain canvas, fine-tuned minus from scratch",
    ),
    ("gross", "gross interference", "drop, fine-tuned minus from scratch"),
    ("drop_fine_tuned", "drop, fine-tuned", "lost probability of the pasted class"),
    ("drop_scratch", "drop, from scratch", "the same of the model without a source"),
    ("flips_fine_tuned", "flips, fine-tuned", "share of composites whose prediction changes"),
    ("flips_scratch", "flips, from scratch", "the same of the model without a source"),
    (
        "binding",
        "binding",
        "probability that images of the source class give the target class, beyond controls",
    ),
)
_REPORT = HALVES.index("report")
# Those with an interval, and a q where it is tested.
_ESTIMATES = (*(f"{name}{ending}" for name in CONTRASTS for ending in OUTPUTS), "binding")
_SMALL = 96  # pixels a side up to which images are stored without loss
_JPEG_QUALITY = 82
_COLOURS = 33  # stops of a colour map; the page interpolates
_BLOCK = 64  # examples that are read at once
_BINS = 22


def write_gallery(path: Path, study: Study, title: str, first: str, tables: Mapping[str, Path]) -> None:
    """Write the page of a study.

    Args:
        first: the sentence that stands above all numbers: whether what was found is a memory.
        tables: CSV files that are shown, by the name of their section.
    """
    with artefacts.open(study.panels, numbers.PANELS) as panels:
        known = _classes(study)
        data = {
            **known,
            **_examples(panels, known),
            "matrix": _matrix(study, known["sources"]),
            "binding": _binding(study),
            "colours": {name: _stops(name) for name in ("RdBu_r", "magma", "jet")},
        }
        stream = templates.template("memories/gallery/gallery.html.jinja").stream(
            title=title,
            first=first,
            cards=numbers.headline(study),
            warnings=numbers.warnings(study),
            retention=_histogram(data["binding"]),
            tables={name: numbers.readable_table(table) for name, table in tables.items()},
            provenance=embedded.provenance(panels, "panels drawn"),
            data=embedded.script_json(data),
            blobs=_blobs(panels),
            style=templates.text("pictures/page.css") + templates.text("memories/gallery/gallery.css"),
            program=templates.text("pictures/page.js") + templates.text("memories/gallery/gallery.js"),
        )
        with files.replace_file(path) as temporary, temporary.open("w", encoding="utf-8") as page:
            stream.dump(page)


def _classes(study: Study) -> dict[str, list[str]]:
    """Names of the source and the target classes; elsewhere on the page, classes are positions in these."""
    with artefacts.open(study.probes, numbers.PROBES) as probes:
        return {f"{head}s": artefacts.names(probes[f"{head}_class"]) for head in ("source", "target")}


def _examples(panels: h5py.File, classes: Mapping[str, list[str]]) -> dict[str, Any]:
    """The table of examples and of their panels, column by column."""
    rows = {
        name: positions(artefacts.names(panels[name]), classes[head]).tolist()
        for name, head in (("true", "targets"), ("predicted", "targets"), ("memory", "sources"))
    }
    ids = zip(artefacts.names(panels["example"]), artefacts.names(panels["background"]), strict=True)
    rows["id"] = [f"{example} on {behind}" if behind else example for example, behind in ids]
    rows["composite"] = [int(kind == "composite") for kind in artefacts.names(panels["kind"])]
    scores = [score for score in SCORES if np.isfinite(panels[score[0]][:]).any()]
    rows |= {name: embedded.rounded(panels[name][:]) for name, *_ in scores}
    q = np.where(rows["composite"], panels["cell_effect_q"][:], panels["removal_effect_q"][:])
    rows["significant"] = (q < numbers.SIGNIFICANT).astype(int).tolist()
    side = panels["image"].shape[1]
    return {
        "rows": rows,
        "roles": _roles(panels, classes),
        "scores": [dict(zip(("name", "heading", "explanation", "down"), s, strict=True)) for s in scores],
        "image": {"side": side, "type": "png" if side <= _SMALL else "jpeg"},
    }


def _roles(panels: h5py.File, classes: Mapping[str, list[str]]) -> list[dict[str, Any]]:
    """What is known of every role's maps beside the maps themselves, in the order of ROLES."""
    named = artefacts.names(panels["class_name"])
    roles = []
    for (name, (heading, explanation, head)), place in zip(ROLES.items(), _places(panels), strict=True):
        role = {"name": name, "heading": heading, "explanation": explanation, "head": head}
        role["class"] = positions(named[place], classes[f"{head}s"]).tolist()
        for key in ("probability", "raw_max", "raw_min"):
            role[key] = embedded.rounded(panels[key][place])
        role["cells"] = list(panels["class_map"].shape[2:])
        roles.append(role)
    return roles


def _places(panels: h5py.File) -> list[int]:
    """Where the roles of the page are among those of the panels."""
    return positions(list(ROLES), artefacts.names(panels["role"])).tolist()


def _blobs(panels: h5py.File) -> Iterator[tuple[int, str]]:
    """Of every example its image and its maps, each base64, with a blank between them."""
    side, places = panels["image"].shape[1], _places(panels)
    for start in range(0, len(panels["image"]), _BLOCK):
        block = slice(start, start + _BLOCK)
        maps = panels["class_map"][:, block][places].swapaxes(0, 1)
        for i, (pixels, own) in enumerate(zip(panels["image"][block], maps, strict=True)):
            quantised = b"".join(_quantise(values) for values in own)
            yield (
                start + i,
                f"{embedded.base64_text(_encode(pixels, side))} {embedded.base64_text(quantised)}",
            )


def _quantise(values: np.ndarray) -> bytes:
    """A signed map as int8: 127 is its largest magnitude, which the table of panels holds."""
    values = np.nan_to_num(values.astype(np.float32))
    return np.round(values / (np.abs(values).max() or 1) * 127).astype(np.int8).tobytes()


def _encode(pixels: np.ndarray, side: int) -> bytes:
    kind = {"format": "PNG"} if side <= _SMALL else {"format": "JPEG", "quality": _JPEG_QUALITY}
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, optimize=True, **kind)
    return file.getvalue()


def _matrix(study: Study, sources: list[str]) -> dict[str, Any]:
    """Interference of the source classes that were tried with all target classes, report half."""
    with artefacts.open(study.interference, numbers.INTERFERENCE) as interference:
        tried = positions(artefacts.names(interference["tried_class"]), sources)
        everyone = np.arange(len(tried))
        quantities = [
            _quantity(interference, *given, everyone) for given in QUANTITIES if given[0] != "binding"
        ]
        matrix = {
            "source": tried.tolist(),
            "n": interference["interference_n"][_REPORT].tolist(),
            **{name: interference[name][:].astype(int).tolist() for name in ("bound", "congruent")},
            "control": _sign_of_control(interference).astype(int).tolist(),
        }
    with artefacts.open(study.probes, numbers.PROBES) as probes:
        quantities.append(_quantity(probes, *QUANTITIES[-1], tried))
        matrix["same"] = probes["overlap"][:][tried].astype(int).tolist()
    with artefacts.open(study.composites, numbers.COMPOSITES) as composites:
        control = np.array(artefacts.names(composites["tried_class"]))[composites["tried_at_random"][:]]
        matrix["random"] = np.isin(np.array(sources)[tried], control).astype(int).tolist()
    return matrix | {"quantities": quantities}


def _sign_of_control(interference: h5py.File) -> np.ndarray:
    """bool[tried classes, target classes]: the net interference has the sign of the scrambled control."""
    net, objects = (interference[name][_REPORT] for name in ("interference", "beyond_canvas"))
    return net * objects < 0


def _quantity(
    file: h5py.File, name: str, heading: str, explanation: str, classes: np.ndarray
) -> dict[str, Any]:
    """What the matrix can show of the source classes at positions int64[rows] of the file."""
    quantity = {"name": name, "heading": heading, "explanation": explanation}
    quantity["value"] = embedded.rounded(file[name][_REPORT][classes])
    if name in _ESTIMATES:
        quantity |= {
            part: embedded.rounded(file[f"{name}_{part}"][_REPORT][classes]) for part in ("low", "high", "q")
        }
    return quantity


def _binding(study: Study) -> dict[str, list]:
    table = numbers.binding_table(study)
    return {name: embedded.rounded(table[name].to_numpy(float)) for name in table}


def _histogram(binding: dict) -> dict | None:
    """How many source classes keep which share of their accuracy: bars, and labels of the axis."""
    kept = np.array([v for v in binding.get("retained", []) if v is not None])
    if not len(kept):
        return None
    counts, edges = np.histogram(kept.clip(0, 1.1), bins=np.linspace(0, 1.1, _BINS + 1))
    bars = [
        {"from": f"{low:.0%}", "to": f"{high:.0%}", "count": int(n), "height": 100 * n / counts.max()}
        for n, low, high in zip(counts, edges[:-1], edges[1:], strict=True)
    ]
    return {"bars": bars, "median": f"{np.median(kept):.0%}", "classes": len(kept), "most": int(counts.max())}


def _stops(name: str) -> list[list[int]]:
    """A colour map as a short list of red, green and blue."""
    colours = figures.colours(name)(np.linspace(0, 1, _COLOURS))[:, :3]
    return np.round(255 * colours).astype(int).tolist()
