# What really happens to the target when classes are removed, with controls.

EVALUATION = code(
    "evaluate_counterfactual.py",
    "core/statistics.py",
    "counterfactual/curves.py",
    "counterfactual/orders.py",
    "training/outputs.py",
)


rule label_mapping:
    input:
        unpack(target_files),
        script=code("map_labels.py"),
        code=code("map_labels.py", "counterfactual/label_mapping.py"),
        source=study_shards("reference", "results/studies/{study}/source/{shard}.h5"),
    output:
        mapping="results/label_mapping/{target}.h5",
    log:
        "results/logs/label_mapping/{target}.log",
    conda:
        "../../envs/transferlens.yaml"
    resources:
        gpu=1,
    params:
        settings=label_mapping_settings,
    message:
        "Map the images of {wildcards.target} to source classes"
    shell:
        "python {input.script} --settings {params.settings:q} --source {input.source}"
        " --index {input.index} --train {input.train} --out {output.mapping} --log {log}"


rule counterfactual:
    input:
        script=code("evaluate_counterfactual.py"),
        code=EVALUATION,
        summary="results/studies/counterfactual-{target}-{recipe}/summary/{target}/{recipe}.h5",
        reference="results/studies/reference/summary/{target}/{recipe}.h5",
        influence="results/influence/{target}/{recipe}.h5",
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
        " --reference {input.reference} --influence {input.influence}"
        " --out {output.counterfactual} --log {log}"


# The same masks for another architecture or recipe, where the configuration asks for it.
use rule counterfactual as reuse with:
    input:
        unpack(reused_summaries),
        script=code("evaluate_counterfactual.py"),
        code=EVALUATION,
        influence="results/influence/{target}/{recipe}.h5",
    output:
        counterfactual="results/reuse/{target}/{recipe}.h5",
    log:
        "results/logs/reuse/{target}-{recipe}.log",
    message:
        "Test the influences on {wildcards.target} ({wildcards.recipe}) elsewhere"
