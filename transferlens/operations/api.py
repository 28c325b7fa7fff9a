"""The reference of the library, from its docstrings, as pages that open from disk.

`python -m transferlens.operations.api build/api` writes them. The methods of `Results` that capabilities
declare stand there as those that are written out do.
"""

import argparse
from pathlib import Path

import transferlens
from transferlens.core import job
from transferlens.core.errors import ConfigError
from transferlens.results import Results

# What users import; all else may change with any version.
PUBLIC = (
    "transferlens",
    "transferlens.results",
    "transferlens.influence.own",
    "transferlens.dynamics.similarity",
    "transferlens.scores.candidate",
    "transferlens.scores.measuring",
    "transferlens.relatedness.bound",
    "transferlens.models.weights",
    "transferlens.core.errors",
)


def write(folder: Path) -> None:
    """Write the pages, index.html first, into a new or empty folder.

    Raises:
        ConfigError: the folder holds something already, or pdoc is missing.
    """
    try:
        import pdoc
    except ImportError:
        raise ConfigError("the reference is written by pdoc; pip install pdoc") from None
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder}: is there already; name a folder that is new or empty")
    _show_what_is_made_on_demand()
    pdoc.render.configure(docformat="google", show_source=False)
    pdoc.pdoc(*PUBLIC, output_directory=folder)


def _show_what_is_made_on_demand() -> None:
    """Set as attributes what modules make when it is asked for: pdoc asks for nothing."""
    for name in transferlens.__all__:
        setattr(transferlens, name, getattr(transferlens, name))
    without_folder = object.__new__(Results)
    for name in dir(without_folder):
        if not hasattr(Results, name):
            setattr(Results, name, getattr(without_folder, name))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.set_defaults(log=None)
    job.run(lambda arguments: write(arguments.folder), parser.parse_args())
