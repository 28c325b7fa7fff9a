# What a reader sees: one page.


rule report:
    input:
        unpack(inputs_of("report")),
    output:
        **outputs_of("report"),
    log:
        log_of("report"),
    conda:
        "../../envs/transferlens.yaml"
    params:
        **params_of("report"),
    message:
        message_of("report")
    shell:
        "{params.job}"
