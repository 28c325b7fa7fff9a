"""What a process takes, as the benchmarks measure it."""

import json
import subprocess
import sys
from collections.abc import Sequence

# Run by a small process: a child's peak begins with what its parent held when it was forked.
_ASK = """
import json, resource, subprocess, sys, time
started = time.perf_counter()
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
seconds = time.perf_counter() - started
if done.returncode:
    sys.exit(done.stderr)
print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024]))
"""


def seconds_and_megabytes(command: Sequence[str]) -> tuple[float, float]:
    """How long a command takes, and the most megabytes that it holds.

    Raises:
        SystemExit: it fails; with what it said.
    """
    asking = [sys.executable, "-c", _ASK, *command]
    done = subprocess.run(asking, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    seconds, megabytes = json.loads(done.stdout)
    return seconds, megabytes
