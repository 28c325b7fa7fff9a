# What fine-tuned models still see of their source classes, and what it does to their predictions.


rule probe_memories:
    input:
        unpack(pair_files),
        unpack(overlap_file),
        **source_val_files(),
        script=code("probe_memories.py"),
        code=code(
            "probe_memories.py",
            "core/statistics.py",
            "memories/kept/binding.py",
            "memories/kept/observations.py",
            "memories/overlap.py",
            "memories/pairs.py",
            "memories/kept/probes.py",
            "memories/kept/retention.py",
        ),
        index="results/data/{target}/index.h5",
    output:
        probes="results/memories/{target}/{recipe}/probes.h5",
    log:
        "results/logs/probe_memories/{target}-{recipe}.log",
    conda:
        "../../envs/transferlens.yaml"
    resources:
        gpu=1,
    params:
        settings=memory_probe_settings,
        models=pair_arguments,
        overlap=lambda wildcards, input: (
            f"--overlap {input.overlap}" if "overlap" in input.keys() else ""
        ),
    message:
        "Probe memories of models on {wildcards.target} ({wildcards.recipe})"
    shell:
        "python {input.script} --settings {params.settings:q} {params.models} {params.overlap}"
        " --source-index {input.source_index} --source-val {input.source_val}"
        " --index {input.index} --out {output.probes} --log {log}"


rule composites:
    input:
        unpack(pair_files),
        unpack(target_val_files),
        **source_val_files(),
        script=code("make_composites.py"),
        code=code(
            "make_composites.py",
            "memories/effect/composites.py",
            "memories/kept/observations.py",
            "memories/pairs.py",
        ),
        probes="results/memories/{target}/{recipe}/probes.h5",
        # A remedy is tried on the composites of the recipe that it is made of.
        first_probes=first_probes,
    output:
        composites="results/memories/{target}/{recipe}/composites.h5",
    log:
        "results/logs/composites/{target}-{recipe}.log",
    conda:
        "../../envs/transferlens.yaml"
    resources:
        gpu=1,
    params:
        settings=composite_settings,
        models=pair_arguments,
    message:
        "Try composites on {wildcards.target} ({wildcards.recipe})"
    shell:
        "python {input.script} --settings {params.settings:q} {params.models}"
        " --probes {input.probes} --first-probes {input.first_probes}"
        " --source-index {input.source_index} --source-val {input.source_val}"
        " --index {input.index} --val {input.val} --out {output.composites} --log {log}"


rule interference:
    input:
        script=code("estimate_interference.py"),
        code=code(
            "estimate_interference.py",
            "core/statistics.py",
            "memories/effect/composites.py",
            "memories/effect/interference.py",
            "pictures/figures.py",
        ),
        first_probes=first_probes,
        composites="results/memories/{target}/{recipe}/composites.h5",
    output:
        interference="results/memories/{target}/{recipe}/interference.h5",
        table="results/memories/{target}/{recipe}/interference.csv",
        picture=report(
            "results/memories/{target}/{recipe}/interference.png",
            caption="../report/interference.rst",
            category="Memories",
            labels={"target": "{target}", "recipe": "{recipe}", "figure": "interference"},
        ),
    log:
        "results/logs/interference/{target}-{recipe}.log",
    conda:
        "../../envs/transferlens.yaml"
    params:
        settings=interference_settings,
    message:
        "Estimate the interference of memories on {wildcards.target} ({wildcards.recipe})"
    shell:
        "python {input.script} --settings {params.settings:q} --composites {input.composites}"
        " --probes {input.first_probes} --out {output.interference} --table {output.table}"
        " --picture {output.picture} --log {log}"


rule rank_examples:
    input:
        unpack(pair_files),
        unpack(target_val_files),
        unpack(without_files),
        script=code("rank_examples.py"),
        code=code(
            "rank_examples.py",
            "core/statistics.py",
            "memories/effect/ablation.py",
            "memories/pairs.py",
            "memories/kept/binding.py",
            "memories/images/ranking.py",
            "memories/effect/removal.py",
            "maps/class_maps.py",
            "memories/images/seen.py",
            "memories/retraining/without.py",
        ),
        probes="results/memories/{target}/{recipe}/probes.h5",
    output:
        ranking="results/memories/{target}/{recipe}/ranking.h5",
        table="results/memories/{target}/{recipe}/ranking.csv",
    log:
        "results/logs/rank_examples/{target}-{recipe}.log",
    conda:
        "../../envs/transferlens.yaml"
    resources:
        gpu=1,
    params:
        settings=ranking_settings,
        models=pair_arguments,
        without=without_arguments,
    message:
        "Rank examples of {wildcards.target} by distraction ({wildcards.recipe})"
    shell:
        "python {input.script} --settings {params.settings:q} {params.models} {params.without}"
        " --probes {input.probes} --index {input.index} --val {input.val}"
        " --out {output.ranking} --table {output.table} --log {log}"


rule memory_panels:
    input:
        unpack(pair_files),
        unpack(target_val_files),
        **source_val_files(),
        script=code("draw_memories.py"),
        code=code(
            "draw_memories.py",
            "memories/effect/composites.py",
            "memories/images/drawing.py",
            "pictures/figures.py",
            "memories/pairs.py",
            "memories/images/panels.py",
            "memories/images/rows.py",
            "maps/class_maps.py",
            "memories/images/seen.py",
        ),
        probes="results/memories/{target}/{recipe}/probes.h5",
        composites="results/memories/{target}/{recipe}/composites.h5",
        interference="results/memories/{target}/{recipe}/interference.h5",
        ranking="results/memories/{target}/{recipe}/ranking.h5",
    output:
        panels="results/memories/{target}/{recipe}/panels.h5",
        figure=report(
            "results/memories/{target}/{recipe}/figure.png",
            caption="../report/memory_figure.rst",
            category="Memories",
            labels={"target": "{target}", "recipe": "{recipe}", "figure": "composites"},
        ),
        examples=report(
            "results/memories/{target}/{recipe}/examples.png",
            caption="../report/memory_examples.rst",
            category="Memories",
            labels={"target": "{target}", "recipe": "{recipe}", "figure": "examples"},
        ),
    log:
        "results/logs/memory_panels/{target}-{recipe}.log",
    conda:
        "../../envs/transferlens.yaml"
    resources:
        gpu=1,
    params:
        settings=panel_settings,
        models=pair_arguments,
    message:
        "Draw what distracts on {wildcards.target} ({wildcards.recipe})"
    shell:
        "python {input.script} --settings {params.settings:q} {params.models}"
        " --probes {input.probes} --composites {input.composites}"
        " --interference {input.interference} --ranking {input.ranking}"
        " --source-index {input.source_index} --source-val {input.source_val}"
        " --index {input.index} --val {input.val} --out {output.panels}"
        " --figure {output.figure} --examples {output.examples} --log {log}"


rule agreement:
    input:
        unpack(without_files),
        unpack(compared_influences),
        script=code("compare_memories.py"),
        code=code(
            "compare_memories.py",
            "core/statistics.py",
            "memories/agreement/measures.py",
            "memories/kept/binding.py",
            "memories/agreement/figure.py",
            "pictures/figures.py",
            "memories/retraining/retrained.py",
        ),
        probes="results/memories/{target}/{recipe}/probes.h5",
        interference="results/memories/{target}/{recipe}/interference.h5",
        ranking="results/memories/{target}/{recipe}/ranking.h5",
    output:
        agreement="results/memories/{target}/{recipe}/agreement.h5",
        table="results/memories/{target}/{recipe}/agreement.csv",
        picture=report(
            "results/memories/{target}/{recipe}/agreement.png",
            caption="../report/agreement.rst",
            category="Memories",
            labels={"target": "{target}", "recipe": "{recipe}", "figure": "agreement"},
        ),
    log:
        "results/logs/agreement/{target}-{recipe}.log",
    conda:
        "../../envs/transferlens.yaml"
    params:
        settings=agreement_settings,
        without=without_arguments,
    message:
        "Compare memories and influences on {wildcards.target} ({wildcards.recipe})"
    shell:
        "python {input.script} --settings {params.settings:q} --results results"
        " --probes {input.probes} --interference {input.interference} --ranking {input.ranking}"
        " {params.without} --out {output.agreement} --table {output.table}"
        " --picture {output.picture} --log {log}"


rule gallery:
    input:
        unpack(gallery_tables),
        script=code("write_gallery.py"),
        code=code(
            "write_gallery.py",
            "memories/gallery/gallery.css",
            "memories/gallery/gallery.html.jinja",
            "memories/gallery/gallery.js",
            "memories/gallery/html.py",
            "pictures/figures.py",
            "pictures/templates.py",
            "memories/gallery/numbers.py",
            "pictures/page.css",
        ),
        probes="results/memories/{target}/{recipe}/probes.h5",
        composites="results/memories/{target}/{recipe}/composites.h5",
        interference="results/memories/{target}/{recipe}/interference.h5",
        panels="results/memories/{target}/{recipe}/panels.h5",
    output:
        page="results/report/{target}/{recipe}/memories.html",
    log:
        "results/logs/gallery/{target}-{recipe}.log",
    conda:
        "../../envs/transferlens.yaml"
    params:
        settings=gallery_settings,
        study=lambda wildcards, input: os.path.dirname(input.panels),
    message:
        "Write the gallery of memories in {wildcards.target} ({wildcards.recipe})"
    shell:
        "python {input.script} --settings {params.settings:q} --study {params.study}"
        " --out {output.page} --log {log}"


# To be asked for by name. The tables are for the user to complete, and no outputs: nothing makes them anew.
rule propose_overlap:
    input:
        script=code("propose_overlap.py"),
        source_index=f"results/data/{SOURCE}/index.h5",
        indexes=[f"results/data/{target}/index.h5" for target in config["targets"]],
    log:
        "results/logs/propose_overlap.log",
    localrule: True
    conda:
        "../../envs/transferlens.yaml"
    params:
        settings="{}",
        tables=[f"results/memories/{target}/overlap.csv" for target in config["targets"]],
    message:
        "Propose source and target classes that mean the same"
    shell:
        "python {input.script} --settings {params.settings:q} --source-index {input.source_index}"
        " --indexes {input.indexes} --tables {params.tables} --log {log}"
