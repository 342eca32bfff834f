"""Run a release command and SIGKILL it at its n-th journal record: ``killed.py before|after N COMMAND …``.

``after``: the record is on disk, and what it announces has not begun. ``before``: what it reports has
happened, and nothing says so.
"""

import os
import signal
import sys
from typing import Any

from kickoff.release import cli
from kickoff.release.journal import Journal


def main() -> int:
    """Arm the journal, then behave like ``release.py``."""
    when, left = sys.argv.pop(1), int(sys.argv.pop(1))
    append = Journal.append

    def counted(journal: Journal, **record: Any) -> None:
        nonlocal left
        left -= 1
        if left == 0 and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        append(journal, **record)
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    Journal.append = counted  # type: ignore[method-assign, assignment]
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
