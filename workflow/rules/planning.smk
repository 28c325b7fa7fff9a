# What `snakemake plan` needs to know of the run.


def plan_settings():
    """All that decides what the run costs."""
    settings = {
        "source": SOURCE,
        "units": len(unit_names(config)),
        "source_training": config["source_training"],
        "datasets": {
            name: dict(zip(("images", "settings"), images_of(name), strict=True))
            for name in DATASETS
        },
        "input": {name: input_of(name) for name in DATASETS},
        "adaptations": ADAPTATIONS,
        "size_of": {name: whole for name, (whole, _) in SIZES.items()},
        "sized": sized_adaptations(),
        "recipes": {
            f"{target}/{recipe}": configuration.recipe(
                config, SIZES.get(target, (target,))[0], recipe
            )
            for target, recipe in [
                *ADAPTATIONS,
                *sized_adaptations(),
                *reused_adaptations(),
                *MEMORIES,
                *REMEDIED,
            ]
        },
        "memories": MEMORIES + REMEDIED,
        "first_memories": MEMORIES,
        "memory_settings": planned_memories(),
        "outputs": config["influence"]["outputs"],
        "flags": {
            "reuse": bool(config["studies"]["reuse"]),
            "examples": "examples" in STUDIES,
            "faithfulness": bool(config["heatmaps"]["faithfulness"]),
            "label_mapping": "label_mapping" in config["studies"]["counterfactual"]["orders"],
        },
        "studies": {name: planned_study(name) for name in STUDIES},
        "influence_maps": config["influence_maps"],
    }
    return dumps(settings)


def sized_adaptations():
    """(target, recipe) of every target with fewer training images."""
    return [
        (name, recipe)
        for name, (whole, _) in SIZES.items()
        for recipe in config["targets"][whole]["recipes"]
    ]


def reused_adaptations():
    """(target, recipe) of every transfer that influences are reused for."""
    if not config["studies"]["reuse"]:
        return []
    return [(target, reuse_recipe(recipe)) for target, recipe in ADAPTATIONS]


def planned_memories():
    """What decides the size of a study of memories."""
    if config["memories"] is None:
        return None
    given = config["memories"]
    return {
        "models": memory_models(),
        "classes": given["strongest"] + given["random"],
        "per_cell": given["composites"]["per_cell"],
        "examples": given["examples"],
    }


def planned_study(name):
    study = STUDIES[name]
    return {
        "rows": study.rows,
        "shard_size": study.shard_size,
        "units": study.masks["units"],
        "architecture": architecture_of(name),
        "step_matched": study.step_matched,
        "share": share_seen(name),
        "temporary": name in TEMPORARY_WEIGHTS,
        "keeps_networks": keeps_networks(name),
        "transfers": list(dict.fromkeys(transfers_of(name) + summarised_memories(name))),
        "memory_transfers": memory_transfers(name),
        "memory_rows": memory_rows(name),
    }


def share_seen(name):
    """The mean share of the source that a study's models are trained on; None if they are not trained."""
    masks, units = STUDIES[name].masks, len(unit_names(config))
    if name == "pretrained":
        return None
    if "keep" in masks:
        return masks["keep"]
    if "without" in masks:
        return 1 - 1 / units
    if "ks" not in masks:
        return 0.5  # the whole source and nothing by turns
    picked = len(masks["handpicked"] or [])
    sizes = {"handpicked": picked, "single": units - 1}
    seen = [sizes.get(order, units - k) for order, k in Removals.of(masks).cells()]
    return sum(seen) / len(seen) / units


def transfers_of(name):
    """(target, recipe) that a study's models are transferred by."""
    if name.startswith("reuse-"):
        ranked = STUDIES[name].ranked_by
        pairs = [ranked] if ranked else ADAPTATIONS
        return [(target, reuse_recipe(recipe)) for target, recipe in pairs]
    of_study = {"reference": ADAPTATIONS + sized_adaptations()}
    of_study["influence"] = of_study["reference"]
    pairs = of_study.get(name, ADAPTATIONS)
    if ranked := STUDIES[name].ranked_by:
        pairs = [ranked]
    if pair := STUDIES[name].memories_of:
        return [pair]
    if name in ("repeated", "influence", "examples", "pretrained"):
        return pairs
    # Another recipe only: influences are reused with the same source models.
    again = config["studies"]["reuse"] and "reuse-reference" not in STUDIES
    return pairs + [(t, reuse_recipe(r)) for t, r in pairs if again and t not in SIZES]
