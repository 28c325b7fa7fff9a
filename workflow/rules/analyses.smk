# What influences show: each analysis writes an HDF5 file, a table and a picture.


rule subpopulations:
    input:
        unpack(inputs_of("subpopulations")),
    output:
        **outputs_of("subpopulations"),
    log:
        log_of("subpopulations"),
    benchmark:
        benchmark_of("subpopulations")
    conda:
        "../../envs/transferlens.yaml"
    params:
        **params_of("subpopulations"),
    message:
        message_of("subpopulations")
    shell:
        "{params.job}"


rule failures:
    input:
        unpack(inputs_of("failures")),
    output:
        **outputs_of("failures"),
    log:
        log_of("failures"),
    benchmark:
        benchmark_of("failures")
    conda:
        "../../envs/transferlens.yaml"
    params:
        **params_of("failures"),
    message:
        message_of("failures")
    shell:
        "{params.job}"


rule leakage:
    input:
        unpack(inputs_of("leakage")),
    output:
        **outputs_of("leakage"),
    log:
        log_of("leakage"),
    benchmark:
        benchmark_of("leakage")
    conda:
        "../../envs/transferlens.yaml"
    params:
        **params_of("leakage"),
    message:
        message_of("leakage")
    shell:
        "{params.job}"


rule small_targets:
    input:
        unpack(inputs_of("small_targets")),
    output:
        **outputs_of("small_targets"),
    log:
        log_of("small_targets"),
    benchmark:
        benchmark_of("small_targets")
    conda:
        "../../envs/transferlens.yaml"
    params:
        **params_of("small_targets"),
    message:
        message_of("small_targets")
    shell:
        "{params.job}"
