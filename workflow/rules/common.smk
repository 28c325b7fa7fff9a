# Constants and input functions, made from the configuration.
SOURCE = config["source"]
# Every (target, recipe) pair of the run.
ADAPTATIONS = [
    (target, recipe) for target, use in config["targets"].items() for recipe in use["recipes"]
]
# Every (target, recipe) pair of the study of memories, without its remedies; and with them.
MEMORIES = [
    (target, recipe)
    for target in config["targets"]
    for recipe in (config["memories"] or {"recipes": []})["recipes"]
]
REMEDIES = (config["memories"] or {"remedies": []})["remedies"]
REMEDIED = [(t, r) for t in config["targets"] for r in configuration.remedied_recipes(config)]
# Targets with fewer training images: name: (target, images a class).
SIZES = {
    f"{target}-{size}-a-class": (target, size)
    for target, use in config["targets"].items()
    for size in use["sizes"]
}
DATASETS = list(dict.fromkeys([SOURCE, *config["targets"], *SIZES]))


@dataclass
class Study:
    """How the rows of a study are made.

    `masks` holds the settings that draw them. `ranked_by` is the (target, recipe) whose influences rank the
    removed classes; such a study is transferred to that target only. `architecture` is None for the run's own.
    `memories_of` is the (target, recipe) whose most distracting classes are left out.
    """

    masks: dict
    rows: int
    shard_size: int
    ranked_by: tuple = None
    architecture: dict = None
    step_matched: bool = False
    memories_of: tuple = None


def study_table():
    """All studies by name."""
    given = config["studies"]
    influence, repeats = given["influence"], given["reference"]["repeats"]
    classes = {"units": "classes"}
    random = {key: influence[key] for key in ("design", "keep", "units")}
    studies = {
        "reference": Study(classes, 2 * repeats, given["reference"]["shard_size"]),
        "influence": Study(random, influence["models"], influence["shard_size"]),
    }
    if given["repeated"]:
        studies["repeated"] = Study(
            random, given["repeated"]["models"], given["repeated"]["shard_size"]
        )
    if blocks := given["examples"]:
        masks = {**{k: blocks[k] for k in ("design", "keep")}, "units": blocks["images_a_block"]}
        studies["examples"] = Study(masks, blocks["models"], blocks["shard_size"])
    if given["pretrained"]:
        studies["pretrained"] = Study(classes, 1, 1)
    reused = given["reuse"] and given["reuse"]["architecture"]
    if reused == config["architecture"]:
        reused = None  # another recipe only: the same source models serve
    if reused:
        studies["reuse-reference"] = Study(
            classes, 2 * repeats, given["reference"]["shard_size"], None, reused
        )
    for target, recipe in ADAPTATIONS:
        for prefix, architecture in (("", None), ("reuse-", reused))[: 1 + bool(reused)]:
            studies[f"{prefix}counterfactual-{target}-{recipe}"] = removal_study(
                target, recipe, architecture
            )
    for target, recipe in MEMORIES:
        if config["memories"]["without"]:
            studies[f"without-memories-{target}-{recipe}"] = without_study(target, recipe)
    return studies


def without_study(target, recipe):
    """The full source without one class: each of the most distracting ones, and as many at random."""
    count = config["memories"]["without"]
    rows = 2 * count * config["memories"]["repeats"]
    shard_size = config["studies"]["reference"]["shard_size"]
    masks = {"without": count, "units": "classes"}
    return Study(masks, rows, shard_size, memories_of=(target, recipe))


def removal_study(target, recipe, architecture):
    """The full source without some of its classes, as the influences on a target rank them."""
    given = config["studies"]["counterfactual"]
    keys = ("orders", "handpicked", "singles", "output")
    masks = {
        **{key: given[key] for key in keys},
        "ks": sorted(given["ks"]),
        "units": config["studies"]["influence"]["units"],
    }
    rows = len(Removals.of(masks).cells()) * given["repeats"]
    return Study(
        masks, rows, given["shard_size"], (target, recipe), architecture, given["step_matched"]
    )


STUDIES = study_table()
# From so many models on, the source models of studies of many are deleted when all their transfers are done.
MODELS_OF_TEMPORARY_WEIGHTS = 1000


def temporary_weights():
    """Names of the studies whose source models are not kept.

    Those of the whole source are: heatmaps and the label mapping are made from them. Those without a memory
    are few, and of use beside them.
    """
    whole = ("reference", "reuse-reference", "pretrained")
    many = [name for name in STUDIES if name not in whole and not STUDIES[name].memories_of]
    models = sum(STUDIES[name].rows for name in many)
    temporary = {"keep": False, "temporary": True, "auto": models >= MODELS_OF_TEMPORARY_WEIGHTS}
    return many if temporary[config["source_weights"]] else []


TEMPORARY_WEIGHTS = temporary_weights()


def reuse_recipe(recipe):
    """The recipe that influences of a recipe are reused for."""
    return config["studies"]["reuse"]["recipe"] or recipe


wildcard_constraints:
    study="|".join(STUDIES),
    target="|".join([*config["targets"], *SIZES]),
    recipe="|".join([*config["recipes"], *configuration.remedied_recipes(config)]),
    dataset="|".join(DATASETS),
    split="train|val",
    shard=r"\d{4}",


def code(script, *modules):
    """The script and the library modules that decide a result; a change of their content makes it anew."""
    files = [REPOSITORY / "scripts" / script] + [REPOSITORY / "transferlens" / m for m in modules]
    return [os.path.relpath(file) for file in files]


# The modules that decide which images a data set has, and what is in them.
SOURCE_CODE = [
    f"data/{module}.py"
    for module in (
        "sources",
        "places",
        "splits",
        "classnames",
        "digits",
        "folder",
        "layouts",
        "tables",
        "hdf5",
        "torchvision_sets",
    )
]


def dumps(settings):
    """Settings as the JSON that scripts take; part of a rule's params, so a change re-runs the rule."""
    return json.dumps(settings, sort_keys=True)


def data_arguments(wildcards, input):
    """Where raw data lies, and how it is checked. None of it decides a result.

    Functions of `input` are no part of what Snakemake records of a rule: moving data re-runs nothing.
    """
    settings = config["datasets"][SIZES.get(wildcards.dataset, (wildcards.dataset,))[0]]
    given = ["--data-root", config["data_root"], "--archive-limit-gb", settings["archive_limit_gb"]]
    given += ["--download"] * config["download"] + ["--incomplete"] * (not settings["complete"])
    return shlex.join(str(argument) for argument in given)


def dataset_files():
    """The files of all data sets of the run."""
    return [path for name in DATASETS for path in betons(name).values()]


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


def images_of(dataset):
    """The name and settings of the data set that holds a data set's images."""
    name, size = SIZES.get(dataset, (dataset, None))
    # See data_arguments, metric_of and input_of: these say how it is found and used, not what it is.
    elsewhere = ("of", "complete", "archive_limit_gb", "metric", "crop_ratio")
    settings = {k: v for k, v in config["datasets"][name].items() if k not in elsewhere}
    if size is not None:
        settings["train_per_class"] = size
    return config["datasets"][name].get("of", name), settings


# Up to so many images, preparing several data sets side by side is faster than each by several cores.
IMAGES_WORTH_THREADS = 10_000


def data_threads(wildcards):
    """Cores that prepare a data set: one if it is known to be small, else as many as there are, up to 8."""
    name, settings = images_of(wildcards.dataset)
    facts = catalogue.CATALOGUE.get(name)
    if facts is None:
        return 8
    unlimited = facts.train_images or float("inf")
    images = catalogue.limited(unlimited, facts.classes, settings["train_per_class"])
    return 1 if images <= IMAGES_WORTH_THREADS else 8


def groups_file(wildcards):
    """The table that gives a data set's groups, if there is one: its content is an input."""
    groups = images_of(wildcards.dataset)[1].get("groups")
    return {"groups": groups} if groups and wordnet_level(groups) is None else {}


def dataset_settings(wildcards):
    name, settings = images_of(wildcards.dataset)
    keys = ("path", "groups", "labels", "train_per_class", "val_per_class", "select_fraction")
    keys += ("unreadable",)
    return dumps(
        {
            "name": name,
            "seed": config["seed"],
            "dataset": {k: settings[k] for k in keys if k in settings},
        }
    )


def beton_settings(wildcards):
    name, settings = images_of(wildcards.dataset)
    stored = {k: v for k, v in settings.items() if k not in ("crop_ratio", "metric")}
    return dumps({"name": name, "split": wildcards.split, "dataset": stored})


def masks_input(wildcards):
    study = STUDIES[wildcards.study]
    files = {"index": f"results/data/{SOURCE}/index.h5"}
    if study.memories_of:
        folder = "results/memories/{}/{}".format(*study.memories_of)
        files |= {name: f"{folder}/{name}.h5" for name in ("interference", "probes")}
        files["choice"] = code("draw_masks.py", "memories/retraining/left_out.py")[1:]
    if study.ranked_by:
        files["influence"] = "results/influence/{}/{}.h5".format(*study.ranked_by)
        if "label_mapping" in study.masks["orders"]:
            files["mapping"] = f"results/label_mapping/{study.ranked_by[0]}.h5"
    return files


def masks_settings(wildcards):
    study = STUDIES[wildcards.study]
    block = studies.shard_rows(wildcards.shard, study.rows, study.shard_size)
    return dumps(
        {
            **study.masks,
            "study": wildcards.study,
            "seed": config["seed"],
            "rows": [block.start, block.stop],
        }
    )


def study_shards(study, pattern):
    """A file name pattern for every shard of a study."""
    names = studies.shards(STUDIES[study].rows, STUDIES[study].shard_size)
    return [pattern.format(study=study, shard=name) for name in names]


def training_records(wildcards):
    """What stays of every source model of the run."""
    pattern = "results/studies/{study}/training/{shard}.h5"
    return [path for study in STUDIES for path in study_shards(study, pattern)]


def weights_file(wildcards):
    """What the pretrained study loads with, and the file it loads, if it is one: then its content is an input."""
    if wildcards.study != "pretrained":
        return {}
    modules = "models/states.py", "training/pretrained.py", "training/transfer.py"
    weights = config["studies"]["pretrained"]["weights"]
    return {
        "loading": code("load_pretrained.py", *modules),
        "weights": [weights] if Path(weights).suffix else [],
    }


def training_script(wildcards):
    """What makes the source models of a study."""
    return code(
        "load_pretrained.py" if wildcards.study == "pretrained" else "train_source.py"
    )


def architecture_of(study):
    return STUDIES[study].architecture or config["architecture"]


def source_settings(wildcards):
    if wildcards.study == "pretrained":
        pretrained = config["studies"]["pretrained"]
        origin = {"weights": pretrained["weights"]}
        if pretrained["head"] == "probe":
            origin["training"] = config["source_training"]
    else:
        origin = {
            "training": config["source_training"],
            "step_matched": STUDIES[wildcards.study].step_matched,
        }
    return dumps(
        {
            "architecture": architecture_of(wildcards.study),
            "input": input_of(SOURCE),
            **origin,
        }
    )


def input_of(dataset):
    """How images of a data set enter the networks: its own crop ratio, if it has one."""
    name = SIZES.get(dataset, (dataset,))[0]
    ratio = config["datasets"][name]["crop_ratio"]
    return config["input"] if ratio is None else {**config["input"], "crop_ratio": ratio}


def metric_of(dataset):
    """What accuracy means on a data set: as set, or as usual on the one that holds its images."""
    name = SIZES.get(dataset, (dataset,))[0]
    return config["datasets"][name]["metric"] or catalogue.usual_metric(images_of(dataset)[0])


def keeps_maps(wildcards):
    """Whether a transfer keeps the evidence maps of the probe set."""
    probed = config["influence_maps"] and wildcards.study == "influence"
    return bool(probed) and (wildcards.target, wildcards.recipe) in ADAPTATIONS


def probe_code(wildcards):
    """What decides the maps, for those transfers that keep some."""
    return (
        {"probe": code("transfer.py", "maps/evidence.py", "training/kept_maps.py")[1:]}
        if keeps_maps(wildcards)
        else {}
    )


def probe_settings():
    return {"examples": config["influence_maps"]["examples"], "seed": config["seed"]}


def transfer_settings(wildcards):
    target = SIZES.get(wildcards.target, (wildcards.target,))[0]
    return dumps(
        {
            # Only where it is kept: a change of the probe set makes no other transfer again.
            **({"probe": probe_settings()} if keeps_maps(wildcards) else {}),
            "architecture": architecture_of(wildcards.study),
            "input": input_of(target),
            "recipe": configuration.recipe(config, target, wildcards.recipe),
            "metric": metric_of(target),
            # Whole adapted networks are kept only where heatmaps and later analyses read them.
            "keep_weights": keeps_networks(wildcards.study),
        }
    )


def keeps_networks(study):
    return study in ("reference", "pretrained") or STUDIES[study].memories_of is not None


def summary_shards(wildcards):
    pattern = "results/studies/{{study}}/transfer/{target}/{recipe}/{{shard}}.h5"
    of_target = pattern.format(target=wildcards.target, recipe=wildcards.recipe)
    return study_shards(wildcards.study, of_target)


def influence_shards(wildcards):
    """The influence study's transfers, with the maps of the probe set."""
    pattern = "results/studies/{{study}}/transfer/{target}/{recipe}/{{shard}}.h5"
    return study_shards("influence", pattern.format(**dict(wildcards.items())))


def influence_maps_settings(wildcards):
    return dumps(
        {
            "estimator": config["influence"]["estimator"],
            "output": config["report"]["output"],
            "shown": config["influence_maps"]["shown"],
            "input": input_of(wildcards.target),
        }
    )


def influence_settings(wildcards):
    return dumps({key: config["influence"][key] for key in ("outputs", "estimator")})


def counterfactual_settings(wildcards):
    masks = STUDIES[f"counterfactual-{wildcards.target}-{wildcards.recipe}"].masks
    keys = ("orders", "ks", "handpicked", "singles", "output")
    repeats = config["studies"]["counterfactual"]["repeats"]
    return dumps({**{key: masks[key] for key in keys}, "repeats": repeats})


def label_mapping_settings(wildcards):
    return dumps({"architecture": config["architecture"], "input": input_of(wildcards.target)})


def heatmap_settings(wildcards):
    drawn = {key: value for key, value in config["heatmaps"].items() if key != "faithfulness"}
    return dumps(
        {
            **drawn,
            "architecture": config["architecture"],
            "input": input_of(wildcards.target),
        }
    )


def faithfulness_settings(wildcards):
    return dumps(
        {
            **config["heatmaps"]["faithfulness"],
            "layer": config["heatmaps"]["layer"],
            "seed": config["seed"],
            "architecture": config["architecture"],
            "input": input_of(wildcards.target),
        }
    )


def faithfulness_pictures(wildcards):
    scored = config["heatmaps"]["faithfulness"]
    return per_adaptation("results/faithfulness/{target}/{recipe}.png") if scored else []


def example_influence_settings():
    """Of many blocks and few models only differences of means can be estimated without a bias."""
    return dumps({"outputs": config["influence"]["outputs"], "estimator": "difference_of_means"})


def repeated_summary(wildcards):
    """The study that repeats masks, if there is one."""
    pattern = "results/studies/repeated/summary/{target}/{recipe}.h5"
    return {"repeated": pattern} if "repeated" in STUDIES else {}


def score_settings():
    reported = config["influence"]["estimator"]
    compared = list(dict.fromkeys([reported, *config["influence"]["compared"]]))
    return dumps(
        {"output": config["report"]["output"], "estimator": reported, "compared": compared}
    )


def reused_summaries(wildcards):
    """Summaries of the reference and counterfactual models that influences are reused for."""
    target, recipe = wildcards.target, reuse_recipe(wildcards.recipe)
    prefix = "reuse-" if "reuse-reference" in STUDIES else ""
    names = {
        "reference": f"{prefix}reference",
        "summary": f"{prefix}counterfactual-{target}-{wildcards.recipe}",
    }
    return {
        key: f"results/studies/{study}/summary/{target}/{recipe}.h5" for key, study in names.items()
    }


def analysis_settings(name, wildcards):
    of_source = {"source_input": input_of(SOURCE)} if name == "leakage" else {}
    return dumps(
        {
            **of_source,
            **config["analyses"][name],
            "target": wildcards.target,
            "recipe": wildcards.recipe,
            "output": config["report"]["output"],
            "input": input_of(wildcards.target),
        }
    )


def sized_names(target):
    """A target and its parts with fewer training images."""
    return [target, *(name for name, (whole, _) in SIZES.items() if whole == target)]


def sized_results(wildcards):
    names = sized_names(wildcards.target)
    return {
        "influences": [f"results/influence/{name}/{wildcards.recipe}.h5" for name in names],
        "references": [
            f"results/studies/reference/summary/{name}/{wildcards.recipe}.h5" for name in names
        ],
    }


def analyses_of(target):
    """The analyses that a target's settings allow."""
    names = ["subpopulations", "failures"]
    names += ["leakage"] * ("examples" in STUDIES)
    names += ["small_targets"] * bool(config["targets"][target]["sizes"])
    return names


def analysis_pictures(wildcards):
    return [
        f"results/analyses/{name}/{target}/{recipe}.png"
        for target, recipe in ADAPTATIONS
        for name in analyses_of(target)
    ]


def figure_inputs(wildcards):
    """Curves of reused influences, where there are any."""
    reused = {"reuse": "results/reuse/{target}/{recipe}.h5"}
    return reused if config["studies"]["reuse"] else {}


def figure_settings(wildcards):
    keys = ("output", "top_classes")
    return dumps(
        {
            **dict(wildcards.items()),
            **{k: config["report"][k] for k in keys},
            "reuse": config["studies"]["reuse"] is not None,
        }
    )


def report_settings():
    return dumps(
        {
            "title": config["report"]["title"],
            "output": config["report"]["output"],
            "source": SOURCE,
            "datasets": DATASETS,
            "adaptations": ADAPTATIONS,
            "analyses": {target: analyses_of(target) for target, _ in ADAPTATIONS},
            "studies": list(STUDIES),
            "reuse": reuse_text(),
            "faithfulness": config["heatmaps"]["faithfulness"] is not None,
            "influence_maps": config["influence_maps"] is not None,
            "memories": MEMORIES,
            "memory_tables": memory_tables(),
        }
    )


def reuse_text():
    """What influences are reused for, in words; empty if they are not."""
    given = config["studies"]["reuse"]
    if not given:
        return ""
    named = given["architecture"]
    width = f", width {named['width']}" if named["name"] == "small_resnet" else ""
    recipe = f", recipe {given['recipe']}" if given["recipe"] else ""
    return named["name"] + width + recipe


def per_adaptation(*patterns):
    """Each pattern once for every (target, recipe) of the run."""
    return [p.format(target=t, recipe=r) for t, r in ADAPTATIONS for p in patterns]


def pretrained_summaries(wildcards):
    pattern = "results/studies/pretrained/summary/{target}/{recipe}.h5"
    return per_adaptation(pattern) if config["studies"]["pretrained"] else []


def influence_map_pictures(wildcards):
    pattern = "results/influence_maps/{target}/{recipe}.png"
    return per_adaptation(pattern) if config["influence_maps"] else []


def date_back():
    """Date files from the future now: Snakemake would remove what is made from them."""
    folders = [Path("results"), *(REPOSITORY / name for name in ("scripts", "transferlens"))]
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    if found := store.date_back(files):
        print(
            f"Transferlens: {len(found)} files were dated in the future, now today: {found[0]}, ..."
        )


def success_message():
    if workflow.dag_settings.targets:
        return "Transferlens: done."
    return "Transferlens: done. Open results/report/index.html in a browser."


def failure_message(log):
    if "doctor" in workflow.dag_settings.targets:
        return (
            "Transferlens: the check above (also in results/logs/doctor.log) found damage; run its "
            "cures, then snakemake makes these files again where they are needed."
        )
    return (
        "Transferlens: stopped by the error above; each job's messages are in results/logs. Finished "
        "artefacts are kept: the same command continues from there."
    )
