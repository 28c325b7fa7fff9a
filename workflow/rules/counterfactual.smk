# What really happens to the target when classes are removed.


rule counterfactual:
    input:
        script=code("evaluate_counterfactual.py"),
        code=code(
            "evaluate_counterfactual.py",
            "statistics.py",
            "counterfactual/curves.py",
            "counterfactual/orders.py",
        ),
        summary="results/studies/counterfactual-{target}-{recipe}/summary/{target}/{recipe}.h5",
        reference="results/studies/reference/summary/{target}/{recipe}.h5",
    output:
        counterfactual="results/counterfactual/{target}/{recipe}.h5",
    log:
        "results/logs/counterfactual/{target}-{recipe}.log",
    conda:
        "../../envs/transferlens.yaml"
    params:
        settings=counterfactual_settings,
    message:
        "Evaluate counterfactuals on {wildcards.target} ({wildcards.recipe})"
    shell:
        "python {input.script} --settings {params.settings:q} --summary {input.summary}"
        " --reference {input.reference} --out {output.counterfactual} --log {log}"
