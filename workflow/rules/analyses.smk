# What influences show: each analysis writes an HDF5 file, a table and a picture.


rule subpopulations:
    input:
        unpack(target_files),
        script=code("find_subpopulations.py"),
        code=code("find_subpopulations.py", "analyses/subpopulations.py", "pictures/figures.py"),
        influence="results/influence/{target}/{recipe}.h5",
    output:
        found="results/analyses/subpopulations/{target}/{recipe}.h5",
        table="results/analyses/subpopulations/{target}/{recipe}.csv",
        finer="results/analyses/subpopulations/{target}/{recipe}-finer.csv",
        picture=report(
            "results/analyses/subpopulations/{target}/{recipe}.png",
            caption="../report/subpopulations.rst",
            category="Analyses",
            labels={"target": "{target}", "recipe": "{recipe}", "figure": "subpopulations"},
        ),
    log:
        "results/logs/subpopulations/{target}-{recipe}.log",
    conda:
        "../../envs/transferlens.yaml"
    params:
        settings=lambda wildcards: analysis_settings("subpopulations", wildcards),
    message:
        "Find subpopulations of {wildcards.target} ({wildcards.recipe})"
    shell:
        "python {input.script} --settings {params.settings:q} --results results"
        " --index {input.index} --val {input.val} --out {output.found}"
        " --picture {output.picture} --table {output.table} --finer {output.finer} --log {log}"


rule failures:
    input:
        unpack(target_files),
        script=code("explain_failures.py"),
        code=code("explain_failures.py", "analyses/failures.py", "pictures/figures.py"),
        influence="results/influence/{target}/{recipe}.h5",
        reference="results/studies/reference/summary/{target}/{recipe}.h5",
        removals=("results/studies/counterfactual-{target}-{recipe}/summary/{target}/{recipe}.h5"),
    output:
        found="results/analyses/failures/{target}/{recipe}.h5",
        table="results/analyses/failures/{target}/{recipe}.csv",
        picture=report(
            "results/analyses/failures/{target}/{recipe}.png",
            caption="../report/failures.rst",
            category="Analyses",
            labels={"target": "{target}", "recipe": "{recipe}", "figure": "failures"},
        ),
    log:
        "results/logs/failures/{target}-{recipe}.log",
    conda:
        "../../envs/transferlens.yaml"
    params:
        settings=lambda wildcards: analysis_settings("failures", wildcards),
    message:
        "Explain failures on {wildcards.target} ({wildcards.recipe})"
    shell:
        "python {input.script} --settings {params.settings:q} --results results"
        " --index {input.index} --val {input.val} --out {output.found}"
        " --picture {output.picture} --table {output.table} --log {log}"


rule leakage:
    input:
        unpack(target_files),
        **{f"source_{kind}": path for kind, path in betons(SOURCE).items()},
        script=code("find_leakage.py"),
        code=code("find_leakage.py", "analyses/leakage.py", "pictures/figures.py"),
        influence="results/example_influence/{target}/{recipe}.h5",
        masks="results/studies/examples/masks/0000.h5",
    output:
        found="results/analyses/leakage/{target}/{recipe}.h5",
        table="results/analyses/leakage/{target}/{recipe}.csv",
        picture=report(
            "results/analyses/leakage/{target}/{recipe}.png",
            caption="../report/leakage.rst",
            category="Analyses",
            labels={"target": "{target}", "recipe": "{recipe}", "figure": "leakage"},
        ),
    log:
        "results/logs/leakage/{target}-{recipe}.log",
    conda:
        "../../envs/transferlens.yaml"
    params:
        settings=lambda wildcards: analysis_settings("leakage", wildcards),
    message:
        "Find leaking and misleading source images for {wildcards.target} ({wildcards.recipe})"
    shell:
        "python {input.script} --settings {params.settings:q} --results results"
        " --masks {input.masks} --source-index {input.source_index}"
        " --source-train {input.source_train} --index {input.index} --val {input.val}"
        " --out {output.found} --picture {output.picture} --table {output.table} --log {log}"


rule small_targets:
    input:
        unpack(sized_results),
        script=code("compare_sizes.py"),
        code=code("compare_sizes.py", "analyses/small_targets.py", "pictures/figures.py"),
    output:
        found="results/analyses/small_targets/{target}/{recipe}.h5",
        table="results/analyses/small_targets/{target}/{recipe}.csv",
        picture=report(
            "results/analyses/small_targets/{target}/{recipe}.png",
            caption="../report/small_targets.rst",
            category="Analyses",
            labels={"target": "{target}", "recipe": "{recipe}", "figure": "small targets"},
        ),
    log:
        "results/logs/small_targets/{target}-{recipe}.log",
    conda:
        "../../envs/transferlens.yaml"
    params:
        settings=lambda wildcards: dumps(
            {
                "targets": sized_names(wildcards.target),
                "recipe": wildcards.recipe,
                "output": config["report"]["output"],
            }
        ),
    message:
        "Compare sizes of {wildcards.target} ({wildcards.recipe})"
    shell:
        "python {input.script} --settings {params.settings:q} --results results"
        " --out {output.found} --picture {output.picture} --table {output.table} --log {log}"
