"""Names that settings and declarations hold in place of what they stand for."""

from importlib import import_module
from typing import Any


def resolve(path: str) -> Any:
    """What `module:name` stands for; imported at this moment, so that declarations stay cheap."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)
