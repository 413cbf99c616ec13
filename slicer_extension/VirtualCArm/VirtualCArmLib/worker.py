"""One request of the core in a process of its own: `python worker.py CORE REQUEST`. Run by runner.py, never imported.

It lives as long as its standard input is open, so it ends with whoever started it, however that one ended; and all that
it started ends with it.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time

GRACE = 5.0
"""Seconds to take back what is half-written."""


def end_with_input():
    """Wait until nobody holds the other end of the standard input, then end this process and its children."""
    while os.read(0, 1):
        pass
    if os.name == "nt":
        subprocess.run(["taskkill", "/PID", str(os.getpid()), "/T", "/F"], check=False, capture_output=True)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(GRACE)
    os.killpg(os.getpid(), signal.SIGKILL)


def main():
    """The core's command line, with progress as lines of JSON on the standard output."""
    sys.path.pop(0)  # the module's own files, whose names are not for everybody
    sys.path.append(sys.argv[1])
    if os.name != "nt":
        os.setsid()
    print(json.dumps({"process": os.getpid()}), flush=True)
    threading.Thread(target=end_with_input, daemon=True).start()
    from skiagraph.cli import main as skiagraph

    skiagraph(["--progress", "json", "run", sys.argv[2]])


if __name__ == "__main__":
    main()
