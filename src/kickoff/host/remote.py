"""Handing a parsed verb over to the host that its environment runs on.

With ``DEPLOY_HOST=ssh://user@host`` the files of the project and of the pipeline go to that host, and the
same verb runs there: state, lock, fence, containers and the addresses of the checks are all local to it.
The secrets travel on standard input; evidence, outputs and summary come back. An image that no registry has
is served on this machine's loopback, and the host reaches it through the connection.
"""

import argparse
import hashlib
import io
import json
import os
import secrets
import shlex
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from kickoff import bootstrap, git, github, service, stack
from kickoff.artifact import admission, bundle, layout, source
from kickoff.artifact import image as images
from kickoff.artifact.layout_server import SOURCE, ImageServer, serving
from kickoff.environment import secret_source
from kickoff.environment.schema import read as read_schema
from kickoff.environment.sops import Sealed
from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence.files import folder as evidence_folder
from kickoff.host import reach
from kickoff.paths import HANDED_OVER
from kickoff.release import targets

_FOLDER = ".cache/kickoff/handed"
# What a verb leaves, and the variable that says where; read back after it has ended.
_OUTPUT, _SUMMARY = "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"
_FILES = {"KICKOFF_EVIDENCE_DIR": "evidence", _OUTPUT: "output", _SUMMARY: "summary"}
# About this machine, and so wrong on another one.
_HERE = ("KICKOFF_STATE_ROOT", "KICKOFF_VENV", "KICKOFF_ARTIFACT_DIR", "KICKOFF_REPORT_DIR", *_FILES)
# What opens the connection stays on this side of it.
_KEYS = ("DEPLOY_KNOWN_HOSTS", "DEPLOY_SSH_KEY")
_CONNECTION_LOST = 255
_ARTIFACTS = ".kickoff/artifacts"
_PROGRAM, _LOCKS, _PROJECT = "pipeline/src/kickoff", "pipeline/requirements", "project"


def hand_over(address: str, arguments: argparse.Namespace, words: Sequence[str], root: Path) -> int:
    """Run a parsed verb on the host at ``address`` and bring back what it leaves.

    Args:
        address: ``ssh://user@host[:port]``.
        arguments: The verb and what it was given; the secrets of its environment go along.
        words: The command line that gives these arguments there, with what :func:`moved` says.
        root: The project.

    Raises:
        KickoffError: The address is none, or the host cannot be reached or does not take the files (exit 4).
    """
    order = _environment(arguments.env, root)
    store = Path(_given(arguments, "artifact_directory") or bundle.directory())
    digest = _given(arguments, "artifact_digest").removeprefix("sha256:")
    artifacts = sorted(store.glob(f"{digest}.*")) if digest.isalnum() else []
    with (
        _proofs(arguments, root) as proofs,
        _image(store, artifacts) as image,
        connection(address) as host,
        pack(root, artifacts, proofs, _given(arguments, "commit")) as packed,
    ):
        folder = f"{_FOLDER}/{packed.name}"
        results = f"{_FOLDER}/run-{secrets.token_hex(8)}"
        host.receive(packed, folder)
        home = host.ask("pwd").strip()
        if image is not None:
            order[SOURCE] = f"127.0.0.1:{host.forward_back(image.server_port)}/{image.name}"
        line = {
            "program": f"{home}/{folder}/{_PROGRAM}",
            "arguments": list(words),
            "folder": f"{home}/{folder}/{_place(root)}",
            "environment": order,
            "results": f"{home}/{results}",
            "files": _FILES,
        }
        code = host.run(f"exec python3 {folder}/{_PROGRAM}/host/agent.py", json.dumps(line) + "\n")
        take(host.fetch(results), Path(_given(arguments, "evidence") or evidence_folder()))
        return code


@dataclass(frozen=True, slots=True)
class Packed:
    """The archive that a host is sent.

    Attributes:
        name: Changes with any file, and with nothing else: who has it is not sent it again.
        path: A tar of folders ``pipeline``, ``project`` and ``proofs``.
    """

    name: str
    path: Path


@contextmanager
def pack(root: Path, artifacts: Sequence[Path], proofs: Sequence[Path], commit: str) -> Iterator[Packed]:
    """Yield a tar of the pipeline, the project's files and history as far as it is needed, and the artefact.

    A project below its repository's top stands there in the same place, without what is beside it.

    Args:
        root: The project.
        artifacts: The files of the artefact that is shipped: a bundle, or the record of an image.
        proofs: The files that prove it.
        commit: A commit that the verb asks git for, beside the one checked out; may be empty.
    """
    head = source.resolve(root)
    wanted = sorted({head, source.resolve(root, commit or "HEAD")})
    known = git.run(root, "ls-files", "-z", "--cached").stdout.split("\0")
    place = _place(root)
    members = {f"{place}/{name}": root / name for name in filter(None, known)}
    for folder, source_folder in ((_PROGRAM, bootstrap.PACKAGE), (_LOCKS, bootstrap.LOCKS)):
        found = [path for path in sorted(Path(source_folder).rglob("*")) if "__pycache__" not in path.parts]
        members |= {f"{folder}/{path.relative_to(source_folder)}": path for path in found}
    members |= {f"{place}/{_ARTIFACTS}/{path.name}": path for path in artifacts}
    members |= {f"{admission.CARRIED}/{path.name}": path for path in proofs}
    members = {name: path for name, path in sorted(members.items()) if path.is_file()}
    digest = hashlib.sha256(json.dumps([head, wanted]).encode())
    for name, path in members.items():
        line = f"{name}\0{os.access(path, os.X_OK)}\0{_digest(path)}\n"
        digest.update(line.encode("utf-8", "surrogateescape"))
    with tempfile.TemporaryDirectory(prefix="kickoff-hand-") as folder:
        history = Path(folder) / "history"
        git.run(root, "init", "--quiet", str(history))
        git.run(history, "fetch", "--quiet", "--depth=1", f"file://{git.top(root).resolve()}", *wanted)
        # On the branch that HEAD names, too: git takes a folder without any ref for no repository, as a tar
        # of files has no empty folders.
        git.run(history, "update-ref", "HEAD", head)
        objects = history / ".git"
        members |= {f"{_PROJECT}/.git/{p.relative_to(objects)}": p for p in objects.rglob("*") if p.is_file()}
        packed = Path(folder) / "handed.tar"
        with tarfile.open(packed, "w") as tar:
            for name, path in members.items():
                tar.add(path, name, recursive=False)
        yield Packed(digest.hexdigest()[:16], packed)


def take(packed: bytes, folder: Path) -> None:
    """Put what a verb left on the host where it would have left it here, its evidence into ``folder``."""
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        for member in tar.getmembers():
            stream = tar.extractfile(member) if member.isfile() else None
            if stream is None:
                continue
            text, name = stream.read(), member.name.removeprefix("./")
            if name.startswith("evidence/") and name.count("/") == 1:
                folder.mkdir(parents=True, exist_ok=True)
                (folder / name.removeprefix("evidence/")).write_bytes(text)
            elif name == _FILES[_OUTPUT]:
                github.append_outputs(text)
            elif name == _FILES[_SUMMARY]:
                github.append_summary(text.decode())


@dataclass(frozen=True, slots=True)
class Host:
    """A host at the other end of an open connection.

    Attributes:
        where: Its address.
        command: The ssh command up to the name of the host.
    """

    where: reach.Address
    command: Sequence[str]

    def ask(self, line: str) -> str:
        """Run a shell command there and return what it printed.

        Raises:
            KickoffError: It failed (exit 4).
        """
        return self._call(line, None).decode()

    def receive(self, packed: Packed, folder: str) -> None:
        """Unpack a tar into ``folder`` there, all of it or nothing, unless the folder is there."""
        where, new = shlex.quote(folder), shlex.quote(f"{folder}.{secrets.token_hex(4)}")
        if self.ask(f"mkdir -p -m 700 {_FOLDER} && if test -d {where}; then echo there; fi").strip():
            return
        unpack = f"mkdir {new} && tar -xof - -C {new} && {{ mv -T {new} {where} || rm -r {new}; }}"
        # What another run works in now is among the last ten.
        old = f"ls -1dt {_FOLDER}/*/ | grep -v run- | tail -n +11 | xargs -r rm -r"
        with packed.path.open("rb") as stream:
            self._call(f"{unpack} && {old}", stream)

    def forward_back(self, port: int) -> int:
        """Let the host reach a port of this machine's loopback; return the port of its own for that.

        Raises:
            KickoffError: The host allows no such thing (exit 4).
        """
        forward = ["-O", "forward", "-R", f"127.0.0.1:0:127.0.0.1:{port}", self.where.name]
        done = subprocess.run(
            [*self.command[:-1], *forward],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        if done.returncode != 0 or not done.stdout.strip().isdecimal():
            raise KickoffError(
                f"{self.where.name} does not let the image in: it forwards no port back",
                code=ExitCode.UNREACHABLE,
                causes=done.stderr.strip().splitlines()[-1:],
                hint="set `AllowTcpForwarding remote` (or yes) for this user in its sshd_config; "
                "or use a registry: `image.transport: registry`",
            )
        return int(done.stdout)

    def run(self, line: str, order: str) -> int:
        """Run a command there with its output here; return its exit code.

        Raises:
            KickoffError: The connection was lost (exit 4).
        """
        with subprocess.Popen(
            [*self.command, line], stdin=subprocess.PIPE, encoding="utf-8", errors="replace"
        ) as process:
            if process.stdin is not None:
                process.stdin.write(order)
                process.stdin.flush()  # it stays open: its end tells the host that nobody waits any more
            code = process.wait()
        if code == _CONNECTION_LOST:
            raise KickoffError(
                f"the connection to {self.where.name} was lost",
                code=ExitCode.UNREACHABLE,
                hint="it was interrupted there; `kickoff resume --env NAME` finishes or undoes what it began",
            )
        return code

    def fetch(self, folder: str) -> bytes:
        """Return a folder there as a tar, and remove it."""
        where = shlex.quote(folder)
        return self._call(f"if test -d {where}; then tar -cf - -C {where} . && rm -r {where}; fi", None)

    def _call(self, line: str, given: BinaryIO | None) -> bytes:
        done = subprocess.run(
            [*self.command, line], stdin=given or subprocess.DEVNULL, capture_output=True, check=False
        )
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            raise reach.unreached(self.where, (said or ["no message"])[-1])
        return done.stdout


@contextmanager
def connection(address: str) -> Iterator[Host]:
    """Open one connection that all commands share.

    ``DEPLOY_SSH_KEY`` and ``DEPLOY_KNOWN_HOSTS`` hold a private key and pinned host keys; without them those
    of the user count. A host that is not known is refused.

    Raises:
        KickoffError: The address is none (exit 2).
    """
    where = reach.address(address)
    with tempfile.TemporaryDirectory(prefix="kickoff-ssh-") as folder:
        options = {
            "ServerAliveInterval": "5", "ServerAliveCountMax": "6",
            # A short name: a socket's path has room for about 100 bytes.
            "ControlMaster": "auto", "ControlPath": _option_value(f"{folder}/c"), "ControlPersist": "60",
        }  # fmt: skip
        known, key = os.environ.get("DEPLOY_KNOWN_HOSTS", ""), os.environ.get("DEPLOY_SSH_KEY", "")
        if known:
            options["UserKnownHostsFile"] = _option_value(_private(Path(folder) / "known_hosts", known))
        if key:
            identity = _option_value(_private(Path(folder) / "key", key))
            options |= {"IdentityFile": identity, "IdentitiesOnly": "yes"}
        program, *rest = reach.ssh(where)
        command = [program, *(part for pair in options.items() for part in ("-o", "=".join(pair))), *rest]
        try:
            yield Host(where, command)
        finally:
            subprocess.run([*command[:-1], "-O", "exit", where.name], capture_output=True, check=False)


@contextmanager
def _proofs(arguments: argparse.Namespace, root: Path) -> Iterator[list[Path]]:
    """Yield the files of the proof with which the environment takes what is staged."""
    if _given(arguments, "command") != "stage":
        yield []
        return
    name, commit, reason = arguments.env, arguments.commit, arguments.unproven_reason
    with tempfile.TemporaryDirectory(prefix="kickoff-proof-") as folder:
        yield admission.carry(root, service.load(root), name, commit, Path(folder), reason=reason)


@contextmanager
def _image(store: Path, artifacts: Sequence[Path]) -> Iterator[ImageServer | None]:
    """Serve the artefact, when it is an image that no registry has; it is compared with its digest first."""
    record = next((path.name for path in artifacts if path.name.endswith(images.RECORD)), "")
    image = images.find(store, f"sha256:{record.removesuffix(images.RECORD)}") if record else None
    if image is None or image.in_registry:
        yield None
        return
    with serving(layout.read(store, image.digest)) as server:
        yield server


def _environment(name: str, root: Path) -> dict[str, str]:
    """Return what the verb is given there: secrets, the caller's choices, and the run it belongs to."""
    values = github.run_environment()
    own = {key: value for key, value in os.environ.items() if key.startswith("KICKOFF_") and value}
    values |= {key: value for key, value in own.items() if key not in _HERE}
    schema, sealed = read_schema(root), Sealed(root, name, os.environ)
    wanted = {*schema.secrets, *secret_source.BESIDE_SCHEMA, "GHCR_TOKEN"}
    with suppress(KickoffError):  # the host itself says what is wrong, and an emergency needs none of it
        wanted |= stack.read(root, name).keys.keys()
    with suppress(KickoffError):
        wanted |= set(service.load(root).environment)
    for key in sorted(wanted):
        if key in _KEYS:
            continue
        known = sealed if key in schema.secrets else None
        value = secret_source.lookup(key, os.environ, known)
        if value:
            values[key] = value
    named = targets.chosen(root, name).variables(root, name)
    values |= {key: os.environ[key] for key in named if os.environ.get(key) and key not in values}
    return values | {HANDED_OVER: "1"}


def _place(root: Path) -> str:
    """Return where the project stands on the host, below the folder that it is sent in."""
    return "/".join(filter(None, (_PROJECT, git.below_top(root))))


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _given(arguments: argparse.Namespace, name: str) -> str:
    return str(getattr(arguments, name, None) or "")


def moved(arguments: argparse.Namespace) -> dict[str, object]:
    """Return the arguments that name a place of this machine, as the host has them."""
    places = {"artifact_directory": Path(_ARTIFACTS), "evidence": None}
    return {name: place for name, place in places.items() if hasattr(arguments, name)}


def _option_value(path: str) -> str:
    """Return a path as ssh reads it in an option, where spaces separate and ``%`` begins a token."""
    return '"' + path.replace("%", "%%") + '"'


def _private(path: Path, text: str) -> str:
    with os.fdopen(
        os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
    ) as stream:
        stream.write(text.rstrip("\n") + "\n")
    return str(path)
