"""Become the service's process: read ``process.json``, enter its folder, and exec.

Runs with nothing but the standard library, from a copy in the state folder, so that the supervisor can
start the service again long after the pipeline's workspace is gone. The environment comes from a 0600
file, because a supervisor's configuration and an argument vector are both read by others.
"""

import json
import os
import sys


def main() -> None:
    """Replace this process by the one described in the file named by the first argument."""
    with open(sys.argv[1], encoding="utf-8") as stream:  # noqa: PTH123
        process = json.load(stream)
    os.chdir(process["folder"])
    os.execvpe(process["command"][0], process["command"], process["environment"])  # noqa: S606


if __name__ == "__main__":
    main()
