# The influence of every source class on every target example.

ESTIMATION = code(
    "estimate_influence.py",
    "core/statistics.py",
    "influence/artefact.py",
    "estimation/estimators.py",
    "influence/relations.py",
    "training/outputs.py",
)


rule influence:
    input:
        script=code("estimate_influence.py"),
        code=ESTIMATION,
        summary="results/studies/influence/summary/{target}/{recipe}.h5",
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
        settings=influence_settings,
    message:
        "Estimate influences on {wildcards.target} ({wildcards.recipe})"
    shell:
        "python {input.script} --settings {params.settings:q} --summary {input.summary}"
        " --target-index {input.target_index} --out {output.influence}"
        " --log {log}"


# The same of blocks of source images, where the configuration has a study of them.
use rule influence as example_influence with:
    input:
        script=code("estimate_influence.py"),
        code=ESTIMATION,
        summary="results/studies/examples/summary/{target}/{recipe}.h5",
        target_index="results/data/{target}/index.h5",
    output:
        influence="results/example_influence/{target}/{recipe}.h5",
    log:
        "results/logs/example_influence/{target}-{recipe}.log",
    benchmark:
        "results/benchmarks/example_influence/{target}-{recipe}.tsv"
    params:
        settings=example_influence_settings(),
    message:
        "Estimate influences of source images on {wildcards.target} ({wildcards.recipe})"


rule score:
    input:
        unpack(repeated_summary),
        script=code("score_influence.py"),
        code=code(
            "score_influence.py",
            "core/statistics.py",
            "influence/artefact.py",
            "estimation/estimators.py",
            "influence/scores.py",
            "training/outputs.py",
        ),
        summary="results/studies/influence/summary/{target}/{recipe}.h5",
    output:
        scores="results/scores/{target}/{recipe}.h5",
    log:
        "results/logs/scores/{target}-{recipe}.log",
    benchmark:
        "results/benchmarks/scores/{target}-{recipe}.tsv"
    conda:
        "../../envs/transferlens.yaml"
    params:
        settings=score_settings(),
        repeated=lambda wildcards, input: (
            f"--repeated {input.repeated}" if "repeated" in input.keys() else ""
        ),
    message:
        "Score the influences on {wildcards.target} ({wildcards.recipe})"
    shell:
        "python {input.script} --settings {params.settings:q} --summary {input.summary}"
        " {params.repeated} --out {output.scores} --log {log}"
