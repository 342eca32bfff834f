"""Run a release command that gets a signal at its n-th journal record: ``killed.py before|after N SIGKILL …``.

``after``: the record is on disk, and what it announces has not begun. ``before``: what it reports has
happened, and nothing says so.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from kickoff.cli.main import main as command
from kickoff.release.stores.etcd_records import EtcdTransaction
from kickoff.release.stores.journal import Journal


def main() -> int:
    """Arm the journal, then behave like ``kickoff``."""
    when, left, number = sys.argv.pop(1), int(sys.argv.pop(1)), signal.Signals[sys.argv.pop(1)]
    # A child inherits that a signal is ignored, as it is for whatever a shell starts in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def counting(write: Callable[..., Any]) -> Callable[..., None]:
        def counted(journal: Any, **record: Any) -> None:
            nonlocal left
            left -= 1
            if left == 0 and when == "before":
                os.kill(os.getpid(), number)
            write(journal, **record)
            if left == 0:
                os.kill(os.getpid(), number)

        return counted

    Journal.append = counting(Journal.append)  # type: ignore[method-assign]
    EtcdTransaction.note = counting(EtcdTransaction.note)  # type: ignore[method-assign]
    return command()


if __name__ == "__main__":
    sys.exit(main())
