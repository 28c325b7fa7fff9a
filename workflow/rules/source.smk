# Source training: one job trains the block of models of a shard.


rule train_source:
    input:
        unpack(weights_file),
        **betons(SOURCE),
        script=training_script,
        code=code(
            "train_source.py",
            "data/augmentation.py",
            "data/pipeline.py",
            "models/architectures.py",
            "models/efficientnet.py",
            "training/engine.py",
            "training/fitting.py",
            "training/schedule.py",
            "training/source.py",
        ),
        masks="results/studies/{study}/masks/{shard}.h5",
    output:
        models="results/studies/{study}/source/{shard}.h5",
        record="results/studies/{study}/training/{shard}.h5",
    log:
        "results/logs/train_source/{study}-{shard}.log",
    benchmark:
        "results/benchmarks/train_source/{study}-{shard}.tsv"
    priority: 2
    conda:
        "../../envs/transferlens.yaml"
    resources:
        gpu=1,
    params:
        settings=source_settings,
    message:
        "Train source models of {wildcards.study}, shard {wildcards.shard}"
    shell:
        "python {input.script} --settings {params.settings:q} --masks {input.masks}"
        " --index {input.index} --train {input.train} --val {input.val} --out {output.models}"
        " --record {output.record} --log {log}"


# Where weights are temporary: deleted once all transfers of the shard are done. Transfers come first, so that
# few shards of weights are on the disk at a time.
use rule train_source as train_temporary_source with:
    output:
        models=temp("results/studies/{study}/source/{shard}.h5"),
        record="results/studies/{study}/training/{shard}.h5",
    wildcard_constraints:
        study="|".join(TEMPORARY_WEIGHTS) or "none",
    priority: 0


ruleorder: train_temporary_source > train_source
