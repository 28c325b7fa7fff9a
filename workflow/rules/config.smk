# The configuration: read, checked, completed. Nothing here reads data.
import json
import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

REPOSITORY = Path(workflow.basedir)
# Jobs run `python`: make that the interpreter Snakemake itself runs in, activated or not.
os.environ.update(PATH=os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()]))
sys.path.insert(0, str(REPOSITORY))

from snakemake.common.configfile import load_configfile
from snakemake.utils import update_config
from transferlens.core import store, studies
from transferlens.operations import cluster
from transferlens.core import config as configuration
from transferlens.counterfactual.orders import Removals, check_removals
from transferlens.data import catalogue, sources, wordnet
from transferlens.data.classnames import readable
from transferlens.data.groups import require_groups, wordnet_level
from transferlens.core.errors import TransferlensError
from transferlens.estimation import designs, estimators
from transferlens.memories.retraining.left_out import check_count

# Each job of a cluster starts Snakemake anew: what was checked when it was planned is not checked again.
PLANNING = workflow.is_main_process


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
    found = own if stands_alone else config
    update_config(found, configuration.typed(dict(workflow.config_settings.config)))
    return found


def checked(raw):
    """The complete configuration, or one line on what is wrong with it, before any job is planned."""
    schema = yaml.safe_load(
        (REPOSITORY / "workflow/schemas/config.schema.yaml").read_text(encoding="utf-8")
    )
    try:
        found = configuration.load(raw, schema, catalogue.published_training())
        counterfactual = found["studies"]["counterfactual"]
        counterfactual["handpicked"] = picked_units(counterfactual["handpicked"], found)
        if PLANNING:
            for name in found["datasets"]:
                check_dataset(found, name)
            check_units(found)
            check_overlap(found)
            check_maps(found)
            store.refuse_newer("results")
            store.refuse_unwritable("results")
        return found
    except TransferlensError as error:
        sys.exit(f"transferlens: {error}")


def check_dataset(config, name):
    """Refuse unknown data sets, and groups that do not fit; a target's images may still be missing."""
    settings = config["datasets"][name]
    sources.check_name(settings.get("of", name), settings.get("path"))
    if "groups" in settings or settings["labels"] == "groups":
        described(config, name)


def described(config, name):
    """(class names, their groups) of a data set."""
    settings = config["datasets"][name]
    root = Path(config["data_root"])
    names, groups = sources.describe(
        settings.get("of", name), settings.get("path"), settings.get("groups"), root
    )
    if settings["labels"] == "groups":
        require_groups(f"data set {name}", names, groups)
    return names, groups


def unit_names(config):
    """What masks switch on and off: the source's classes, or its groups of classes."""
    names, groups = described(config, config["source"])
    if config["studies"]["influence"]["units"] == "groups":
        require_groups(f"studies.influence.units: data set {config['source']}", names, groups)
        names = sorted(set(groups))
    return names


def check_units(config):
    """Refuse studies that the source's classes do not allow."""
    names, given = unit_names(config), config["studies"]
    masks = {k: given["influence"][k] for k in ("design", "keep", "models")}
    designs.check_design(masks["design"], len(names), masks["keep"], masks["models"])
    fold_over = masks["design"] in designs.FOLD_OVER
    estimators.require_models(
        config["influence"]["estimator"], masks["models"], len(names), fold_over
    )
    check_removals(Removals.of(given["counterfactual"]), names)
    if config["memories"]:
        check_count(config["memories"]["without"], len(described(config, config["source"])[0]))
    drawn = designs.draw_masks(
        masks["design"], len(names), masks["keep"], config["seed"], range(masks["models"])
    )
    estimators.check_masks(drawn, names)


def check_maps(config):
    """Refuse methods and a layer of heatmaps that the network does not allow.

    Only what is neither the default nor safe for every network is looked at: torch takes seconds to import.
    """
    given = config["heatmaps"]
    compared = given["faithfulness"]["methods"] if given["faithfulness"] else []
    methods = list(dict.fromkeys([given["method"], *compared]))
    if given["layer"] is None and not {"LeGrad", "RefineCAM"} & set(methods):
        return
    from transferlens.maps import class_maps

    architecture = configuration.ArchitectureSettings.of(config["architecture"])
    class_maps.check(architecture, config["input"]["resolution"], methods, given["layer"])


def check_overlap(config):
    """Refuse a table of overlapping classes that is not there, not complete, or of other classes."""
    given = (config["memories"] or {"overlap": "none"})["overlap"]
    if given in ("names", "none"):
        return
    from transferlens.memories import overlap

    for target in config["targets"]:
        names = [described(config, name)[0] for name in (config["source"], target)]
        overlap.read_table(Path(given.replace("{target}", target)), *names)


def picked_units(picked, config):
    """Units picked by hand, WordNet subtrees (`wordnet:<id>`) replaced by the source classes in them."""
    if picked is None:
        return None
    roots = {
        entry: entry.removeprefix("wordnet:") for entry in picked if entry.startswith("wordnet:")
    }
    found = [readable(entry) for entry in picked if entry not in roots]
    names = unit_names(config) if roots else []
    for root in roots.values():
        found += wordnet.classes_below(root, names)
    return list(dict.fromkeys(found))


config = checked(given_settings())
