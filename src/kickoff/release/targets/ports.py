"""Ports of this host: which are free, and who holds one."""

import socket
import time
from collections.abc import Collection

import psutil

from kickoff.errors import ExitCode, KickoffError


def free_port() -> int:
    """Return a loopback port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """True when a program could listen on a loopback port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def holder(port: int) -> str:
    """Return who listens on a port, as ``process 12 (python -m …)``."""
    found = listener(port)
    return f"process {found[0]} ({found[1][:120]})" if found else "a process that this user cannot see"


def listener(port: int) -> tuple[int, str] | None:
    """Return process id and command line of who listens on a port; ``None`` when this user cannot see it."""
    for connection in psutil.net_connections(kind="tcp"):
        if connection.status != psutil.CONN_LISTEN or not connection.laddr or not connection.pid:
            continue
        if connection.laddr.port != port:
            continue
        try:
            command = " ".join(psutil.Process(connection.pid).cmdline())
        except psutil.Error:
            command = "it ended just now"
        return connection.pid, command
    return None


def listening(pid: int) -> frozenset[int] | None:
    """Return the TCP ports that a process and its children listen on; ``None`` when it is not there."""
    try:
        process = psutil.Process(pid)
        family = {pid, *(child.pid for child in process.children(recursive=True))}
        connections = psutil.net_connections(kind="tcp")
    except psutil.Error:
        return None
    return frozenset(
        int(found.laddr.port)
        for found in connections
        if found.pid in family and found.status == psutil.CONN_LISTEN and found.laddr
    )


def require_silence(ports: Collection[int], *, seconds: float = 2) -> None:
    """Refuse to say that something is stopped while a port still answers.

    Raises:
        KickoffError: Somebody listens on one of them (exit 4).
    """
    deadline = time.monotonic() + seconds
    while answering := [port for port in sorted(ports) if _answers(port)]:
        if time.monotonic() > deadline:
            found = listener(answering[0])
            how = f": `kill {found[0]}`" if found else ""
            raise KickoffError(
                f"everything was told to stop, but port {answering[0]} still answers",
                code=ExitCode.UNREACHABLE,
                causes=[f"{holder(port)} listens on port {port}" for port in answering],
                hint=f"end that process, if it is a forgotten one{how}; then run this again",
            )
        time.sleep(0.05)
