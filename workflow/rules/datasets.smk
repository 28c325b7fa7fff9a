# What images exist: an index of every data set, and its FFCV files.
from transferlens.data.capability import data_threads, prepared_files


rule datasets:
    input:
        prepared_files(RUN),
    message:
        "All data sets are prepared"


rule dataset:
    input:
        unpack(inputs_of("dataset")),
    output:
        **outputs_of("dataset"),
    log:
        log_of("dataset"),
    benchmark:
        benchmark_of("dataset")
    conda:
        "../../envs/transferlens.yaml"
    threads: lambda wildcards: data_threads(RUN, wildcards)
    params:
        **params_of("dataset"),
    message:
        message_of("dataset")
    shell:
        "{params.job}"


rule beton:
    input:
        unpack(inputs_of("beton")),
    output:
        **outputs_of("beton"),
    log:
        log_of("beton"),
    benchmark:
        benchmark_of("beton")
    conda:
        "../../envs/transferlens.yaml"
    threads: lambda wildcards: data_threads(RUN, wildcards)
    params:
        **params_of("beton"),
    message:
        message_of("beton")
    shell:
        "{params.job}"
