# What a reader sees: figures and tables of every target and recipe, and one page.


rule figures:
    input:
        unpack(figure_inputs),
        script=code("draw_figures.py"),
        code=code(
            "draw_figures.py",
            "results.py",
            "results_folder.py",
            "core/checks.py",
            "core/statistics.py",
            "counterfactual/checks.py",
            "counterfactual/figures.py",
            "counterfactual/tables.py",
            "influence/checks.py",
            "influence/figures.py",
            "influence/tables.py",
            "pictures/figures.py",
        ),
        influence="results/influence/{target}/{recipe}.h5",
        counterfactual="results/counterfactual/{target}/{recipe}.h5",
        scores="results/scores/{target}/{recipe}.h5",
    output:
        matrix=report(
            "results/report/{target}/{recipe}/influence_matrix.svg",
            caption="../report/influence_matrix.rst",
            category="Class influences",
            labels={"target": "{target}", "recipe": "{recipe}", "figure": "matrix"},
        ),
        strongest=report(
            "results/report/{target}/{recipe}/strongest_classes.svg",
            caption="../report/strongest_classes.rst",
            category="Class influences",
            labels={"target": "{target}", "recipe": "{recipe}", "figure": "strongest"},
        ),
        curves=report(
            "results/report/{target}/{recipe}/counterfactual_curves.svg",
            caption="../report/counterfactual_curves.rst",
            category="Counterfactuals",
            labels={"target": "{target}", "recipe": "{recipe}", "figure": "curves"},
        ),
        convergence=report(
            "results/report/{target}/{recipe}/convergence.svg",
            caption="../report/convergence.rst",
            category="Class influences",
            labels={"target": "{target}", "recipe": "{recipe}", "figure": "convergence"},
        ),
        checks=report(
            "results/report/{target}/{recipe}/checks.csv",
            caption="../report/checks.rst",
            category="Checks",
            labels={"target": "{target}", "recipe": "{recipe}", "figure": "checks"},
        ),
        pictures=expand(
            "results/report/{{target}}/{{recipe}}/{name}.png",
            name=["influence_matrix", "strongest_classes", "counterfactual_curves", "convergence"],
        ),
        tables=expand(
            "results/report/{{target}}/{{recipe}}/{name}.csv",
            name=[
                "class_influence",
                "overall_influence",
                "counterfactual",
                "chosen_k",
                "single_removals",
                "scores",
            ],
        ),
    log:
        "results/logs/figures/{target}-{recipe}.log",
    conda:
        "../../envs/transferlens.yaml"
    params:
        settings=figure_settings,
        folder="results/report/{target}/{recipe}",
    message:
        "Draw figures for {wildcards.target} ({wildcards.recipe})"
    shell:
        "python {input.script} --settings {params.settings:q} --results results --out {params.folder}"
        " --log {log}"


rule report:
    input:
        script=code("write_report.py"),
        code=code(
            "write_report.py",
            "results.py",
            "results_folder.py",
            "core/blocks.py",
            "core/checks.py",
            "core/statistics.py",
            "analyses/page.py",
            "counterfactual/checks.py",
            "counterfactual/page.py",
            "counterfactual/tables.py",
            "heatmaps/page.py",
            "influence/checks.py",
            "influence/page.py",
            "influence_maps/page.py",
            "memories/gallery/numbers.py",
            "memories/page.py",
            "pictures/page.css",
            "pictures/templates.py",
            "report/page.html.jinja",
            "report/page.py",
            "report/run_page.py",
        ),
        indexes=expand("results/data/{name}/index.h5", name=DATASETS),
        records=training_records,
        influence_summaries=per_adaptation("results/studies/influence/summary/{target}/{recipe}.h5"),
        figures=per_adaptation("results/report/{target}/{recipe}/influence_matrix.svg"),
        heatmaps=per_adaptation("results/heatmaps/{target}/{recipe}.png"),
        faithfulness=faithfulness_pictures,
        maps=influence_map_pictures,
        analyses=analysis_pictures,
        pretrained=pretrained_summaries,
        memories=memory_results,
    output:
        page="results/report/index.html",
    log:
        "results/logs/report.log",
    conda:
        "../../envs/transferlens.yaml"
    params:
        settings=report_settings(),
    message:
        "Write the page"
    shell:
        "python {input.script} --settings {params.settings:q} --results results --out {output.page}"
        " --log {log}"
