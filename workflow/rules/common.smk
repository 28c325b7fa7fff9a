# Validation, constants and input functions. Nothing here reads data.
import json
import os
import sys
from pathlib import Path

import yaml

REPOSITORY = Path(workflow.basedir)
# Jobs run `python`: make that the interpreter Snakemake itself runs in, activated or not.
os.environ.update(PATH=os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()]))
sys.path.insert(0, str(REPOSITORY))

from snakemake.utils import update_config
from transferlens import config as configuration
from transferlens import store, studies
from transferlens.counterfactual.orders import check_ks
from transferlens.data import sources
from transferlens.errors import TransferlensError


def checked(raw):
    """The complete configuration, or one line on what is wrong with it, before any job is planned."""
    schema = yaml.safe_load(
        (REPOSITORY / "workflow/schemas/config.schema.yaml").read_text(encoding="utf-8")
    )
    try:
        found = configuration.load(raw, schema)
        for name, settings in found["datasets"].items():
            sources.class_names(name, settings.get("path"))
        source = found["source"]
        classes = sources.class_names(source, found["datasets"][source].get("path"))
        check_ks(found["studies"]["counterfactual"]["ks"], len(classes))
        store.refuse_newer("results")
        store.refuse_unwritable("results")
        return found
    except TransferlensError as error:
        sys.exit(f"transferlens: {error}")


update_config(config, configuration.typed(dict(workflow.config_settings.config)))
config = checked(config)

SOURCE = config["source"]
DATASETS = list(dict.fromkeys([SOURCE, *config["targets"]]))
# Every (target, recipe) pair of the run.
ADAPTATIONS = [
    (target, recipe) for target, use in config["targets"].items() for recipe in use["recipes"]
]


def study_tables():
    """Name: (settings, number of rows, target and recipe it is limited to or None) of every study."""
    given = config["studies"]
    removal = {**given["counterfactual"], "ks": sorted(given["counterfactual"]["ks"])}
    removal_rows = len(removal["orders"]) * len(removal["ks"]) * removal["repeats"]
    tables = {
        "reference": (given["reference"], 2 * given["reference"]["repeats"], None),
        "influence": (given["influence"], given["influence"]["models"], None),
    }
    if given["pretrained"]:
        tables["pretrained"] = ({**given["pretrained"], "shard_size": 1}, 1, None)
    for target, recipe in ADAPTATIONS:
        tables[f"counterfactual-{target}-{recipe}"] = (removal, removal_rows, (target, recipe))
    return tables


STUDIES = study_tables()


wildcard_constraints:
    study="|".join(STUDIES),
    target="|".join(config["targets"]),
    recipe="|".join(config["recipes"]),
    dataset="|".join(config["datasets"]),
    split="train|val",
    shard=r"\d{4}",


def code(script, *modules):
    """The script and the library modules that decide a result; a change of their content makes it anew."""
    files = [REPOSITORY / "scripts" / script] + [REPOSITORY / "transferlens" / m for m in modules]
    return [os.path.relpath(file) for file in files]


def dumps(settings):
    """Settings as the JSON that scripts take; part of a rule's params, so a change re-runs the rule."""
    return json.dumps(settings, sort_keys=True)


def data_arguments():
    """Where raw data lies. Not part of any rule's params: moving it must not re-run anything."""
    return f"--data-root {config['data_root']}" + " --download" * config["download"]


def betons(dataset):
    """The files of a prepared data set, by argument name."""
    return {
        "index": f"results/data/{dataset}/index.h5",
        **{
            f"{split}{kind}": f"results/data/{dataset}/{split}.{suffix}"
            for split in ("train", "val")
            for kind, suffix in (("", "beton"), ("_manifest", "h5"))
        },
    }


def target_files(wildcards):
    return betons(wildcards.target)


def dataset_settings(wildcards):
    keys = ("path", "train_per_class", "val_per_class", "select_fraction", "unreadable")
    settings = config["datasets"][wildcards.dataset]
    return dumps(
        {
            "name": wildcards.dataset,
            "seed": config["seed"],
            "dataset": {k: settings[k] for k in keys if k in settings},
        }
    )


def beton_settings(wildcards):
    return dumps(
        {
            "name": wildcards.dataset,
            "split": wildcards.split,
            "dataset": config["datasets"][wildcards.dataset],
        }
    )


def masks_input(wildcards):
    limited_to = STUDIES[wildcards.study][2]
    files = {"index": f"results/data/{SOURCE}/index.h5"}
    if limited_to:
        files["influence"] = "results/influence/{}/{}.h5".format(*limited_to)
    return files


def masks_settings(wildcards):
    settings, rows, limited_to = STUDIES[wildcards.study]
    block = studies.shard_rows(wildcards.shard, rows, settings["shard_size"])
    shown = ("design", "keep", "orders", "ks", "output") if wildcards.study != "reference" else ()
    return dumps(
        {
            "study": wildcards.study,
            "seed": config["seed"],
            "rows": [block.start, block.stop],
            **{k: settings[k] for k in shown if k in settings},
        }
    )


def weights_file(wildcards):
    """The file that the pretrained study loads, if it is one: then its content is an input."""
    if wildcards.study != "pretrained":
        return {}
    weights = config["studies"]["pretrained"]["weights"]
    return {"weights": weights} if Path(weights).suffix else {}


def source_settings(wildcards):
    if wildcards.study == "pretrained":
        origin = {"weights": config["studies"]["pretrained"]["weights"]}
    else:
        origin = {"training": config["source_training"]}
    return dumps({"architecture": config["architecture"], "input": config["input"], **origin})


def transfer_settings(wildcards):
    return dumps(
        {
            "architecture": config["architecture"],
            "input": config["input"],
            "recipe": configuration.recipe(config, wildcards.target, wildcards.recipe),
            # Whole adapted networks are kept only where heatmaps and later analyses read them.
            "keep_weights": wildcards.study in ("reference", "pretrained"),
        }
    )


def summary_shards(wildcards):
    settings, rows, _ = STUDIES[wildcards.study]
    return expand(
        "results/studies/{study}/transfer/{target}/{recipe}/{shard}.h5",
        shard=studies.shards(rows, settings["shard_size"]),
        **dict(wildcards.items()),
    )


def counterfactual_settings(wildcards):
    settings = STUDIES[f"counterfactual-{wildcards.target}-{wildcards.recipe}"][0]
    return dumps({key: settings[key] for key in ("orders", "ks", "repeats")})


def heatmap_settings(wildcards):
    return dumps(
        {
            **config["heatmaps"],
            "architecture": config["architecture"],
            "input": config["input"],
        }
    )


def figure_settings(wildcards):
    keys = ("output", "top_classes")
    return dumps({**dict(wildcards.items()), **{k: config["report"][k] for k in keys}})


def report_settings():
    return dumps(
        {
            "title": config["report"]["title"],
            "output": config["report"]["output"],
            "source": SOURCE,
            "datasets": DATASETS,
            "adaptations": ADAPTATIONS,
            "pretrained": config["studies"]["pretrained"] is not None,
        }
    )


def per_adaptation(*patterns):
    """Each pattern once for every (target, recipe) of the run."""
    return [p.format(target=t, recipe=r) for t, r in ADAPTATIONS for p in patterns]


def pretrained_summaries(wildcards):
    pattern = "results/studies/pretrained/summary/{target}/{recipe}.h5"
    return per_adaptation(pattern) if config["studies"]["pretrained"] else []


def success_message():
    return "Transferlens: done. Open results/report/index.html in a browser."


def failure_message(log):
    return (
        "Transferlens: stopped by the error above; each job's messages are in results/logs. Finished "
        "artefacts are kept: the same command continues from there."
    )
