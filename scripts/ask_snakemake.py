"""Every job of a configuration as Snakemake sees it, as JSON. Runs and changes nothing.

A process of its own, as Snakemake keeps its state, and the memory of its jobs, for good.
"""

import argparse
import contextlib
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from snakemake.api import SnakemakeApi
from snakemake.io import is_flagged
from snakemake.settings.types import (
    ConfigSettings,
    DAGSettings,
    OutputSettings,
    Quietness,
    ResourceSettings,
)


def main(arguments: argparse.Namespace) -> None:
    profile = yaml.safe_load((arguments.snakefile.parent / "profiles/default/profile.yaml").read_text())
    with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as snakemake:
        workflow = snakemake.workflow(
            ResourceSettings(cores=1),
            config_settings=ConfigSettings(configfiles=[arguments.config], replace_workflow_config=True),
            snakefile=arguments.snakefile,
        )
        asked = workflow.dag(
            DAGSettings(
                targets={"all"},
                forceall=not arguments.reasons,
                max_checksum_file_size=profile["max-checksum-file-size"],
                force_incomplete=profile["rerun-incomplete"],
            )
        )
        # Either makes the graph of jobs; a summary reads the results folder, too. What they print lacks jobs.
        with contextlib.redirect_stdout(io.StringIO()):
            asked.summary() if arguments.reasons else asked.printrulegraph()
        json.dump(list(jobs(workflow._workflow.dag, arguments.reasons)), sys.stdout)


def jobs(dag: Any, reasons: bool) -> Iterator[dict[str, Any]]:
    """Every job that makes files."""
    for job in dag.jobs:
        if job.output:
            yield {
                "rule": job.rule.name,
                "outputs": [str(path) for path in job.output],
                "temporary": [str(path) for path in job.output if is_flagged(path, "temp")],
                "reasons": list(dag.reason(job).get_names()) if reasons and dag.needrun(job) else [],
            }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("snakefile", type=Path)
    parser.add_argument("config", type=Path)
    parser.add_argument("--reasons", action="store_true", help="also why each would be run now")
    main(parser.parse_args())
