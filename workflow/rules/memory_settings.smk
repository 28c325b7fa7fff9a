# What the study of memories needs: constants and input functions. Its rules are in memories.smk.

# The recipe that a remedy is made of, by the recipe it makes.
BASE_RECIPES = {f"{base}-{remedy}": base for _, base in MEMORIES for remedy in REMEDIES}


def memory_file(name, pairs=MEMORIES):
    """results/memories/<target>/<recipe>/<name> of every pair given."""
    return [f"results/memories/{target}/{recipe}/{name}" for target, recipe in pairs]


def memory_results(wildcards):
    """The last files of the study of memories; none without one."""
    galleries = [f"results/report/{t}/{r}/memories.html" for t, r in MEMORIES]
    return memory_file("interference.h5", MEMORIES + REMEDIED) + galleries


def memory_tables():
    """Results of a study of memories beside its own, each a table and a picture."""
    return ["agreement"] + ["remedies"] * bool(REMEDIES)


def gallery_tables(wildcards):
    folder = f"results/memories/{wildcards.target}/{wildcards.recipe}"
    return {name: f"{folder}/{name}.csv" for name in memory_tables()}


def gallery_settings(wildcards):
    title = f"Detrimental memories: {wildcards.target}, {wildcards.recipe}"
    return dumps({"title": title, "tables": memory_tables()})


def uses_pretrained():
    return config["memories"]["source"] == "pretrained"


def memory_models():
    """Pairs of models that are compared; there is one pretrained model."""
    return 1 if uses_pretrained() else config["memories"]["models"]


def memory_shards():
    """The shards of the reference study that hold the models compared: rows 2r and 2r + 1 of repeat r."""
    study = STUDIES["reference"]
    return studies.shards(2 * memory_models(), study.shard_size)


def memory_transfers(study):
    """(target, recipe) by which some models of a study are transferred for the study of memories alone."""
    if config["memories"] is None or study not in ("reference", "pretrained"):
        return []
    if study == "pretrained" and not uses_pretrained():
        return []
    others = transfers_of(study) + summarised_memories(study)
    return [pair for pair in MEMORIES + REMEDIED if pair not in others]


def summarised_memories(study):
    """(target, recipe) by which all models of a study are transferred, to be compared with others."""
    retrained = study == "reference" and any(STUDIES[name].memories_of for name in STUDIES)
    return MEMORIES if retrained else []


def memory_rows(study):
    """Models of a study that these transfers adapt: whole shards."""
    if not memory_transfers(study):
        return 0
    given = STUDIES[study]
    shards = memory_shards() if study == "reference" else ["0000"]
    return min(given.rows, len(shards) * given.shard_size)


def pair_files(wildcards):
    """Models of the first pairs of the reference study, and the pretrained one where it takes their place."""
    transfer = "results/studies/{}/transfer/{}/{}/{}.h5"
    of_run = (wildcards.target, wildcards.recipe)
    files = {
        "sources": [f"results/studies/reference/source/{shard}.h5" for shard in memory_shards()],
        "transfers": [transfer.format("reference", *of_run, shard) for shard in memory_shards()],
    }
    if uses_pretrained():
        files["pretrained_source"] = "results/studies/pretrained/source/0000.h5"
        files["pretrained_transfer"] = transfer.format("pretrained", *of_run, "0000")
    return files


def pair_arguments(wildcards, input):
    """The same as arguments of a script."""
    names = [name for name in pair_files(wildcards) if input.get(name)]
    return " ".join(f"--{name.replace('_', '-')} {input[name]}" for name in names)


def source_val_files():
    """The source's evaluation images."""
    files = betons(SOURCE)
    return {f"source_{key}": files[key] for key in ("index", "val", "val_manifest")}


def target_val_files(wildcards):
    """The target's evaluation images."""
    files = betons(wildcards.target)
    return {key: files[key] for key in ("index", "val", "val_manifest")}


def overlap_file(wildcards):
    """The table of classes that mean the same, if there is one; `{target}` stands for the target's name."""
    given = config["memories"]["overlap"]
    is_table = given not in ("names", "none")
    return {"overlap": given.replace("{target}", wildcards.target)} if is_table else {}


def first_probes(wildcards):
    """The probes that choose source classes: those of the recipe that a remedy is made of, or its own."""
    recipe = BASE_RECIPES.get(wildcards.recipe, wildcards.recipe)
    return f"results/memories/{wildcards.target}/{recipe}/probes.h5"


def network_settings(wildcards):
    """Networks and images, as every script on memories takes them."""
    return {
        "architecture": config["architecture"],
        "input": input_of(wildcards.target),
        "source_input": input_of(SOURCE),
        "models": memory_models(),
        "seed": config["seed"],
    }


def probe_settings(wildcards):
    given = config["memories"]
    overlap = given["overlap"]
    recipe = configuration.recipe(config, wildcards.target, wildcards.recipe)
    return dumps(
        {
            **network_settings(wildcards),
            "overlap": overlap if overlap in ("names", "none") else "table",
            **{key: recipe[key] for key in ("kind", "batchnorm")},
            **{key: given[key] for key in ("bootstrap", "permutations")},
        }
    )


def composite_settings(wildcards):
    given = config["memories"]
    chosen = {key: given[key] for key in ("strongest", "random")}
    return dumps(
        {**network_settings(wildcards), **chosen, "composites": given["composites"]},
    )


def interference_settings(wildcards):
    given = config["memories"]
    keys = ("smallest_cell", "bootstrap", "permutations")
    return dumps({"seed": config["seed"], **{key: given[key] for key in keys}})


def without_files(wildcards):
    """Summaries of models whose source lacks one class, and of the full-source ones, where there are such."""
    of_run = (wildcards.target, wildcards.recipe)
    study = "without-memories-{}-{}".format(*of_run)
    if study not in STUDIES:
        return {}
    summary = "results/studies/{}/summary/{}/{}.h5"
    return {
        "without": summary.format(study, *of_run),
        "reference": summary.format("reference", *of_run),
    }


def without_arguments(wildcards, input):
    """The same as arguments of a script."""
    return " ".join(f"--{name} {input[name]}" for name in without_files(wildcards))


def ranking_settings(wildcards):
    keys = ("removal", "bootstrap", "permutations")
    given = {key: config["memories"][key] for key in keys}
    return dumps({**network_settings(wildcards), **given})


def panel_settings(wildcards):
    given = {key: config["memories"][key] for key in ("examples", "colormap")}
    return dumps({**network_settings(wildcards), **given})


def influence_recipe(target, recipe):
    """The recipe whose influences memories are compared with: their own, or the target's first."""
    recipes = config["targets"][target]["recipes"]
    return recipe if recipe in recipes else recipes[0]


def compared_influences(wildcards):
    recipe = influence_recipe(wildcards.target, wildcards.recipe)
    return {"influence": f"results/influence/{wildcards.target}/{recipe}.h5"}


def agreement_settings(wildcards):
    given = config["memories"]
    return dumps(
        {
            **dict(wildcards.items()),
            "influence_recipe": influence_recipe(wildcards.target, wildcards.recipe),
            "output": config["report"]["output"],
            "seed": config["seed"],
            **{key: given[key] for key in ("bootstrap", "permutations")},
        }
    )
