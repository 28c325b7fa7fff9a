# What the intervals are made of: seeds of the source, seeds of the transfer, and images.


rule variance:
    input:
        unpack(inputs_of("variance")),
    output:
        **outputs_of("variance"),
    log:
        log_of("variance"),
    benchmark:
        benchmark_of("variance")
    conda:
        "../../envs/transferlens.yaml"
    params:
        **params_of("variance"),
    message:
        message_of("variance")
    shell:
        "{params.job}"
