"""Processes that outlive the pipeline: a supervisord per environment, spoken to over its socket."""

import hashlib
import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
import xmlrpc.client
from pathlib import Path
from typing import Any

from kickoff.errors import ExitCode, KickoffError

_NO_SUCH_PROGRAM = 10
_ALREADY_ADDED = 90


class Supervisor:
    """The supervisord of one state folder.

    Args:
        root: Folder for its configuration, its pid file and the logs of its programs.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._programs = root / "supervisor"
        self._configuration = root / "supervisord.conf"

    @property
    def socket(self) -> Path:
        """The control socket: in a short private folder, since a socket's path has about 100 bytes."""
        folder = Path(tempfile.gettempdir()) / f"kickoff-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
        if status.st_uid != os.getuid() or status.st_mode & 0o077:
            raise KickoffError(f"{folder} belongs to somebody else", hint="remove it, or set TMPDIR")
        return folder / f"{hashlib.sha256(str(self.root.resolve()).encode()).hexdigest()[:16]}.sock"

    def running(self) -> bool:
        """Whether supervisord answers."""
        try:
            return bool(self._call("supervisor.getState")["statename"] == "RUNNING")
        except (OSError, xmlrpc.client.Error, http.client.HTTPException):
            return False

    def ensure(self) -> None:
        """Start supervisord unless it runs.

        Raises:
            KickoffError: It did not come up (exit 4).
        """
        if self.running():
            return
        text = f"""[supervisord]
logfile={self.root}/logs/supervisord.log
pidfile={self.root}/supervisord.pid
childlogdir={self.root}/logs
umask=077
[unix_http_server]
file={self.socket}
chmod=0700
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[include]
files={self._programs}/*.conf
"""
        self._configuration.write_text(text.replace("%", "%%"), encoding="utf-8")
        # A minimal environment: nothing of the runner's, least of all its clean-up mark, reaches the service.
        environment = {
            key: os.environ[key] for key in ("PATH", "HOME", "LANG", "TMPDIR") if key in os.environ
        }
        done = subprocess.run(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(self._configuration)],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,
        )
        deadline = time.monotonic() + 10
        while done.returncode == 0 and time.monotonic() < deadline:
            if self.running():
                return
            time.sleep(0.02)
        raise KickoffError(
            "the process supervisor did not start",
            code=ExitCode.UNREACHABLE,
            causes=[(done.stdout + done.stderr).strip()[-400:] or f"see {self.root}/logs/supervisord.log"],
        )

    def add(self, name: str, command: list[str], *, stop_seconds: int) -> None:
        """Start program ``name``, replacing one of that name."""
        self.remove(name)
        quoted = " ".join(f"'{part}'" for part in command)
        text = f"""[program:{name}]
command={quoted}
autorestart=true
startsecs=1
startretries=3
stopwaitsecs={stop_seconds}
stopasgroup=false
killasgroup=true
redirect_stderr=true
stdout_logfile={self.root}/logs/{name}.log
stdout_logfile_maxbytes=5MB
stdout_logfile_backups=1
"""
        (self._programs / f"{name}.conf").write_text(text.replace("%", "%%"), encoding="utf-8")
        self._call("supervisor.reloadConfig")
        try:
            self._call("supervisor.addProcessGroup", name)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != _ALREADY_ADDED:
                raise

    def remove(self, name: str) -> None:
        """Stop program ``name`` and forget it."""
        (self._programs / f"{name}.conf").unlink(missing_ok=True)
        if not self.running():
            return
        try:
            self._call("supervisor.stopProcessGroup", name)
            self._call("supervisor.removeProcessGroup", name)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != _NO_SUCH_PROGRAM:
                raise
        self._call("supervisor.reloadConfig")

    def info(self, name: str) -> dict[str, Any]:
        """Return supervisord's view of program ``name``; empty when it has none or does not run."""
        try:
            return dict(self._call("supervisor.getProcessInfo", name))
        except (OSError, xmlrpc.client.Error, http.client.HTTPException):
            return {}

    def shut_down(self) -> None:
        """Stop all programs and supervisord itself, and wait until it is gone."""
        for configuration in self._programs.glob("*.conf"):
            self.remove(configuration.stem)
        if not self.running():
            return
        self._call("supervisor.shutdown")
        deadline = time.monotonic() + 30
        while self.running():
            if time.monotonic() > deadline:
                raise KickoffError("the process supervisor does not stop", code=ExitCode.UNREACHABLE)
            time.sleep(0.05)

    def _call(self, method: str, *arguments: Any) -> Any:  # noqa: ANN401 - XML-RPC is untyped
        with xmlrpc.client.ServerProxy("http://localhost", transport=_UnixTransport(self.socket)) as server:
            return getattr(server, method)(*arguments)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=90)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(90)
        try:
            self.sock.connect(str(self._path))
        except OSError:
            self.close()
            raise


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:  # noqa: ANN401
        connection = _UnixConnection(self._path)
        self._connection = host, connection  # what the base class closes
        return connection
