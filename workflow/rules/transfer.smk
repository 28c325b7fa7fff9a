# Transfer of every source model to every target by every recipe, and the summary of a study.


rule transfer:
    input:
        unpack(inputs_of("transfer")),
    output:
        **outputs_of("transfer"),
    log:
        log_of("transfer"),
    benchmark:
        benchmark_of("transfer")
    priority: 1
    conda:
        "../../envs/transferlens.yaml"
    resources:
        **resources_of("transfer"),
    params:
        **params_of("transfer"),
    message:
        message_of("transfer")
    shell:
        "{params.job}"


rule summary:
    input:
        unpack(inputs_of("summary")),
    output:
        **outputs_of("summary"),
    log:
        log_of("summary"),
    conda:
        "../../envs/transferlens.yaml"
    params:
        **params_of("summary"),
    message:
        message_of("summary")
    shell:
        "{params.job}"
