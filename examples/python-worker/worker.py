"""The worker: does one job after the other. Two of them at once would do some jobs twice."""

import datetime
import signal
import threading

from store import connect


def main() -> None:
    """Work until SIGTERM; the job in hand is finished."""
    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told.set())
    database = connect()
    while not told.wait(0.1):
        job = database.execute("SELECT id FROM jobs WHERE done IS NULL ORDER BY id LIMIT 1").fetchone()
        if job:
            now = datetime.datetime.now(datetime.UTC).isoformat()
            database.execute("UPDATE jobs SET done = ? WHERE id = ?", (now, job[0]))


if __name__ == "__main__":
    main()
