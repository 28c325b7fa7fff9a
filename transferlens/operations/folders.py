"""Folders that are whole or absent."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from transferlens.core import files
from transferlens.core.errors import ArtefactError


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path` that takes its place when the block ends well.

    Raises:
        ArtefactError: something is there already, or the place cannot be written.
    """
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise ArtefactError(f"{path}: is there already; name a new folder, or remove it first")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    except OSError as error:
        raise files.unwritable(path, error) from error
    try:
        yield temporary
        temporary.chmod(0o755)
        temporary.replace(path)
    except OSError as error:
        raise files.unwritable(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
