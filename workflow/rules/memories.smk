# What fine-tuned models still see of their source classes, and what it does to their predictions.


rule probe_memories:
    input:
        unpack(inputs_of("probe_memories")),
    output:
        **outputs_of("probe_memories"),
    log:
        log_of("probe_memories"),
    benchmark:
        benchmark_of("probe_memories")
    conda:
        "../../envs/transferlens.yaml"
    resources:
        **resources_of("probe_memories"),
    params:
        **params_of("probe_memories"),
    message:
        message_of("probe_memories")
    shell:
        "{params.job}"


rule composites:
    input:
        unpack(inputs_of("composites")),
    output:
        **outputs_of("composites"),
    log:
        log_of("composites"),
    benchmark:
        benchmark_of("composites")
    conda:
        "../../envs/transferlens.yaml"
    resources:
        **resources_of("composites"),
    params:
        **params_of("composites"),
    message:
        message_of("composites")
    shell:
        "{params.job}"


rule interference:
    input:
        unpack(inputs_of("interference")),
    output:
        **outputs_of("interference"),
    log:
        log_of("interference"),
    benchmark:
        benchmark_of("interference")
    conda:
        "../../envs/transferlens.yaml"
    params:
        **params_of("interference"),
    message:
        message_of("interference")
    shell:
        "{params.job}"


rule rank_examples:
    input:
        unpack(inputs_of("rank_examples")),
    output:
        **outputs_of("rank_examples"),
    log:
        log_of("rank_examples"),
    benchmark:
        benchmark_of("rank_examples")
    conda:
        "../../envs/transferlens.yaml"
    resources:
        **resources_of("rank_examples"),
    params:
        **params_of("rank_examples"),
    message:
        message_of("rank_examples")
    shell:
        "{params.job}"


rule memory_panels:
    input:
        unpack(inputs_of("memory_panels")),
    output:
        **outputs_of("memory_panels"),
    log:
        log_of("memory_panels"),
    benchmark:
        benchmark_of("memory_panels")
    conda:
        "../../envs/transferlens.yaml"
    resources:
        **resources_of("memory_panels"),
    params:
        **params_of("memory_panels"),
    message:
        message_of("memory_panels")
    shell:
        "{params.job}"


rule seen:
    input:
        unpack(inputs_of("seen")),
    output:
        **outputs_of("seen"),
    log:
        log_of("seen"),
    benchmark:
        benchmark_of("seen")
    conda:
        "../../envs/transferlens.yaml"
    resources:
        **resources_of("seen"),
    params:
        **params_of("seen"),
    message:
        message_of("seen")
    shell:
        "{params.job}"


rule agreement:
    input:
        unpack(inputs_of("agreement")),
    output:
        **outputs_of("agreement"),
    log:
        log_of("agreement"),
    benchmark:
        benchmark_of("agreement")
    conda:
        "../../envs/transferlens.yaml"
    params:
        **params_of("agreement"),
    message:
        message_of("agreement")
    shell:
        "{params.job}"


rule gallery:
    input:
        unpack(inputs_of("gallery")),
    output:
        **outputs_of("gallery"),
    log:
        log_of("gallery"),
    benchmark:
        benchmark_of("gallery")
    conda:
        "../../envs/transferlens.yaml"
    params:
        **params_of("gallery"),
    message:
        message_of("gallery")
    shell:
        "{params.job}"


# To be asked for by name. The tables are for the user to complete, and no outputs: nothing makes them anew.
rule propose_overlap:
    input:
        unpack(inputs_of("propose_overlap")),
    log:
        log_of("propose_overlap"),
    localrule: True
    conda:
        "../../envs/transferlens.yaml"
    params:
        **params_of("propose_overlap"),
    message:
        message_of("propose_overlap")
    shell:
        "{params.job}"
