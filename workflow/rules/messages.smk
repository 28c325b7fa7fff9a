# What is done before the first job, and what the user reads after the last one.


def date_back():
    """Date files from the future now: Snakemake would remove what is made from them."""
    folders = [Path("results"), *(REPOSITORY / name for name in ("scripts", "transferlens"))]
    paths = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    if dated := files.date_back(paths):
        print(
            f"Transferlens: {len(dated)} files were dated in the future, now today: {dated[0]}, ..."
        )


def success_message():
    if workflow.dag_settings.targets:
        return "Transferlens: done."
    return "Transferlens: done. Open results/report/index.html in a browser."


def failure_message(log):
    if "doctor" in workflow.dag_settings.targets:
        return (
            "Transferlens: the check above (also in results/logs/doctor.log) found damage; run its "
            "cures, then snakemake makes these files again where they are needed."
        )
    return (
        "Transferlens: stopped by the error above; each job's messages are in results/logs. Finished "
        "artefacts are kept: the same command continues from there."
    )
