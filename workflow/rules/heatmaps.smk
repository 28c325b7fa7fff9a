# Where in the image it shows.


rule heatmaps:
    input:
        unpack(inputs_of("heatmaps")),
    output:
        **outputs_of("heatmaps"),
    log:
        log_of("heatmaps"),
    benchmark:
        benchmark_of("heatmaps")
    conda:
        "../../envs/transferlens.yaml"
    resources:
        **resources_of("heatmaps"),
    params:
        **params_of("heatmaps"),
    message:
        message_of("heatmaps")
    shell:
        "{params.job}"


rule faithfulness:
    input:
        unpack(inputs_of("faithfulness")),
    output:
        **outputs_of("faithfulness"),
    log:
        log_of("faithfulness"),
    benchmark:
        benchmark_of("faithfulness")
    conda:
        "../../envs/transferlens.yaml"
    resources:
        **resources_of("faithfulness"),
    params:
        **params_of("faithfulness"),
    message:
        message_of("faithfulness")
    shell:
        "{params.job}"
