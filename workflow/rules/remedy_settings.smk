# What remedies need to know of the run. Their rules are in remedies.smk.


def remedy_files(wildcards):
    """What a remedy is made of: the source's training images, and what distracts without the remedy."""
    files = betons(SOURCE)
    folder = f"results/memories/{wildcards.target}/{BASE_RECIPES[wildcards.recipe]}"
    return {
        **{f"source_{key}": files[key] for key in ("index", "train")},
        **{name: f"{folder}/{name}.h5" for name in ("interference", "probes")},
    }


def remedied_settings(wildcards):
    """The settings of any transfer, and those of what its remedy is made of."""
    given = config["memories"]["composites"]
    return dumps(
        {
            **json.loads(transfer_settings(wildcards)),
            "source_input": input_of(SOURCE),
            "composites": {key: given[key] for key in ("side", "placement")},
        }
    )


def remedied_recipes(recipe):
    """A recipe, and those that remedies make of it."""
    return [recipe, *(f"{recipe}-{remedy}" for remedy in REMEDIES)]


def remedied_results(wildcards):
    """Of a recipe without and with each remedy: composites, probes, and clean outputs."""
    recipes = [(wildcards.target, recipe) for recipe in remedied_recipes(wildcards.recipe)]
    transfers = "results/studies/{}/transfer/{}/{}/{}.h5"
    models = [("reference", shard) for shard in memory_shards()] + [
        ("pretrained", "0000")
    ] * uses_pretrained()
    return {
        **{key: memory_file(f"{key}.h5", recipes) for key in ("composites", "probes")},
        "interference": memory_file("interference.h5", recipes[:1]),
        "transfers": [
            transfers.format(study, *pair, shard) for pair in recipes for study, shard in models
        ],
    }


def comparison_settings(wildcards):
    return dumps(
        {
            **dict(wildcards.items()),
            "remedies": REMEDIES,
            "seed": config["seed"],
            "bootstrap": config["memories"]["bootstrap"],
        }
    )
