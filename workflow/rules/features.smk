# Features of source models and of adapted ones on a split of a data set, made once for all who read them.


rule features:
    input:
        unpack(inputs_of("features")),
    output:
        **outputs_of("features"),
    log:
        log_of("features"),
    benchmark:
        benchmark_of("features")
    conda:
        "../../envs/transferlens.yaml"
    resources:
        **resources_of("features"),
    params:
        **params_of("features"),
    message:
        message_of("features")
    shell:
        "{params.job}"


rule adapted_features:
    input:
        unpack(inputs_of("adapted_features")),
    output:
        **outputs_of("adapted_features"),
    log:
        log_of("adapted_features"),
    benchmark:
        benchmark_of("adapted_features")
    conda:
        "../../envs/transferlens.yaml"
    resources:
        **resources_of("adapted_features"),
    params:
        **params_of("adapted_features"),
    message:
        message_of("adapted_features")
    shell:
        "{params.job}"
