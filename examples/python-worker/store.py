"""The database that the web process and the worker share: jobs, and when each was done."""

import os
import sqlite3
from pathlib import Path


def connect() -> sqlite3.Connection:
    """Open the database, which lies where data outlives a release."""
    path = Path(os.environ.get("KICKOFF_DATA_DIR", ".")) / "jobs.db"
    return sqlite3.connect(path, timeout=10, isolation_level=None)


def migrate() -> None:
    """Create what is not there yet; a release before works with it, too."""
    with connect() as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE IF NOT EXISTS jobs (id INTEGER PRIMARY KEY, text TEXT, done TEXT)")


if __name__ == "__main__":
    migrate()
