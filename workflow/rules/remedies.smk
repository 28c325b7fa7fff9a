# Remedies: transfers beside images of distracting source classes, and what they change.


# Its own rule, as planning takes as long as the inputs of transfers are many.
rule transfer_remedied:
    input:
        unpack(remedy_files),
        index="results/data/{target}/index.h5",
        train="results/data/{target}/train.beton",
        val="results/data/{target}/val.beton",
        code=code(
            "transfer.py",
            "data/composites.py",
            "memories/retraining/left_out.py",
            "training/outputs.py",
            "training/recipes/remedies.py",
            "training/transfer.py",
        ),
        source="results/studies/{study}/source/{shard}.h5",
    output:
        runs="results/studies/{study}/transfer/{target}/{recipe}/{shard}.h5",
    log:
        "results/logs/transfer/{study}-{target}-{recipe}-{shard}.log",
    benchmark:
        "results/benchmarks/transfer/{study}-{target}-{recipe}-{shard}.tsv"
    wildcard_constraints:
        recipe="|".join(BASE_RECIPES) or "none",
    conda:
        "../../envs/transferlens.yaml"
    resources:
        gpu=1,
    params:
        settings=remedied_settings,
    message:
        "Transfer {wildcards.study}, shard {wildcards.shard}, to {wildcards.target} ({wildcards.recipe})"
    shell:
        "python {input.code[0]} --settings {params.settings:q} --source {input.source}"
        " --index {input.index} --train {input.train} --val {input.val}"
        " --source-index {input.source_index} --source-train {input.source_train}"
        " --interference {input.interference} --probes {input.probes}"
        " --out {output.runs} --log {log}"


ruleorder: transfer_remedied > transfer


rule remedies:
    input:
        unpack(remedied_results),
        unpack(without_files),
        script=code("compare_remedies.py"),
        code=code(
            "compare_remedies.py",
            "core/statistics.py",
            "memories/effect/composites.py",
            "memories/effect/interference.py",
            "memories/kept/probes.py",
            "memories/remedies/comparison.py",
            "memories/remedies/figure.py",
            "pictures/figures.py",
            "memories/retraining/retrained.py",
        ),
    output:
        remedies="results/memories/{target}/{recipe}/remedies.h5",
        table="results/memories/{target}/{recipe}/remedies.csv",
        picture=report(
            "results/memories/{target}/{recipe}/remedies.png",
            caption="../report/remedies.rst",
            category="Memories",
            labels={"target": "{target}", "recipe": "{recipe}", "figure": "remedies"},
        ),
    log:
        "results/logs/remedies/{target}-{recipe}.log",
    conda:
        "../../envs/transferlens.yaml"
    params:
        settings=comparison_settings,
        without=without_arguments,
    message:
        "Compare remedies on {wildcards.target} ({wildcards.recipe})"
    shell:
        "python {input.script} --settings {params.settings:q}"
        " --composites {input.composites} --probes {input.probes}"
        " --interference {input.interference} --transfers {input.transfers} {params.without}"
        " --out {output.remedies} --table {output.table} --picture {output.picture} --log {log}"
