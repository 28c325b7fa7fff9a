# The influence of every source class on every target example, and how far it can be trusted.


rule influence:
    input:
        unpack(inputs_of("influence")),
    output:
        **outputs_of("influence"),
    log:
        log_of("influence"),
    benchmark:
        benchmark_of("influence")
    conda:
        "../../envs/transferlens.yaml"
    params:
        **params_of("influence"),
    message:
        message_of("influence")
    shell:
        "{params.job}"


rule example_influence:
    input:
        unpack(inputs_of("example_influence")),
    output:
        **outputs_of("example_influence"),
    log:
        log_of("example_influence"),
    benchmark:
        benchmark_of("example_influence")
    conda:
        "../../envs/transferlens.yaml"
    params:
        **params_of("example_influence"),
    message:
        message_of("example_influence")
    shell:
        "{params.job}"


rule score:
    input:
        unpack(inputs_of("score")),
    output:
        **outputs_of("score"),
    log:
        log_of("score"),
    benchmark:
        benchmark_of("score")
    conda:
        "../../envs/transferlens.yaml"
    params:
        **params_of("score"),
    message:
        message_of("score")
    shell:
        "{params.job}"


rule influence_figures:
    input:
        unpack(inputs_of("influence_figures")),
    output:
        **outputs_of("influence_figures"),
    log:
        log_of("influence_figures"),
    benchmark:
        benchmark_of("influence_figures")
    conda:
        "../../envs/transferlens.yaml"
    params:
        **params_of("influence_figures"),
    message:
        message_of("influence_figures")
    shell:
        "{params.job}"


rule influence_rivals:
    input:
        unpack(inputs_of("influence_rivals")),
    output:
        **outputs_of("influence_rivals"),
    log:
        log_of("influence_rivals"),
    benchmark:
        benchmark_of("influence_rivals")
    conda:
        "../../envs/transferlens.yaml"
    params:
        **params_of("influence_rivals"),
    message:
        message_of("influence_rivals")
    shell:
        "{params.job}"
