# Which source classes each model sees.


rule draw_masks:
    input:
        unpack(masks_input),
        script=code("draw_masks.py"),
        code=code(
            "draw_masks.py",
            "studies.py",
            "seeding.py",
            "influence/designs.py",
            "counterfactual/orders.py",
        ),
    output:
        masks="results/studies/{study}/masks/{shard}.h5",
    log:
        "results/logs/draw_masks/{study}-{shard}.log",
    conda:
        "../../envs/transferlens.yaml"
    params:
        settings=masks_settings,
        influence=lambda wildcards, input: (
            f"--influence {input.influence}" if "influence" in input.keys() else ""
        ),
    message:
        "Draw masks of {wildcards.study}, shard {wildcards.shard}"
    shell:
        "python {input.script} --settings {params.settings:q} --index {input.index}"
        " {params.influence} --out {output.masks} --log {log}"
