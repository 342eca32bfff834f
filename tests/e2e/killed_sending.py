"""``python -m tests.e2e.killed_sending BYTES VERB …``: a verb that is killed once it has sent so much of an image."""

import os
import signal
import sys
from unittest.mock import patch

from kickoff.artifact.layout_server import ImageServer
from kickoff.cli.main import main


def _count(server: ImageServer, sent: int) -> None:
    server.bytes += sent
    if server.bytes > int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    with patch.object(ImageServer, "count", _count):
        sys.exit(main(sys.argv[2:]))
