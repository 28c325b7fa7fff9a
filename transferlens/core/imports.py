"""What is imported late: names in place of what they stand for, and what takes long to load."""

import os
from importlib import import_module
from typing import Any


def resolve(path: str) -> Any:
    """What `module:name` stands for; imported at this moment, so that declarations stay cheap."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


def pot() -> Any:
    """POT, without the tensors of torch, which would take seconds to load."""
    os.environ.setdefault("POT_BACKEND_DISABLE_PYTORCH", "1")
    import ot

    return ot
