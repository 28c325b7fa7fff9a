# Which published score tells which source model will transfer, and does it see which class is missing?


rule transferability_scores:
    input:
        unpack(inputs_of("transferability_scores")),
    output:
        **outputs_of("transferability_scores"),
    log:
        log_of("transferability_scores"),
    benchmark:
        benchmark_of("transferability_scores")
    conda:
        "../../envs/transferlens.yaml"
    params:
        **params_of("transferability_scores"),
    message:
        message_of("transferability_scores")
    shell:
        "{params.job}"


rule transferability:
    input:
        unpack(inputs_of("transferability")),
    output:
        **outputs_of("transferability"),
    log:
        log_of("transferability"),
    benchmark:
        benchmark_of("transferability")
    conda:
        "../../envs/transferlens.yaml"
    params:
        **params_of("transferability"),
    message:
        message_of("transferability")
    shell:
        "{params.job}"


rule score_influences:
    input:
        unpack(inputs_of("score_influences")),
    output:
        **outputs_of("score_influences"),
    log:
        log_of("score_influences"),
    benchmark:
        benchmark_of("score_influences")
    conda:
        "../../envs/transferlens.yaml"
    params:
        **params_of("score_influences"),
    message:
        message_of("score_influences")
    shell:
        "{params.job}"


rule transferability_over_targets:
    input:
        unpack(inputs_of("transferability_over_targets")),
    output:
        **outputs_of("transferability_over_targets"),
    log:
        log_of("transferability_over_targets"),
    benchmark:
        benchmark_of("transferability_over_targets")
    conda:
        "../../envs/transferlens.yaml"
    params:
        **params_of("transferability_over_targets"),
    message:
        message_of("transferability_over_targets")
    shell:
        "{params.job}"
