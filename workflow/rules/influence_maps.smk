# Where in the image influences act: the influence of every source class on the cells of evidence maps.


rule influence_maps:
    input:
        unpack(inputs_of("influence_maps")),
    output:
        **outputs_of("influence_maps"),
    log:
        log_of("influence_maps"),
    benchmark:
        benchmark_of("influence_maps")
    conda:
        "../../envs/transferlens.yaml"
    params:
        **params_of("influence_maps"),
    message:
        message_of("influence_maps")
    shell:
        "{params.job}"
