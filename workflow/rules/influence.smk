# The influence of every source class on every target example.


rule influence:
    input:
        script=code("estimate_influence.py"),
        code=code(
            "estimate_influence.py",
            "statistics.py",
            "influence/artefact.py",
            "influence/estimators.py",
            "influence/relations.py",
        ),
        summary="results/studies/influence/summary/{target}/{recipe}.h5",
        source_index=f"results/data/{SOURCE}/index.h5",
        target_index="results/data/{target}/index.h5",
    output:
        influence="results/influence/{target}/{recipe}.h5",
    log:
        "results/logs/influence/{target}-{recipe}.log",
    benchmark:
        "results/benchmarks/influence/{target}-{recipe}.tsv"
    conda:
        "../../envs/transferlens.yaml"
    params:
        settings=dumps(config["influence"]),
    message:
        "Estimate influences on {wildcards.target} ({wildcards.recipe})"
    shell:
        "python {input.script} --settings {params.settings:q} --summary {input.summary}"
        " --source-index {input.source_index} --target-index {input.target_index}"
        " --out {output.influence} --log {log}"
