# To be asked for by name: what a study will cost, and whether a results folder is whole. Neither changes anything.


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
