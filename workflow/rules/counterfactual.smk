# What really happens to the target when classes are removed, with controls; and elsewhere, where asked for.


rule label_mapping:
    input:
        unpack(inputs_of("label_mapping")),
    output:
        **outputs_of("label_mapping"),
    log:
        log_of("label_mapping"),
    benchmark:
        benchmark_of("label_mapping")
    conda:
        "../../envs/transferlens.yaml"
    params:
        **params_of("label_mapping"),
    message:
        message_of("label_mapping")
    shell:
        "{params.job}"


rule counterfactual:
    input:
        unpack(inputs_of("counterfactual")),
    output:
        **outputs_of("counterfactual"),
    log:
        log_of("counterfactual"),
    benchmark:
        benchmark_of("counterfactual")
    conda:
        "../../envs/transferlens.yaml"
    params:
        **params_of("counterfactual"),
    message:
        message_of("counterfactual")
    shell:
        "{params.job}"


rule reuse:
    input:
        unpack(inputs_of("reuse")),
    output:
        **outputs_of("reuse"),
    log:
        log_of("reuse"),
    benchmark:
        benchmark_of("reuse")
    conda:
        "../../envs/transferlens.yaml"
    params:
        **params_of("reuse"),
    message:
        message_of("reuse")
    shell:
        "{params.job}"


rule counterfactual_figures:
    input:
        unpack(inputs_of("counterfactual_figures")),
    output:
        **outputs_of("counterfactual_figures"),
    log:
        log_of("counterfactual_figures"),
    benchmark:
        benchmark_of("counterfactual_figures")
    conda:
        "../../envs/transferlens.yaml"
    params:
        **params_of("counterfactual_figures"),
    message:
        message_of("counterfactual_figures")
    shell:
        "{params.job}"


rule reuse_figures:
    input:
        unpack(inputs_of("reuse_figures")),
    output:
        **outputs_of("reuse_figures"),
    log:
        log_of("reuse_figures"),
    benchmark:
        benchmark_of("reuse_figures")
    conda:
        "../../envs/transferlens.yaml"
    params:
        **params_of("reuse_figures"),
    message:
        message_of("reuse_figures")
    shell:
        "{params.job}"


rule block_removals:
    input:
        unpack(inputs_of("block_removals")),
    output:
        **outputs_of("block_removals"),
    log:
        log_of("block_removals"),
    benchmark:
        benchmark_of("block_removals")
    conda:
        "../../envs/transferlens.yaml"
    params:
        **params_of("block_removals"),
    message:
        message_of("block_removals")
    shell:
        "{params.job}"


rule block_removal_figures:
    input:
        unpack(inputs_of("block_removal_figures")),
    output:
        **outputs_of("block_removal_figures"),
    log:
        log_of("block_removal_figures"),
    benchmark:
        benchmark_of("block_removal_figures")
    conda:
        "../../envs/transferlens.yaml"
    params:
        **params_of("block_removal_figures"),
    message:
        message_of("block_removal_figures")
    shell:
        "{params.job}"
