# Source training: one job trains the block of models of a shard.


rule train_source:
    input:
        unpack(inputs_of("train_source")),
    output:
        **outputs_of("train_source"),
    log:
        log_of("train_source"),
    benchmark:
        benchmark_of("train_source")
    priority: 2
    conda:
        "../../envs/transferlens.yaml"
    resources:
        **resources_of("train_source"),
    params:
        **params_of("train_source"),
    message:
        message_of("train_source")
    shell:
        "{params.job}"


# Where weights are temporary: deleted once all transfers of the shard are done. Transfers come first, so that
# few shards of weights are on the disk at a time.
use rule train_source as train_temporary_source with:
    output:
        **temporary(outputs_of("train_source"), "models"),
    wildcard_constraints:
        study=one_of(RUN.temporary_weights),
    priority: 0


# Weights from elsewhere instead of training.
use rule train_source as load_pretrained with:
    input:
        unpack(inputs_of("load_pretrained")),
    output:
        **outputs_of("load_pretrained"),
    log:
        log_of("load_pretrained"),
    benchmark:
        benchmark_of("load_pretrained")
    wildcard_constraints:
        study=one_of(name for name, study in RUN.studies.items() if study.loads),
    params:
        **params_of("load_pretrained"),
    message:
        message_of("load_pretrained")


ruleorder: load_pretrained > train_temporary_source > train_source
