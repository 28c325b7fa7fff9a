# Which source classes each model sees.


rule draw_masks:
    input:
        unpack(inputs_of("draw_masks")),
    output:
        **outputs_of("draw_masks"),
    log:
        log_of("draw_masks"),
    conda:
        "../../envs/transferlens.yaml"
    params:
        **params_of("draw_masks"),
    message:
        message_of("draw_masks")
    shell:
        "{params.job}"
