# Where in the image it shows.


rule heatmaps:
    input:
        unpack(target_files),
        script=code("draw_heatmaps.py"),
        code=code(
            "draw_heatmaps.py",
            "core/statistics.py",
            "maps/class_maps.py",
            "heatmaps/hurt_examples.py",
            "pictures/figures.py",
            "pictures/overlays.py",
            "maps/evidence.py",
        ),
        influence="results/influence/{target}/{recipe}.h5",
        source_index=f"results/data/{SOURCE}/index.h5",
        source="results/studies/reference/source/0000.h5",
        transfer="results/studies/reference/transfer/{target}/{recipe}/0000.h5",
    output:
        heatmaps="results/heatmaps/{target}/{recipe}.h5",
        gallery=report(
            "results/heatmaps/{target}/{recipe}.png",
            caption="../report/heatmaps.rst",
            category="Heatmaps",
            labels={"target": "{target}", "recipe": "{recipe}"},
        ),
    log:
        "results/logs/heatmaps/{target}-{recipe}.log",
    conda:
        "../../envs/transferlens.yaml"
    resources:
        gpu=1,
    params:
        settings=heatmap_settings,
    message:
        "Draw heatmaps for {wildcards.target} ({wildcards.recipe})"
    shell:
        "python {input.script} --settings {params.settings:q} --influence {input.influence}"
        " --source {input.source} --transfer {input.transfer} --index {input.index}"
        " --source-index {input.source_index}"
        " --val {input.val} --out {output.heatmaps} --picture {output.gallery} --log {log}"


rule faithfulness:
    input:
        unpack(target_files),
        script=code("score_heatmaps.py"),
        code=code(
            "score_heatmaps.py",
            "core/statistics.py",
            "maps/class_maps.py",
            "heatmaps/faithfulness.py",
            "heatmaps/faithfulness_report.py",
            "pictures/figures.py",
            "maps/evidence.py",
        ),
        source="results/studies/reference/source/0000.h5",
        transfer="results/studies/reference/transfer/{target}/{recipe}/0000.h5",
    output:
        found="results/faithfulness/{target}/{recipe}.h5",
        table="results/faithfulness/{target}/{recipe}.csv",
        picture=report(
            "results/faithfulness/{target}/{recipe}.png",
            caption="../report/faithfulness.rst",
            category="Heatmaps",
            labels={"target": "{target}", "recipe": "{recipe}", "figure": "faithfulness"},
        ),
    log:
        "results/logs/faithfulness/{target}-{recipe}.log",
    conda:
        "../../envs/transferlens.yaml"
    resources:
        gpu=1,
    params:
        settings=faithfulness_settings,
    message:
        "Score heatmaps of {wildcards.target} ({wildcards.recipe})"
    shell:
        "python {input.script} --settings {params.settings:q} --source {input.source}"
        " --transfer {input.transfer} --index {input.index} --val {input.val}"
        " --out {output.found} --table {output.table} --picture {output.picture} --log {log}"
