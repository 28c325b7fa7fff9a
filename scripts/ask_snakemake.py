"""What Snakemake would do now: every job of the present configuration, as JSON. Runs and changes nothing.

A process of its own, as Snakemake keeps its state, and the memory of its jobs, for good.
"""

import contextlib
import io
import json
import sys
from pathlib import Path

import yaml
from snakemake.api import SnakemakeApi
from snakemake.settings.types import (
    ConfigSettings,
    DAGSettings,
    OutputSettings,
    Quietness,
    ResourceSettings,
)


def main(snakefile: Path, config: Path) -> None:
    profile = yaml.safe_load((snakefile.parent / "profiles/default/config.yaml").read_text())
    with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as snakemake:
        workflow = snakemake.workflow(
            ResourceSettings(cores=1),
            config_settings=ConfigSettings(configfiles=[config], replace_workflow_config=True),
            snakefile=snakefile,
        )
        asked = workflow.dag(
            DAGSettings(
                targets={"all"},
                max_checksum_file_size=profile["max-checksum-file-size"],
                force_incomplete=profile["rerun-incomplete"],
            )
        )
        with contextlib.redirect_stdout(io.StringIO()):
            asked.summary()  # reads the results folder; what it prints lacks the settings
        json.dump(list(jobs(workflow._workflow.dag)), sys.stdout)


def jobs(dag):
    """Every job that makes files."""
    for job in dag.jobs:
        if job.output:
            settings = job.params.get("settings")
            yield {
                "rule": job.rule.name,
                "outputs": [str(path) for path in job.output],
                "settings": settings and json.loads(settings),
                "reasons": list(dag.reason(job).get_names()) if dag.needrun(job) else [],
            }


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
