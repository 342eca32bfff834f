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
    try:
        os.execvpe(process["command"][0], process["command"], process["environment"])  # noqa: S606
    except OSError as error:  # the program was removed since, or is not for this machine
        sys.exit(f"{process['command'][0]} cannot be started: {error.strerror}")


if __name__ == "__main__":
    main()
