"""Processes that outlive the pipeline: a supervisord per environment, spoken to over its socket."""

import http.client
import json
import os
import re
import shlex
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import write_atomic
from kickoff.release.folder import read_object

_UNREACHED = (OSError, xmlrpc.client.ProtocolError, xmlrpc.client.ResponseError, http.client.HTTPException)
_MODULE = "supervisor.supervisord"
_ANSWER_SECONDS = 90.0
"""How long supervisord may take to answer; it answers a stop when the program has ended."""
_TAIL_BYTES = 8192
"""How much of supervisord's log is read from its end."""
_STOP_SECONDS = 180.0
"""How long all programs together may take to stop."""


class Supervisor:
    """The supervisord of one state folder.

    Its socket lies in that folder. Where the socket was lost, the process is found by its command line, so
    that never a second one is started beside it.

    Args:
        root: Folder for its configuration, its socket and the logs of its programs.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._programs = root / "supervisor"
        self._configuration = root / "supervisord.conf"

    def running(self) -> bool:
        """True when supervisord answers."""
        try:
            return bool(self._call("supervisor.getState")["statename"] == "RUNNING")
        except (*_UNREACHED, KickoffError):  # it refuses everything while it ends
            return False

    def process(self) -> psutil.Process | None:
        """Return supervisord's process, whether or not it answers; ``None`` when there is none."""
        wanted = self._configuration.resolve()
        found = [
            process
            for process in psutil.process_iter(["cmdline", "create_time"])
            if (command := process.info["cmdline"] or []) and _MODULE in command
            if Path(command[-1]).resolve() == wanted
        ]
        # A child between fork and exec looks like its parent.
        return min(found, key=lambda process: process.info["create_time"], default=None)

    def ensure(self) -> None:
        """Start supervisord unless it runs.

        Raises:
            KickoffError: It runs and does not answer, or did not come up (exit 4).
        """
        if not self._answers():
            self._start()
        elif not self._configuration.exists():
            self._configure()

    def add(
        self,
        name: str,
        command: list[str],
        environment: Mapping[str, str],
        *,
        folder: Path,
        stop_seconds: int,
    ) -> None:
        """Start program ``name``, replacing one of that name.

        Args:
            name: The program's name.
            command: Its argument vector.
            environment: Its whole environment.
            folder: Its working directory.
            stop_seconds: How long it may take to stop.
        """
        self.remove(name)
        # Not in supervisord's configuration: that is read by others, and has a syntax of its own.
        process = {"folder": str(folder), "command": command, "environment": dict(environment)}
        file = self._programs / f"{name}.json"
        write_atomic(file, json.dumps(process, indent=1), mode=0o600)
        # supervisord expands this value twice.
        log = _value(_value(self.root / "logs" / f"{name}.log"))
        text = f"""[program:{name}]
command={_command(sys.executable, str(self.root / "launch.py"), str(file))}
autorestart=true
startsecs=1
startretries=3
stopwaitsecs={stop_seconds}
stopasgroup=false
killasgroup=true
redirect_stderr=true
stdout_logfile={log}
stdout_logfile_maxbytes=5MB
stdout_logfile_backups=1
"""
        write_atomic(self._programs / f"{name}.conf", text, mode=0o600)
        self._call("supervisor.reloadConfig")
        self._call("supervisor.addProcessGroup", name, known="ALREADY_ADDED")

    def remove(self, name: str) -> None:
        """Stop program ``name`` and forget it.

        Raises:
            KickoffError: supervisord runs and does not answer, or refuses (exit 4).
        """
        (self._programs / f"{name}.conf").unlink(missing_ok=True)
        if self._answers():
            self._call("supervisor.stopProcessGroup", name, known="BAD_NAME")
            self._call("supervisor.removeProcessGroup", name, known="BAD_NAME")
            self._call("supervisor.reloadConfig")
        (self._programs / f"{name}.json").unlink(missing_ok=True)

    def programs(self, prefix: str) -> list[str]:
        """Return the names of the programs that begin with ``prefix``."""
        return sorted(file.stem for file in self._programs.glob(f"{prefix}*.json"))

    def given(self, name: str, part: str = "") -> dict[str, Any]:
        """Return folder, command and environment that program ``name`` was added with; empty for none.

        Args:
            name: The program's name.
            part: ``environment`` for that alone.

        Raises:
            KickoffError: The file that says so is damaged (exit 4).
        """
        return read_object(self._programs / f"{name}.json", part)

    def info(self, name: str) -> dict[str, Any]:
        """Return supervisord's view of program ``name``; empty when it has none or does not run.

        Raises:
            KickoffError: supervisord runs and does not answer, or refuses (exit 4).
        """
        try:
            return dict(self._call("supervisor.getProcessInfo", name, known="BAD_NAME") or {})
        except _UNREACHED:
            return self.info(name) if self._answers() else {}

    def ended(self, name: str) -> str:
        """Return how program ``name`` ended last, as supervisord's log tells it; empty when it does not.

        Of what ends within its first second, supervisord's own view keeps no exit code.
        """
        try:
            with (self.root / "logs" / "supervisord.log").open("rb") as stream:
                stream.seek(max(0, stream.seek(0, os.SEEK_END) - _TAIL_BYTES))
                text = stream.read().decode(errors="replace")
        except FileNotFoundError:
            return ""
        told = rf"exited: {re.escape(name)} \((?:exit status (\d+)|terminated by (\w+))"
        found = re.findall(told, text)
        if not found:
            return ""
        code, signal = found[-1]
        return f"exited with code {code}" if code else f"ended by {signal}"

    def shut_down(self) -> None:
        """Stop supervisord, which stops all its programs first, and wait until it is gone.

        Raises:
            KickoffError: It does not stop (exit 4).
        """
        for configuration in self._programs.glob("*.conf"):  # else the next supervisord would start it
            configuration.unlink()
        while (process := self.process()) is not None:  # an earlier version may have started a second one
            try:
                process.terminate()  # a signal, and no call: it works without the socket, too
                process.wait(_STOP_SECONDS)
            except psutil.NoSuchProcess:
                continue
            except (psutil.TimeoutExpired, psutil.AccessDenied) as error:
                raise KickoffError(
                    f"the process supervisor (process {process.pid}) does not stop",
                    code=ExitCode.UNREACHABLE,
                    causes=[str(error)],
                    at=str(self.root),
                ) from None

    def _configure(self) -> None:
        text = f"""[supervisord]
logfile={_value(self.root / "logs" / "supervisord.log")}
pidfile={_value(self.root / "supervisord.pid")}
childlogdir={_value(self.root / "logs")}
umask=077
[unix_http_server]
; Its working directory is this folder: a socket's path has room for about 100 bytes.
file=/proc/self/cwd/supervisor.sock
chmod=0700
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[include]
files=supervisor/*.conf
"""
        write_atomic(self._configuration, text, mode=0o600)

    def _start(self) -> None:
        self._configure()
        # A minimal environment: nothing of the runner's, least of all its clean-up mark, reaches the service.
        environment = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
        done = subprocess.run(
            [sys.executable, "-m", _MODULE, "-c", str(self._configuration)],
            cwd=self.root,
            env=environment | {"LANG": "C.UTF-8", "PYTHONUTF8": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
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

    def _answers(self) -> bool:
        """True when supervisord answers, now or once it has come up; False when there is none.

        Raises:
            KickoffError: One runs and does not answer: it is not taken for one that is not there (exit 4).
        """
        deadline = time.monotonic() + 3
        while not self.running():
            process = self.process()
            if process is None:
                return False
            if time.monotonic() > deadline:  # neither just started nor about to end
                raise self._deaf(process)
            time.sleep(0.05)
        return True

    def _deaf(self, process: psutil.Process) -> KickoffError:
        return KickoffError(
            f"the process supervisor runs (process {process.pid}), but does not answer",
            code=ExitCode.UNREACHABLE,
            causes=["its socket or its folder was removed, or it hangs; what it started may still serve"],
            at=str(self._socket),
            hint=self._hint,
        )

    @property
    def _hint(self) -> str:
        name = self.root.name
        stop, start = f"`kickoff stop --env {name}`", f"`kickoff start --env {name}`"
        return f"run {stop}, which ends it with all that it started, then {start}"

    @property
    def _socket(self) -> Path:
        """The socket; where a supervisord of an earlier version has it, its configuration says."""
        try:
            text = self._configuration.read_text(encoding="utf-8")
        except FileNotFoundError:
            text = ""
        named = re.search(r"^file=(?!/proc/)(.+)$", text, re.MULTILINE)
        return Path(named[1].replace("%%", "%")) if named else self.root / "supervisor.sock"

    def _call(self, method: str, *arguments: Any, known: str = "") -> Any:  # noqa: ANN401 - XML-RPC is untyped
        """Ask supervisord; ``None`` for the fault ``known``, which is an answer, too.

        Raises:
            KickoffError: It refuses (exit 4).
        """
        from supervisor.xmlrpc import Faults  # noqa: PLC0415 - a command that asks nothing starts without it

        try:
            with xmlrpc.client.ServerProxy("http://localhost", transport=_transport(self._socket)) as server:
                return getattr(server, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            if known and fault.faultCode == getattr(Faults, known):
                return None
            raise KickoffError(
                f"the process supervisor refuses {method.rpartition('.')[2]}",
                code=ExitCode.UNREACHABLE,
                causes=[fault.faultString],
                at=str(self.root),
                hint=f"see {self.root}/logs/supervisord.log; {self._hint}",
            ) from None


def _transport(path: Path) -> Any:  # noqa: ANN401 - supervisor has no types
    """Return the way to the supervisord that listens on the socket at ``path``."""
    from supervisor.xmlrpc import SupervisorTransport  # noqa: PLC0415

    transport = SupervisorTransport(serverurl=f"unix://{path}")
    # The library's own connection has no time limit, and takes a path of about 100 bytes at most: so it is
    # made by way of the folder's descriptor.
    connection = transport._get_connection()

    def connect() -> Any:  # noqa: ANN401
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            connection.socketfile = f"/proc/self/fd/{folder}/{path.name}"
            connection.connect()
        except OSError:
            connection.close()
            raise
        finally:
            os.close(folder)
        connection.sock.settimeout(_ANSWER_SECONDS)
        return connection

    transport._get_connection = connect
    return transport


def _value(path: Path | str) -> str:
    """Return a path as a value of supervisord's configuration, which expands ``%(name)s``."""
    return str(path).replace("%", "%%")


def _command(*arguments: str) -> str:
    """Return an argument vector as supervisord's ``command``."""
    text = shlex.join(arguments).replace("%", "%%")
    # A `;` or `#` after a space would begin a comment, even within quotes.
    return re.sub(r"(?<=\s)(?=[;#])", "''", text)
