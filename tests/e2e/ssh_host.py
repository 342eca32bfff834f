"""A host to be reached by SSH: a real server on the loopback, with a home and a state folder of its own.

The server is a process of its own, ``python -m tests.e2e.ssh_host FOLDER``: it prints its port and serves until
its standard input ends.
"""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncssh

REPOSITORY = Path(__file__).resolve().parents[2]

USER = "deploy"


@dataclass(frozen=True, slots=True)
class SshHost:
    """A host that runs.

    Attributes:
        address: As ``DEPLOY_HOST`` names it.
        key: The private key that it lets in.
        known_hosts: The line that pins its key.
        folder: Holds its user's home and its state.
    """

    address: str
    key: str
    known_hosts: str
    folder: Path

    @property
    def home(self) -> Path:
        """Home of the user that commands run as."""
        return self.folder / "home"

    @property
    def state(self) -> Path:
        """Where the host's environments keep their state."""
        return self.folder / "state"

    def commands(self) -> list[str]:
        """Return every command line that the host was asked to run."""
        path = self.folder / "commands"
        return path.read_text("utf-8").splitlines() if path.exists() else []


@contextmanager
def ssh_host(folder: Path) -> Iterator[SshHost]:
    """Run a host below ``folder`` until the context ends."""
    (folder / "home" / ".ssh").mkdir(parents=True)
    host_key, user_key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    (folder / "home" / ".ssh" / "authorized_keys").write_bytes(user_key.export_public_key())
    host_key.write_private_key(str(folder / "host_key"))
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.ssh_host", str(folder)],
        cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        public = host_key.export_public_key().decode().strip()
        pinned = f"[127.0.0.1]:{port} {public}"
        yield SshHost(
            f"ssh://{USER}@127.0.0.1:{port}", user_key.export_private_key().decode(), pinned, folder
        )


async def _serve(folder: Path) -> None:
    kept = {key: os.environ[key] for key in ("LANG", "TMPDIR") if key in os.environ}
    environ = kept | {
        "HOME": str(folder / "home"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "KICKOFF_STATE_ROOT": str(folder / "state"),
    }

    async def run(process: "asyncssh.SSHServerProcess[bytes]") -> None:
        command = process.command or "true"
        with (folder / "commands").open("a") as log:
            log.write(command + "\n")
        child = await asyncio.create_subprocess_shell(
            command, cwd=folder / "home", env=environ,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        feeding = asyncio.create_task(_feed(process, child))
        await asyncio.gather(_copy(child.stdout, process.stdout), _copy(child.stderr, process.stderr))
        process.exit(await child.wait())
        feeding.cancel()

    class Server(asyncssh.SSHServer):
        def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
            """Keep the connection, whose keys are read later."""
            self.connection = conn

        def begin_auth(self, _username: str) -> bool:
            """Read the keys anew for each connection, as sshd does."""
            self.connection.set_authorized_keys(str(folder / "home" / ".ssh" / "authorized_keys"))
            return True

        def server_requested(self, listen_host: str, _port: int) -> bool:
            """Forward ports of the loopback back to the client, unless the test forbids it."""
            return listen_host == "127.0.0.1" and not (folder / "no-forwarding").exists()

    async with asyncssh.listen(
        "127.0.0.1", 0, server_factory=Server, server_host_keys=[str(folder / "host_key")],
        process_factory=run, encoding=None,
    ) as server:  # fmt: skip
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.to_thread(sys.stdin.read)


async def _feed(process: "asyncssh.SSHServerProcess[bytes]", child: asyncio.subprocess.Process) -> None:
    """Give a command what its client sends; a client that goes away ends its input, as sshd does."""
    assert child.stdin is not None
    with contextlib.suppress(OSError, asyncssh.Error):
        while data := await process.stdin.read(65536):
            child.stdin.write(data)
            await child.stdin.drain()
    child.stdin.close()


async def _copy(source: asyncio.StreamReader | None, target: "asyncssh.SSHWriter[bytes]") -> None:
    assert source is not None
    with contextlib.suppress(OSError, asyncssh.Error):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
    while await source.read(65536):
        """What nobody reads any more must not stop the command."""


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
