"""Start a script that is interrupted without a word.

A script imports for seconds before its own work begins, where Ctrl-C would end each job in a traceback. Until
a script handles it (`job.run`), it ends the process at once.

    python -P transferlens/core/start.py SCRIPT ARGUMENT ...
"""

import os
import runpy
import signal
import sys

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    del sys.argv[0]
    sys.path.insert(0, os.path.dirname(sys.argv[0]))  # as of a script that is started by itself
    runpy.run_path(sys.argv[0], run_name="__main__")
