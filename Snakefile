# Transferlens: what a fine-tuned vision model still carries from its source data.
# The stages below are in the order of the DAG; config.yaml holds the settings, docs/configuration.md their reference.
from snakemake.utils import min_version

min_version("9.19")


report: "workflow/report/workflow.rst"


include: "workflow/rules/config.smk"
include: "workflow/rules/common.smk"
include: "workflow/rules/messages.smk"
include: "workflow/rules/cluster.smk"
include: "workflow/rules/datasets.smk"
include: "workflow/rules/studies.smk"
include: "workflow/rules/source.smk"
include: "workflow/rules/transfer.smk"
include: "workflow/rules/features.smk"
include: "workflow/rules/influence.smk"
include: "workflow/rules/counterfactual.smk"
include: "workflow/rules/encoders.smk"
include: "workflow/rules/heatmaps.smk"
include: "workflow/rules/influence_maps.smk"
include: "workflow/rules/analyses.smk"
include: "workflow/rules/memories.smk"
include: "workflow/rules/remedies.smk"
include: "workflow/rules/variance.smk"
include: "workflow/rules/relatedness.smk"
include: "workflow/rules/transferability.smk"
include: "workflow/rules/comparison.smk"
include: "workflow/rules/dynamics.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/tools.smk"


rule all:
    default_target: True
    input:
        "results/report/index.html",


onstart:
    refuse_impossible_jobs()
    date_back()


onsuccess:
    print(success_message())


onerror:
    print(failure_message(log))
