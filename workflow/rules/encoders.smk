# Candidate sources of a target: encoders, and the run's own models of the whole source.


rule candidates:
    input:
        unpack(inputs_of("candidates")),
    output:
        **outputs_of("candidates"),
    log:
        log_of("candidates"),
    benchmark:
        benchmark_of("candidates")
    conda:
        "../../envs/transferlens.yaml"
    params:
        **params_of("candidates"),
    message:
        message_of("candidates")
    shell:
        "{params.job}"
