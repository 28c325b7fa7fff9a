"""What every room stands on: errors, files, settings, studies, statistics. No torch, no Snakemake."""
