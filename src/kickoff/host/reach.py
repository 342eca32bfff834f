"""Asking a host for its facts: this one, or one reached by SSH whose key is known already."""

import json
import shlex
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from kickoff.errors import ExitCode, KickoffError
from kickoff.paths import STATE_HOME
from kickoff.release.targets import HostNeeds

_TIMEOUT = 120.0
_CONNECT = 10
_CONNECT_ONE = 3.0
"""Seconds for one of several hosts to take a connection, before the next one is asked."""
_SSH = 22


@dataclass(frozen=True, slots=True)
class Address:
    """Address of an environment's host; an empty ``host`` is this machine."""

    host: str = ""
    user: str = ""
    port: int = 0

    @property
    def name(self) -> str:
        """The host as people and ``ssh`` call it."""
        return f"{self.user}@{self.host}" if self.user else self.host


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of a host.

    Attributes:
        facts: The document of :mod:`kickoff.host.host_facts`.
        offset: Seconds its clock is ahead of this machine's; 0 for this machine.
        doubt: Half the time the question took, in seconds: the offset is not known better.
    """

    facts: dict[str, Any]
    offset: float = 0.0
    doubt: float = 0.0


def address(text: str) -> Address:
    """Return the address in ``DEPLOY_HOST``; empty text is this machine.

    Of several hosts, with commas between them, it is the first one that takes a connection; where none does
    it is the first, which then says why.

    Raises:
        KickoffError: It is not written as ``ssh://user@host[,host…][:port]``.
    """
    if not text:
        return Address()
    parts = urlsplit(text)
    try:
        port = parts.port or 0
    except ValueError:
        port = -1
    hosts, user = (parts.hostname or "").split(","), parts.username or ""
    bad = parts.scheme != "ssh" or not all(hosts) or port < 0 or parts.path.strip("/") or parts.password
    # A leading hyphen would be an option of ssh.
    if bad or any(one.startswith("-") for one in [*hosts, user]):
        raise KickoffError(
            "DEPLOY_HOST is no address of a host",
            hint="write it as ssh://user@host or ssh://user@host:port; of several, ssh://user@host,host",
        )
    host = hosts[0] if len(hosts) == 1 else next(filter(partial(_answers, port or _SSH), hosts), hosts[0])
    return Address(host, user, port)


def _answers(port: int, host: str) -> bool:
    try:
        socket.create_connection((host, port), timeout=_CONNECT_ONE).close()
    except OSError:
        return False
    return True


def question(state: str, needs: HostNeeds) -> dict[str, Any]:
    """Return the question for an environment's state folder and for what its target needs of the host."""
    return {
        "state": state,
        "state_home": STATE_HOME,
        "ports": list(needs.ports),
        "names": list(needs.names),
        "docker": needs.docker,
        "swarm": needs.swarm,
        "networks": list(needs.networks),
    }


def ask(where: Address, question: dict[str, Any]) -> Answer:
    """Return the host's answer.

    Raises:
        KickoffError: It cannot be reached, its key is not known, or it has no Python 3 (exit code 4).
    """
    program = files("kickoff.host").joinpath("host_facts.py").read_text("utf-8")
    text = json.dumps(question)
    command = [sys.executable, "-", text]
    if where.host:
        command = [*ssh(where), f"python3 - {shlex.quote(text)}"]
    began = time.time()
    try:
        done = subprocess.run(
            command,
            input=program,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            timeout=_TIMEOUT,
        )
    except FileNotFoundError:
        raise KickoffError(
            "ssh is not installed here",
            code=ExitCode.UNREACHABLE,
            hint="install it, e.g. `apt-get install openssh-client`",
        ) from None
    except subprocess.TimeoutExpired:
        raise unreached(where, f"no answer within {_TIMEOUT:.0f} s") from None
    spent = time.time() - began
    if done.returncode != 0:
        raise unreached(where, (done.stderr.strip().splitlines() or ["no message"])[-1])
    try:
        facts: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise unreached(where, "its answer is no JSON; a login script may print something") from None
    offset = facts["time"] - (began + spent / 2) if where.host else 0.0
    return Answer(facts, offset, spent / 2 if where.host else 0.0)


def ssh(where: Address) -> list[str]:
    """Return the command that runs another one on the host: never a question, never an unknown key."""
    options = ["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", f"ConnectTimeout={_CONNECT}"]
    return ["ssh", *options, *(["-p", str(where.port)] if where.port else []), where.name]


def unreached(where: Address, said: str) -> KickoffError:
    """Return the error for a host that did not do what it was asked, with the fix for what it said."""
    port = f" -p {where.port}" if where.port else ""
    hints = {
        "Host key verification failed": f"its key is not known: run `ssh-keyscan{port} {where.host}`, "
        "compare the fingerprint with the one on its console, then add the line to ~/.ssh/known_hosts",
        "REMOTE HOST IDENTIFICATION": "its key has changed: find out why before you trust the new one",
        "Permission denied": f"it does not take your key: add the public key to ~{where.user}/.ssh/"
        "authorized_keys there (scripts/setup/prepare_host.sh --key-file does)",
        "python3": "it has no Python 3: run scripts/setup/prepare_host.sh there",
        "Could not resolve": "its name is not known here: correct DEPLOY_HOST",
    }
    hint = next((fix for sign, fix in hints.items() if sign in said), f"try `{shlex.join(ssh(where))} true`")
    return KickoffError(
        f"{where.name or 'this machine'} cannot be asked",
        code=ExitCode.UNREACHABLE,
        causes=[said],
        hint=hint,
    )
