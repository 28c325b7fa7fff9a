# What a reference task, turned into a target, promises of linear probes on it.


rule relatedness:
    input:
        unpack(inputs_of("relatedness")),
    output:
        **outputs_of("relatedness"),
    log:
        log_of("relatedness"),
    benchmark:
        benchmark_of("relatedness")
    conda:
        "../../envs/transferlens.yaml"
    params:
        **params_of("relatedness"),
    message:
        message_of("relatedness")
    shell:
        "{params.job}"


rule relatedness_reading:
    input:
        unpack(inputs_of("relatedness_reading")),
    output:
        **outputs_of("relatedness_reading"),
    log:
        log_of("relatedness_reading"),
    benchmark:
        benchmark_of("relatedness_reading")
    conda:
        "../../envs/transferlens.yaml"
    params:
        **params_of("relatedness_reading"),
    message:
        message_of("relatedness_reading")
    shell:
        "{params.job}"


rule relatedness_figures:
    input:
        unpack(inputs_of("relatedness_figures")),
    output:
        **outputs_of("relatedness_figures"),
    log:
        log_of("relatedness_figures"),
    benchmark:
        benchmark_of("relatedness_figures")
    conda:
        "../../envs/transferlens.yaml"
    params:
        **params_of("relatedness_figures"),
    message:
        message_of("relatedness_figures")
    shell:
        "{params.job}"
