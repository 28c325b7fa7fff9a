# What images exist: an index of every data set, and its FFCV files.


rule datasets:
    input:
        dataset_files(),
    message:
        "All data sets are prepared"


rule dataset:
    input:
        unpack(groups_file),
        script=code("prepare_dataset.py"),
        code=code(
            "prepare_dataset.py",
            *SOURCE_CODE,
            "data/groups.py",
            "data/wordnet.py",
            "data/index.py",
        ),
    output:
        index="results/data/{dataset}/index.h5",
    log:
        "results/logs/dataset/{dataset}.log",
    benchmark:
        "results/benchmarks/dataset/{dataset}.tsv"
    conda:
        "../../envs/transferlens.yaml"
    threads: data_threads
    params:
        settings=dataset_settings,
        data=data_arguments,
    message:
        "Index data set {wildcards.dataset}"
    shell:
        "python {input.script} --settings {params.settings:q} {params.data} --out {output.index}"
        " --log {log}"


rule beton:
    input:
        script=code("write_beton.py"),
        code=code("write_beton.py", "data/ffcv_files.py"),
        index="results/data/{dataset}/index.h5",
    output:
        beton="results/data/{dataset}/{split}.beton",
        manifest="results/data/{dataset}/{split}.h5",
    log:
        "results/logs/beton/{dataset}-{split}.log",
    benchmark:
        "results/benchmarks/beton/{dataset}-{split}.tsv"
    conda:
        "../../envs/transferlens.yaml"
    threads: data_threads
    params:
        settings=beton_settings,
        data=data_arguments,
    message:
        "Write FFCV file of {wildcards.dataset}, {wildcards.split}"
    shell:
        "python {input.script} --settings {params.settings:q} {params.data} --index {input.index}"
        " --out {output.beton} --manifest {output.manifest} --log {log}"
