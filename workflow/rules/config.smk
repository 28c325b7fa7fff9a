# The configuration: read, checked, completed. Nothing here reads images.
import gc
import logging
import os
import re
import sys
from pathlib import Path

# Planning makes millions of objects that stay: to look through them seldom saves a fifth of the time.
gc.set_threshold(100_000, 50, 50)

# Jobs run `python`: make that the interpreter Snakemake itself runs in, activated or not.
os.environ.update(PATH=os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()]))
# This file's own folder: another Snakefile may include this workflow, or use it as a module.
RULES = Path(workflow.current_basedir.get_path_or_uri(secret_free=True))
if not RULES.is_dir():
    sys.exit(
        f"transferlens: {RULES} is no folder of this machine, and the workflow needs the scripts and the library "
        "beside its rules; clone the repository, and name the clone's workflow/Snakefile in the module"
    )
REPOSITORY = RULES.parents[1]
sys.path.insert(0, str(REPOSITORY))
# And they import the code of this folder, whose fingerprints decide what runs again, not another copy of it.
os.environ.update(
    PYTHONPATH=os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))
)

from snakemake.common.configfile import load_configfile
from snakemake.logging import logger
from snakemake.settings.enums import Quietness
from snakemake.utils import update_config
from transferlens.capabilities import run_of
from transferlens.core import artefacts, files, written
from transferlens.core.configuration import architecture_of, typed
from transferlens.core.errors import TransferlensError


def let_errors_through():
    """With --quiet all, Snakemake hides its errors, too (a locked folder, say): print these all the same."""
    asked = workflow.output_settings
    for handler in logger.handlers:
        if (
            Quietness.ALL in (asked.quiet or ())
            and not asked.dryrun
            and handler.name == "DefaultStreamHandler"
        ):
            handler.filters = [lambda record: record.levelno >= logging.ERROR]


let_errors_through()

# What is asked for where no file stands alone; the files of --configfile are laid over it.
DEFAULTS = str(REPOSITORY / "config.yaml")
# Each job starts Snakemake anew: what was checked at planning is not checked again.
if workflow.is_main_process:
    written.refuse_unreadable(
        # of --configfile, and of a user's Snakefile of which this is a module
        [*filter(os.path.exists, [DEFAULTS]), *workflow.configfiles]
    )


configfile: DEFAULTS


def given_settings():
    """What config.yaml, the files of --configfile and --config say together.

    Files that name a source and targets are a study of their own: nothing of config.yaml is mixed in. (With
    Snakemake's --replace-workflow-config cluster jobs would not know of it: it is not passed on to them.)
    """
    own = {}
    for file in workflow.config_settings.configfiles:
        update_config(own, load_configfile(file))
    stands_alone = {"source", "targets"} <= own.keys()
    if workflow.config_settings.replace_workflow_config and not stands_alone:
        sys.exit(
            "transferlens: --replace-workflow-config: the files of --configfile name no `source` and `targets`; "
            "add these, or leave the option out to lay the files over config.yaml"
        )
    given, below = (own, []) if stands_alone else (config, [load_configfile(DEFAULTS)])
    written = typed(dict(workflow.config_settings.config))
    update_config(given, written)
    if architecture := architecture_of([*below, own, written]):
        given["architecture"] = architecture
    return given


def given_to_module():
    """What the `config` of a module says: a study of its own as above, or laid over config.yaml."""
    paths = workflow.modifier.path_modifier
    if paths.prefix or paths.modifies_prefixes:
        sys.exit(
            "transferlens: a module's `prefix` or `replace_prefix` is not followed by all of its files; leave it "
            "out, and run in a folder of its own with --directory"
        )
    layers = (
        [config] if {"source", "targets"} <= config.keys() else [load_configfile(DEFAULTS), config]
    )
    given = {}
    for layer in layers:
        update_config(given, layer)
    if architecture := architecture_of(layers):
        given["architecture"] = architecture
    return given


def asks_for_networks_only():
    """Whether `snakemake network` is all that is asked for: a run that its networks refuse is shown them.

    Snakemake tells a workflow its targets only when all of this is read.
    """
    if "network" not in sys.argv:
        return False
    from snakemake.cli import parse_args

    return set(parse_args(sys.argv[1:])[1].targets) == {"network"}


def checked_run():
    """The run that the configuration asks for, or one line on what is wrong, before any job is planned."""
    try:
        run = run_of(
            given_settings() if workflow.modifier.is_main_snakefile() else given_to_module()
        )
        # Each job of a cluster starts Snakemake anew: what was checked at planning is not checked again.
        if workflow.is_main_process:
            if not asks_for_networks_only():
                run.check_networks()
                run.check_data()
            artefacts.refuse_other_versions("results")
            files.refuse_unwritable("results")
        return run
    except TransferlensError as error:
        sys.exit(f"transferlens: {error}")


RUN = checked_run()
