"""What pages of one file carry in themselves: data for their scripts, and where their numbers come from."""

import base64
import io
import json
from typing import Any

import h5py
import numpy as np
from PIL import Image

from transferlens.core import artefacts


def script_json(data: Any) -> str:
    """JSON that can stand in a script element: no '<', and not a number for what is missing."""
    return json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def rounded(values: np.ndarray) -> list:
    """Nested lists with four significant digits, None for what is not finite."""
    if values.ndim > 1:
        return [rounded(row) for row in values]
    return [float(f"{v:.4g}") if np.isfinite(v) else None for v in values.tolist()]


def base64_text(data: bytes) -> str:
    """Bytes as text of plain letters."""
    return base64.b64encode(data).decode()


def jpeg(pixels: np.ndarray, quality: int = 80) -> bytes:
    """An image uint8[height, width, 3] as a JPEG file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, optimize=True)
    return file.getvalue()


def provenance(file: h5py.File, made: str) -> dict[str, Any]:
    """What `pictures/provenance.html.jinja` shows of an open artefact.

    Args:
        made: what its date is the date of.
    """
    attributes = file.attrs
    rows = [
        ("Transferlens", attributes["transferlens_version"]),
        ("commit", attributes["git_commit"] or "not a git checkout"),
        ("device", attributes["device"]),
        (made, attributes["created"]),
        *json.loads(attributes["software"]).items(),
    ]
    return {
        "rows": rows,
        "settings": json.dumps(artefacts.settings_of(file), indent=2, sort_keys=True),
        "inputs": artefacts.inputs_of(file).items(),
    }
