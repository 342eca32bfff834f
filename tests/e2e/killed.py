"""Run a release command and SIGKILL it right after its n-th journal record: ``killed.py N COMMAND …``."""

import os
import signal
import sys
from typing import Any

from kickoff.release import cli


def main() -> int:
    """Arm the journal's observer, then behave like ``release.py``."""
    left = int(sys.argv.pop(1))

    def observe(record: dict[str, Any]) -> None:
        nonlocal left
        del record
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    cli._narrate = observe
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
