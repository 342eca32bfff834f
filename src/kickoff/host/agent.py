"""The host's side of a hand-over: run one verb here, for a runner at the other end of the connection.

Nothing but the standard library, because it runs before any environment exists. The order comes as one line
of JSON on standard input, so that no secret stands in an argument; when the input ends, the runner is gone or
was cancelled, and the verb is told so.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import threading

PATIENCE_SECONDS = 120


def main() -> int:
    """Run the verb that the order names; return its exit code."""
    order = json.loads(sys.stdin.readline())
    results = pathlib.Path(order["results"])
    results.mkdir(parents=True, mode=0o700)
    own = {variable: str(results / name) for variable, name in order["files"].items()}
    for path in own.values():
        pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    # A child inherits that a signal is ignored, as it is for whatever a shell starts in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    child = subprocess.Popen(
        [sys.executable, order["program"], *order["arguments"]],
        cwd=order["folder"],
        env={**os.environ, **order["environment"], **own},
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    threading.Thread(target=_watch, args=(child,), daemon=True).start()
    return child.wait()


def _watch(child: "subprocess.Popen[bytes]") -> None:
    """Interrupt the verb once the runner is gone; kill it when that does not help."""
    sys.stdin.read()
    for number in (signal.SIGINT, signal.SIGKILL):
        if child.poll() is not None:
            return
        os.killpg(child.pid, number)
        try:
            child.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            continue


if __name__ == "__main__":
    sys.exit(main())
