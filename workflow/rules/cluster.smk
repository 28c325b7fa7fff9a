# What is asked of a Slurm cluster before anything is submitted to it.
from transferlens.operations import cluster


def refuse_impossible_jobs():
    """Before anything is submitted to Slurm: one line on a job that it would refuse or never start."""
    if workflow.executor_plugin.name != "slurm":
        return
    settings = workflow.executor_settings
    try:
        cluster.refuse_impossible(slurm_requests(), cluster.available_nodes())
        remembered = cluster.refuse_silent_status(
            settings.status_command,
            settings.init_seconds_before_status_checks,
            cluster.ask("scontrol", "show", "config"),
        )
    except TransferlensError as error:
        sys.exit(f"transferlens: {error}")
    stay_with_status_command(remembered)


def stay_with_status_command(remembered):
    """Keep the executor on squeue while Slurm's controller is down.

    Plugin 2.8.0 asks for MinJobAge before each look at its jobs, takes no answer for zero seconds, turns to
    sacct, and where no accounts are kept waits for ever even after the controller is back.
    """
    import snakemake_executor_plugin_slurm as plugin

    plugin.get_min_job_age = lambda: remembered


def slurm_requests():
    """What one Slurm job of each kind asks for, on its first and on its last attempt."""
    kinds = {}
    for job in workflow.dag.needrun_jobs():
        whole = workflow.dag.get_job_group(job) or job
        if not whole.is_local:
            members = whole if whole.is_group() else [whole]
            kinds[tuple(sorted(member.rule.name for member in members))] = whole
    for rules, job in kinds.items():
        for attempt in sorted({1, 1 + job.restart_times}):
            job.attempt = attempt  # its resources are evaluated anew
            with_torch = any(name in RUN.steps and RUN.needs_torch(name) for name in rules)
            yield cluster.request(rules, job.resources, with_torch, attempt)
        job.attempt = 1
