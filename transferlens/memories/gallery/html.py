"""The gallery: one page of thousands of examples with what the models see in them, to sort and filter.

The page works from disk, without a network. Pixels are stored once an example, as JPEG (as PNG where images
are small), evidence maps as int8 with one scale each, beside a table of numbers; the page's script
(gallery.js) draws the few examples that are on screen.
"""

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

from transferlens.core import store
from transferlens.memories.gallery import numbers
from transferlens.pictures import figures, templates

ROLES = {
    "source": ("source model", "its own top class", "source"),
    "predicted": ("predicted class", "fine-tuned model", "target"),
    "true": ("true class", "fine-tuned model", "target"),
    "memory": ("memory", "source head on the fine-tuned backbone", "source"),
    "contrast": ("contrast", "evidence for the prediction minus that for its rival", "target"),
    "scratch": ("from scratch", "prediction of the model without a source", "target"),
}
# Scores of an example: name, heading, explanation, whether the largest come first.
SCORES = (
    ("score", "score", "distraction times overlap: the rank of natural images", True),
    (
        "distraction",
        "distraction",
        "how far the memories seen in the image pull away from the true class",
        True,
    ),
    ("overlap", "overlap", "evidence for the prediction and for the memory in the same place, 0 to 1", True),
    ("margin", "margin", "logit of the true class minus the largest other", False),
    ("removal_effect", "rescue", "gain of the margin when the memory's region is blurred", True),
    ("removal_p", "rescue, p", "share of shifted regions that rescue the image as much", False),
    (
        "ablation_effect",
        "ablation",
        "gain of the margin when the memory's direction is taken from features",
        True,
    ),
    ("ablation_p", "ablation, p", "share of other source classes whose ablation gains as much", False),
    ("without_effect", "retrained", "gain of the margin in models retrained without the source class", True),
    ("drop", "drop", "probability of the pasted image's class that the background costs", True),
    (
        "inside_share",
        "inside share",
        "share of the evidence for the true class within the pasted image",
        False,
    ),
    ("cell_effect", "of its pair", "net interference of the composite's pair of classes", True),
)
# Cells of the matrix can show: name, heading, explanation, whether it has an interval and q.
QUANTITIES = (
    ("effect", "net interference", "drop beyond a scrambled background, fine-tuned minus from scratch"),
    ("gross", "gross interference", "drop, fine-tuned minus from scratch"),
    ("drop/fine_tuned", "drop, fine-tuned", "lost probability of the pasted class"),
    ("drop/scratch", "drop, from scratch", "the same of the model without a source"),
    ("flips/fine_tuned", "flips, fine-tuned", "share of composites whose prediction changes"),
    ("flips/scratch", "flips, from scratch", "the same of the model without a source"),
    (
        "binding",
        "binding",
        "probability that images of the source class give the target class, beyond controls",
    ),
)
_REPORT = 1
_SMALL = 96  # pixels a side up to which images are stored without loss
_JPEG_QUALITY = 82
_COLOURS = 33  # stops of a colour map; the page interpolates
_BLOCK = 64  # examples that are read at once
_BINS = 22


def write_gallery(path: Path, folder: Path, title: str, tables: list[str]) -> None:
    """Write the page of a study in `results/memories/<target>/<recipe>`.

    Args:
        tables: of `agreement` and `remedies`, the CSV files of the folder that are shown.
    """
    with store.open(folder / "panels.h5", "memory panels") as panels:
        data = {**_names(panels), **_examples(panels), "matrix": _matrix(folder), "binding": _binding(folder)}
        data["colours"] = {name: _stops(name) for name in ("RdBu_r", "magma", "jet")}
        stream = templates.template("memories/gallery/gallery.html.jinja").stream(
            title=title,
            cards=numbers.headline(folder),
            warnings=numbers.warnings(folder),
            retention=_histogram(data["binding"]),
            tables={name: numbers.readable_table(folder / f"{name}.csv") for name in tables},
            provenance=_provenance(panels),
            data=_json(data),
            blobs=_blobs(panels),
            style=templates.text("pictures/page.css") + templates.text("memories/gallery/gallery.css"),
            program=templates.text("memories/gallery/gallery.js"),
        )
        with store.replace_file(path) as temporary, temporary.open("w", encoding="utf-8") as page:
            stream.dump(page)


def _json(data) -> str:
    """JSON that can stand in a script element: no '<', and not a number for what is missing."""
    return json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _numbers(values: np.ndarray) -> list:
    """Nested lists with four significant digits, None for what is not finite."""
    if values.ndim > 1:
        return [_numbers(row) for row in values]
    return [float(f"{v:.4g}") if np.isfinite(v) else None for v in values.tolist()]


def _names(panels: h5py.File) -> dict:
    return {key: store.strings(panels[f"{key[:-1]}_class_names"]) for key in ("sources", "targets")}


def _examples(panels: h5py.File) -> dict:
    """The table of examples and of their panels, column by column."""
    rows = {name: panels[name][:].tolist() for name in ("true", "predicted", "memory")}
    ids = zip(store.strings(panels["example_ids"]), store.strings(panels["background_ids"]), strict=True)
    rows["id"] = [f"{example} on {behind}" if behind else example for example, behind in ids]
    rows["composite"] = [int(kind == "composite") for kind in store.strings(panels["kind"])]
    scores = [score for score in SCORES if np.isfinite(panels[score[0]][:]).any()]
    rows |= {name: _numbers(panels[name][:]) for name, *_ in scores}
    q = np.where(rows["composite"], panels["cell_q"][:], panels["removal_q"][:])
    rows["significant"] = (q < numbers.SIGNIFICANT).astype(int).tolist()
    roles = []
    for name, (heading, explanation, head) in ROLES.items():
        group = panels[f"maps/{name}"]
        role = {"name": name, "heading": heading, "explanation": explanation, "head": head}
        role["class"] = group["class"][:].tolist()
        for key in ("probability", "raw_max", "raw_min"):
            role[key] = _numbers(group[key][:])
        role["cells"] = list(group["map"].shape[1:])
        roles.append(role)
    side = panels["image"].shape[1]
    return {
        "rows": rows,
        "roles": roles,
        "scores": [dict(zip(("name", "heading", "explanation", "down"), s, strict=True)) for s in scores],
        "image": {"side": side, "type": "png" if side <= _SMALL else "jpeg"},
    }


def _blobs(panels: h5py.File) -> Iterator[tuple[int, str]]:
    """Of every example its image and its maps, each base64, with a blank between them."""
    side = panels["image"].shape[1]
    maps = [panels[f"maps/{role}/map"] for role in ROLES]
    for start in range(0, len(panels["image"]), _BLOCK):
        block = slice(start, start + _BLOCK)
        for i, (pixels, *own) in enumerate(zip(*(a[block] for a in (panels["image"], *maps)), strict=True)):
            quantised = b"".join(_quantise(values) for values in own)
            yield start + i, f"{_base64(_encode(pixels, side))} {_base64(quantised)}"


def _quantise(values: np.ndarray) -> bytes:
    """A signed map as int8: 127 is its largest magnitude, which the table of panels holds."""
    values = np.nan_to_num(values.astype(np.float32))
    return np.round(values / (np.abs(values).max() or 1) * 127).astype(np.int8).tobytes()


def _encode(pixels: np.ndarray, side: int) -> bytes:
    kind = {"format": "PNG"} if side <= _SMALL else {"format": "JPEG", "quality": _JPEG_QUALITY}
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, optimize=True, **kind)
    return file.getvalue()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _matrix(folder: Path) -> dict:
    """Interference of the shortlisted source classes with all target classes, report half."""
    with store.open(folder / "interference.h5", "interference") as file:
        chosen = file["source_class"][:]
        quantities = []
        for name, heading, explanation in QUANTITIES:
            if name != "binding":
                quantity = {"name": name, "heading": heading, "explanation": explanation}
                quantity["value"] = _numbers(file[name][_REPORT])
                if name == "effect":
                    quantity |= {key: _numbers(file[key][_REPORT]) for key in ("low", "high", "q")}
                quantities.append(quantity)
        matrix = {
            "source": chosen.tolist(),
            "n": file["n"][_REPORT].tolist(),
            "congruent": file["congruent"][:].astype(int).tolist(),
        }
    with store.open(folder / "probes.h5", "memory probes") as probes:
        name, heading, explanation = QUANTITIES[-1]
        values = {key: probes[f"binding/{key}"][_REPORT][chosen] for key in ("effect", "low", "high", "q")}
        quantity = {key: _numbers(value) for key, value in values.items()}
        quantity |= {"name": name, "heading": heading, "explanation": explanation}
        quantity["value"] = quantity.pop("effect")
        matrix["same"] = probes["overlap"][:][chosen].astype(int).tolist()
    with store.open(folder / "composites.h5", "composites") as composites:
        control = composites["shortlist"][:][composites["shortlist_random"][:]]
        matrix["random"] = np.isin(chosen, control).astype(int).tolist()
    return matrix | {"quantities": [*quantities, quantity]}


def _binding(folder: Path) -> dict:
    table = numbers.binding_table(folder)
    return {name: _numbers(table[name].to_numpy(float)) for name in table}


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


def _provenance(panels: h5py.File) -> dict:
    attributes = panels.attrs
    rows = [
        ("Transferlens", attributes["transferlens_version"]),
        ("commit", attributes["git_commit"] or "not a git checkout"),
        ("device", attributes["device"]),
        ("panels drawn", attributes["created"]),
        *json.loads(attributes["software"]).items(),
    ]
    return {
        "rows": rows,
        "settings": json.dumps(store.settings(panels), indent=2, sort_keys=True),
        "inputs": store.inputs(panels).items(),
    }
