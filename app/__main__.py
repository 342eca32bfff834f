"""Start the service: ``python -m app --port 8000``."""

import argparse
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from types import FrameType

import uvicorn
from pydantic import ValidationError

from app.drain import finish_seconds
from app.settings import Settings, explain
from app.telemetry import logs

# Longer than proxies keep idle connections (Traefik: 90 s): who sends the next request must be who hangs up,
# or a request meets a closed connection.
_KEEP_ALIVE_SECONDS = 120
_BAD_CONFIGURATION = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m app", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on (default: 8000)")
    options = parser.parse_args(arguments)
    try:
        settings = Settings()
    except ValidationError as error:
        sys.stderr.write(f"{explain(error)}\n")
        return _BAD_CONFIGURATION
    logs.configure(settings.log_level, settings.kickoff_release)
    # The server raises the signal again once it has finished; by then it has done all there was to do.
    signal.signal(signal.SIGTERM, _finished)
    folder = _share_metrics() if settings.api_workers > 1 else None
    try:
        uvicorn.run(
            "app.main:application",
            factory=True,
            host=options.host,
            port=options.port,
            workers=settings.api_workers,
            loop="uvloop",
            http="httptools",
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            # By the server, which answers what is not HTTP, too.
            headers=[("X-Release", settings.kickoff_release)],
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=finish_seconds(settings.shutdown_grace),
        )
    finally:
        if folder is not None:
            shutil.rmtree(folder)
    return 0


def _finished(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def _share_metrics() -> str:
    """Give the workers a folder to add up their metrics; they must know it before they import them."""
    folder = tempfile.mkdtemp(prefix="football-metrics-")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    return folder


if __name__ == "__main__":
    sys.exit(main())
