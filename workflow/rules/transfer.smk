# Transfer of every source model to every target by every recipe, and the summary of a study.


rule transfer:
    input:
        unpack(probe_code),
        # Most jobs of a large run are transfers, and planning takes as long as their inputs are many. The
        # manifests of FFCV files come with these; a change of code shared with train_source, with the models.
        index="results/data/{target}/index.h5",
        train="results/data/{target}/train.beton",
        val="results/data/{target}/val.beton",
        code=code("transfer.py", "training/outputs.py", "training/transfer.py"),
        source="results/studies/{study}/source/{shard}.h5",
    output:
        runs="results/studies/{study}/transfer/{target}/{recipe}/{shard}.h5",
    log:
        "results/logs/transfer/{study}-{target}-{recipe}-{shard}.log",
    benchmark:
        "results/benchmarks/transfer/{study}-{target}-{recipe}-{shard}.tsv"
    priority: 1
    conda:
        "../../envs/transferlens.yaml"
    resources:
        gpu=1,
    params:
        settings=transfer_settings,
    message:
        "Transfer {wildcards.study}, shard {wildcards.shard}, to {wildcards.target} ({wildcards.recipe})"
    shell:
        "python {input.code[0]} --settings {params.settings:q} --source {input.source}"
        " --index {input.index} --train {input.train} --val {input.val} --out {output.runs}"
        " --log {log}"


rule summary:
    input:
        script=code("compress_summary.py"),
        code=code("compress_summary.py", "training/outputs.py", "training/summary.py"),
        shards=summary_shards,
    output:
        summary="results/studies/{study}/summary/{target}/{recipe}.h5",
    log:
        "results/logs/summary/{study}-{target}-{recipe}.log",
    conda:
        "../../envs/transferlens.yaml"
    params:
        settings="{}",
    message:
        "Summarise {wildcards.study} on {wildcards.target} ({wildcards.recipe})"
    shell:
        "python {input.script} --settings {params.settings:q} --shards {input.shards}"
        " --out {output.summary} --log {log}"
