# Where in the image influences act: the influence of every source class on the cells of evidence maps.


rule influence_maps:
    input:
        unpack(target_files),
        script=code("estimate_influence_maps.py"),
        code=code(
            "estimate_influence_maps.py",
            "core/statistics.py",
            "influence/artefact.py",
            "estimation/estimators.py",
            "influence_maps/picture.py",
            "pictures/figures.py",
            "influence_maps/estimates.py",
            "training/kept_maps.py",
        ),
        shards=influence_shards,
        summary="results/studies/influence/summary/{target}/{recipe}.h5",
        influence="results/influence/{target}/{recipe}.h5",
    output:
        maps="results/influence_maps/{target}/{recipe}.h5",
        picture=report(
            "results/influence_maps/{target}/{recipe}.png",
            caption="../report/influence_maps.rst",
            category="Heatmaps",
            labels={"target": "{target}", "recipe": "{recipe}", "figure": "influence maps"},
        ),
    log:
        "results/logs/influence_maps/{target}-{recipe}.log",
    benchmark:
        "results/benchmarks/influence_maps/{target}-{recipe}.tsv"
    conda:
        "../../envs/transferlens.yaml"
    params:
        settings=influence_maps_settings,
    message:
        "Estimate influence maps on {wildcards.target} ({wildcards.recipe})"
    shell:
        "python {input.script} --settings {params.settings:q} --shards {input.shards}"
        " --summary {input.summary} --influence {input.influence} --index {input.index}"
        " --val {input.val} --out {output.maps} --picture {output.picture} --log {log}"
