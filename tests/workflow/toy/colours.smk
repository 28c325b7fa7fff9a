# Colours.


rule colours:
    input:
        unpack(inputs_of("colours")),
    output:
        **outputs_of("colours"),
    log:
        log_of("colours"),
    conda:
        "../../envs/transferlens.yaml"
    params:
        **params_of("colours"),
    message:
        message_of("colours")
    shell:
        "{params.job}"
