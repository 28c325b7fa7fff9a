# The front door: plain `snakemake` in this folder runs the workflow, which workflow/Snakefile holds.
include: "workflow/Snakefile"


# Of an included file, Snakemake forgets which rule is made when none is asked for.
workflow.default_target = "all"
