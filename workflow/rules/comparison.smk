# Which recipe, on a target: trials, what is chosen, what adapted models forget, and how they compare.


rule trials:
    input:
        unpack(inputs_of("trials")),
    output:
        **outputs_of("trials"),
    log:
        log_of("trials"),
    benchmark:
        benchmark_of("trials")
    conda:
        "../../envs/transferlens.yaml"
    resources:
        **resources_of("trials"),
    params:
        **params_of("trials"),
    message:
        message_of("trials")
    shell:
        "{params.job}"


rule choice:
    input:
        unpack(inputs_of("choice")),
    output:
        **outputs_of("choice"),
    log:
        log_of("choice"),
    benchmark:
        benchmark_of("choice")
    conda:
        "../../envs/transferlens.yaml"
    params:
        **params_of("choice"),
    message:
        message_of("choice")
    shell:
        "{params.job}"


rule published_protocol:
    input:
        unpack(inputs_of("published_protocol")),
    output:
        **outputs_of("published_protocol"),
    log:
        log_of("published_protocol"),
    benchmark:
        benchmark_of("published_protocol")
    conda:
        "../../envs/transferlens.yaml"
    resources:
        **resources_of("published_protocol"),
    params:
        **params_of("published_protocol"),
    message:
        message_of("published_protocol")
    shell:
        "{params.job}"


rule probes_before:
    input:
        unpack(inputs_of("probes_before")),
    output:
        **outputs_of("probes_before"),
    log:
        log_of("probes_before"),
    benchmark:
        benchmark_of("probes_before")
    conda:
        "../../envs/transferlens.yaml"
    resources:
        **resources_of("probes_before"),
    params:
        **params_of("probes_before"),
    message:
        message_of("probes_before")
    shell:
        "{params.job}"


rule probes_after:
    input:
        unpack(inputs_of("probes_after")),
    output:
        **outputs_of("probes_after"),
    log:
        log_of("probes_after"),
    benchmark:
        benchmark_of("probes_after")
    conda:
        "../../envs/transferlens.yaml"
    resources:
        **resources_of("probes_after"),
    params:
        **params_of("probes_after"),
    message:
        message_of("probes_after")
    shell:
        "{params.job}"


rule measures:
    input:
        unpack(inputs_of("measures")),
    output:
        **outputs_of("measures"),
    log:
        log_of("measures"),
    benchmark:
        benchmark_of("measures")
    conda:
        "../../envs/transferlens.yaml"
    resources:
        **resources_of("measures"),
    params:
        **params_of("measures"),
    message:
        message_of("measures")
    shell:
        "{params.job}"


rule recipe_cost:
    input:
        unpack(inputs_of("recipe_cost")),
    output:
        **outputs_of("recipe_cost"),
    log:
        log_of("recipe_cost"),
    benchmark:
        benchmark_of("recipe_cost")
    conda:
        "../../envs/transferlens.yaml"
    resources:
        **resources_of("recipe_cost"),
    params:
        **params_of("recipe_cost"),
    message:
        message_of("recipe_cost")
    shell:
        "{params.job}"


rule composite_answers:
    input:
        unpack(inputs_of("composite_answers")),
    output:
        **outputs_of("composite_answers"),
    log:
        log_of("composite_answers"),
    benchmark:
        benchmark_of("composite_answers")
    conda:
        "../../envs/transferlens.yaml"
    resources:
        **resources_of("composite_answers"),
    params:
        **params_of("composite_answers"),
    message:
        message_of("composite_answers")
    shell:
        "{params.job}"


rule harm:
    input:
        unpack(inputs_of("harm")),
    output:
        **outputs_of("harm"),
    log:
        log_of("harm"),
    benchmark:
        benchmark_of("harm")
    conda:
        "../../envs/transferlens.yaml"
    params:
        **params_of("harm"),
    message:
        message_of("harm")
    shell:
        "{params.job}"


rule comparison:
    input:
        unpack(inputs_of("comparison")),
    output:
        **outputs_of("comparison"),
    log:
        log_of("comparison"),
    benchmark:
        benchmark_of("comparison")
    conda:
        "../../envs/transferlens.yaml"
    params:
        **params_of("comparison"),
    message:
        message_of("comparison")
    shell:
        "{params.job}"


rule sampling_rates:
    input:
        unpack(inputs_of("sampling_rates")),
    output:
        **outputs_of("sampling_rates"),
    log:
        log_of("sampling_rates"),
    benchmark:
        benchmark_of("sampling_rates")
    conda:
        "../../envs/transferlens.yaml"
    params:
        **params_of("sampling_rates"),
    message:
        message_of("sampling_rates")
    shell:
        "{params.job}"
