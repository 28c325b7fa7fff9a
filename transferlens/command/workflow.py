"""What `plan`, `doctor` and `enough` share: they run Snakemake, in the project's folder."""

import argparse
from pathlib import Path

from transferlens.core.errors import ConfigError
from transferlens.operations import project


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--project",
        type=Path,
        metavar="FOLDER",
        help="the folder with the Snakefile (default: the current one, or the nearest above it)",
    )
    parser.add_argument(
        "--configfile",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="of the study (default: the project's config.yaml); later ones are laid over earlier ones",
    )
    parser.add_argument(
        "--directory", type=Path, metavar="FOLDER", help="with results/ in it (default: the project)"
    )
    parser.add_argument("--cores", default="1", metavar="N", help="a number, or all (default: 1)")


def ask(rule: str, arguments: argparse.Namespace) -> None:
    """Become `snakemake RULE`; paths are those of the folder where the command was given.

    Raises:
        SetupError: no project, or no Snakemake.
        ConfigError: a file or folder that is not there.
    """
    project.become_snakemake(folder_of(arguments), [rule, *words_of(arguments)])


def folder_of(arguments: argparse.Namespace) -> Path:
    """The project.

    Raises:
        SetupError: there is none.
        ConfigError: the folder that is named is none.
    """
    return project.find(Path.cwd()) if arguments.project is None else _given(arguments.project)


def words_of(arguments: argparse.Namespace) -> list[str]:
    """What Snakemake is told, with absolute paths.

    Raises:
        ConfigError: a file or folder that is not there.
    """
    words = ["--cores", arguments.cores]
    if arguments.configfile:
        words += ["--configfile", *(str(_existing(path)) for path in arguments.configfile)]
    if arguments.directory:
        words += ["--directory", str(_existing(arguments.directory))]
    return words


def _given(folder: Path) -> Path:
    """A folder that is named must be the project itself, not lie somewhere in one."""
    if project.find(_existing(folder)) != folder.resolve():
        raise ConfigError(f"--project: {folder} has no Snakefile; name the folder that has")
    return folder.resolve()


def _existing(path: Path) -> Path:
    if not path.exists():
        raise ConfigError(f"{path}: no such file or folder; correct its name")
    return path.resolve()
