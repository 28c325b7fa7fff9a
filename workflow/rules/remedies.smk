# What remedies change; the transfers by the recipes that they make are in transfer.smk.


rule remedies:
    input:
        unpack(inputs_of("remedies")),
    output:
        **outputs_of("remedies"),
    log:
        log_of("remedies"),
    benchmark:
        benchmark_of("remedies")
    conda:
        "../../envs/transferlens.yaml"
    params:
        **params_of("remedies"),
    message:
        message_of("remedies")
    shell:
        "{params.job}"
