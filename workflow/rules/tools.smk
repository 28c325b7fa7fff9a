# To be asked for by name: what is found of the networks, what a study will cost, and whether a results folder is
# whole. None of them changes anything.


rule network:
    log:
        "results/logs/network.log",
    retries: 0
    localrule: True
    conda:
        "../../envs/transferlens.yaml"
    params:
        settings=RUN.as_json(),
        script=REPOSITORY / "scripts/show_network.py",
    message:
        "Look at the networks"
    shell:
        "python {params.script:q} --settings {params.settings:q} --log {log}"


rule plan:
    log:
        "results/logs/plan.log",
    retries: 0
    localrule: True
    conda:
        "../../envs/transferlens.yaml"
    params:
        settings=RUN.as_json(),
        snakefile=REPOSITORY / "Snakefile",
        script=REPOSITORY / "scripts/plan_study.py",
    message:
        "Plan the study"
    shell:
        "python {params.script:q} --settings {params.settings:q}"
        " --snakefile {params.snakefile:q} --results results --log {log}"


rule doctor:
    log:
        "results/logs/doctor.log",
    retries: 0
    localrule: True
    conda:
        "../../envs/transferlens.yaml"
    threads: 4
    params:
        settings=RUN.as_json(),
        snakefile=REPOSITORY / "Snakefile",
        script=REPOSITORY / "scripts/check_results.py",
    message:
        "Check the files of results"
    shell:
        "python {params.script:q} --settings {params.settings:q}"
        " --snakefile {params.snakefile:q} --results results --log {log}"
