"""Not there yet."""

from transferlens.core import job

if __name__ == "__main__":
    script = job.Script(__doc__)
