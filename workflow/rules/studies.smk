# Which source classes each model sees.


rule draw_masks:
    input:
        unpack(masks_input),
        script=code("draw_masks.py"),
        code=code(
            "draw_masks.py",
            "core/studies.py",
            "core/seeding.py",
            "data/units.py",
            "estimation/designs.py",
            "estimation/hadamard.py",
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
        ranking=lambda wildcards, input: " ".join(
            f"--{name} {input[name]}"
            for name in ("influence", "mapping", "interference", "probes")
            if name in input.keys()
        ),
    message:
        "Draw masks of {wildcards.study}, shard {wildcards.shard}"
    shell:
        "python {input.script} --settings {params.settings:q} --index {input.index}"
        " {params.ranking} --out {output.masks} --log {log}"
