# To be asked for by name: what a study will cost, and whether a results folder is whole. Neither changes anything.


rule plan:
    input:
        script=code("plan_study.py"),
    log:
        "results/logs/plan.log",
    retries: 0
    localrule: True
    conda:
        "../../envs/transferlens.yaml"
    params:
        settings=lambda wildcards: plan_settings(),
        data_root=config["data_root"],
    message:
        "Plan the study"
    shell:
        "python {input.script} --settings {params.settings:q} --data-root {params.data_root:q}"
        " --results results --log {log}"


rule doctor:
    input:
        script=code("check_results.py"),
    log:
        "results/logs/doctor.log",
    retries: 0
    localrule: True
    conda:
        "../../envs/transferlens.yaml"
    threads: 4
    params:
        settings=dumps(config),
        snakefile=REPOSITORY / "Snakefile",
    message:
        "Check the files of results"
    shell:
        "python {input.script} --settings {params.settings:q} --snakefile {params.snakefile:q}"
        " --results results --log {log}"
