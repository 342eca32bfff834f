"""What a host needs before its stack of containers comes up: secrets, thresholds, variables, the network.

Preparing again changes nothing that is there: secrets are made once, and what was given stays what was given.
"""

import json
import os
import re
import secrets
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

import yaml
from dotenv import dotenv_values

from kickoff import masking
from kickoff.environment import secret_source
from kickoff.environment.expansion import ExpansionError
from kickoff.environment.export import compose as compose_format
from kickoff.environment.loader import load
from kickoff.environment.model import Environment
from kickoff.environment.sealed import Sealed
from kickoff.errors import ExitCode, KickoffError
from kickoff.places import public_port, state_root
from kickoff.service import load as load_service
from kickoff.stack.changes import Stack
from kickoff.stack.compose import compose_files

STACKS = ("staging", "production")
"""Stacks with databases, caches and alerts of their own, whose secrets are made here."""
NETWORK = "football-frontend"
# What an alert rule compares with, and the key of the environment that holds the limit.
THRESHOLDS = {
    "kickoff:error_rate_threshold:ratio": "ERROR_RATE_THRESHOLD",
    "kickoff:response_time_threshold:seconds": "RESPONSE_TIME_THRESHOLD",
    "kickoff:memory_usage_threshold:ratio": "MEMORY_USAGE_THRESHOLD",
    "kickoff:cpu_usage_threshold:ratio": "CPU_USAGE_THRESHOLD",
}
# How the service reaches the servers of each stack; {} is the password.
_ADDRESSES = {
    "staging": {
        "DATABASE_URL": "postgresql+psycopg://football:{}@postgres:5432/football",
        "REDIS_URL": "redis://:{}@redis:6379/0",
    },
    "production": {
        "DATABASE_URL": "postgresql+psycopg://football:{}@/football"
        "?host=postgres:5432&host=postgres-replica:5432",
        "REDIS_URL": "redis://:{}@redis-cluster:6379?cluster=true",
    },
}
_GIVEN = {"API_KEY": "api_key", "DATABASE_URL": "database_url", "REDIS_URL": "redis_url"}
_MADE = (
    "postgres_password",
    "postgres_monitor_password",
    "postgres_replication_password",
    "grafana_admin_password",
)
_WEBHOOK = "ALERT_WEBHOOK_URL"
_VARIABLE = re.compile(r"\$\{([A-Z][A-Z0-9_]*)")


@dataclass(frozen=True, slots=True)
class Prepared:
    """What :func:`prepare` did.

    Attributes:
        folder: Where secrets and rendered files are.
        made: Names of the secrets made now; those that were there are not named.
    """

    folder: Path
    made: list[str]


def folder_of(name: str, root: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of a stack's secrets and files, in the state folder of its environment."""
    return state_root(load_service(root).name, name, environ) / "stack"


def sources(name: str, root: Path, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return ``environ`` with each secret that was made here as ``KEY_FILE``, unless it is given anyhow."""
    folder = folder_of(name, root, environ) / "secrets"
    held = {f"{key}_FILE": str(folder / file) for key, file in _GIVEN.items() if (folder / file).is_file()}
    given = {f"{key}_FILE" for key in _GIVEN if environ.get(key) or environ.get(f"{key}_FILE")}
    return dict(environ) | {key: path for key, path in held.items() if key not in given}


def prepare(name: str, root: Path, environ: Mapping[str, str] = os.environ) -> Prepared:
    """Make everything that ``docker compose up`` expects to find, except the network.

    Args:
        name: The environment.
        root: The project's folder.
        environ: The process environment; secrets come from ``KEY`` or ``KEY_FILE`` there, and it may set
            the other variables that the compose files name. What it set once is kept.

    Raises:
        KickoffError: There is no such stack, a secret is missing, or one differs from the secret that the
            stack was made with (exit code 2).
    """
    compose_files(root, name)  # there must be some
    folder = folder_of(name, root, environ)
    held = _Held(folder / "secrets")
    made = _secrets(name, root, environ, held) if name in STACKS else {}
    # The order matters: nothing is written before everything that was given has been checked.
    held.folder.mkdir(parents=True, exist_ok=True)
    for private in (folder.parent, folder):
        private.chmod(0o700)
    for secret, value in made.items():
        held.set(secret, value)
    bare = {key: value for key, value in environ.items() if key not in _GIVEN or not made}
    environment = load(name, root, sources(name, root, bare))
    write(folder / "thresholds.yml", thresholds(environment))
    shown = {key: value for key, value in environment.values.items() if key not in environment.secrets}
    shown["PUBLIC_PORT"] = str(public_port(environment.integer("PUBLIC_PORT"), environ))
    known = dotenv_values(folder / "compose.env", interpolate=False)
    for variable in variables(root, name) - set(environment.values):
        value = environ.get(variable) or known.get(variable) or ""
        if value and not variable.startswith("KICKOFF_"):
            shown[variable] = value
    routes = _routes(folder)
    routes.mkdir(parents=True, exist_ok=True)
    routes.chmod(0o755)  # Traefik runs as another user; the state folder keeps other users of the host out
    own = {"KICKOFF_STACK_DIR": str(folder), "KICKOFF_ROUTE_DIR": str(routes)}
    write(folder / "compose.env", compose_format(shown | own))
    return Prepared(folder, sorted(held.made))


def _secrets(name: str, root: Path, environ: Mapping[str, str], held: "_Held") -> dict[str, str]:
    """Return every secret of a stack: as given, as it was, or made now."""
    given = {key: _lookup(key, name, root, environ) for key in (*_GIVEN, _WEBHOOK)}
    webhook = given[_WEBHOOK] or held.get("alert_webhook_url")
    if not webhook:
        raise KickoffError(
            f"{_WEBHOOK} is not set, so no alert would reach anybody",
            hint=f"export {_WEBHOOK} or {_WEBHOOK}_FILE: the address that Alertmanager posts to",
        )
    database = _address("DATABASE_URL", given["DATABASE_URL"], held, _ADDRESSES[name]["DATABASE_URL"])
    redis = _address("REDIS_URL", given["REDIS_URL"], held, _ADDRESSES[name]["REDIS_URL"])
    return {
        "alert_webhook_url": webhook,
        "api_key": given["API_KEY"] or held.get("api_key") or secrets.token_hex(24),
        "database_url": database,
        "postgres_app_password": _password(database),
        "redis_url": redis,
        "redis_password": _password(redis),
        "redis_passwords": _exporter_passwords(root, name, _password(redis)),
        **{secret: held.get(secret) or secrets.token_hex(24) for secret in _MADE},
    }


def variables(root: Path, name: str) -> set[str]:
    """Return the variables that a stack's compose files name."""
    files = compose_files(root, name)
    return {variable for path in files for variable in _VARIABLE.findall((root / path).read_text("utf-8"))}


def open_stack(name: str, root: Path, environ: Mapping[str, str] = os.environ) -> Stack:
    """Return the stack of an environment that was prepared on this host.

    Raises:
        KickoffError: It was not (exit code 2).
    """
    folder = folder_of(name, root, environ)
    if not (folder / "compose.env").is_file():
        raise KickoffError(
            f"this host was not prepared for {name} yet",
            at=str(folder),
            hint=f"`kickoff stack prepare --env {name}`; the first release does it, too",
        )
    masking.hide(*(path.read_text("utf-8") for path in (folder / "secrets").glob("*")))
    return Stack(root, name, folder, _routes(folder))


def _routes(folder: Path) -> Path:
    """Return the folder that Traefik watches, where the release engine looks for it."""
    return folder.parent / "traefik" / "dynamic"


def thresholds(environment: Environment) -> str:
    """Return recording rules that give the alert rules the environment's limits, in base units."""
    readers = {True: environment.seconds, False: environment.fraction}
    rules = [
        {"record": record, "expr": f"vector({readers[record.endswith(':seconds')](key):g})"}
        for record, key in THRESHOLDS.items()
    ]
    return yaml.safe_dump({"groups": [{"name": "thresholds", "rules": rules}]}, sort_keys=False)


def ensure_network() -> bool:
    """Create the frontend network unless it is there; return whether it was created.

    Raises:
        KickoffError: Docker is missing or refuses (exit code 4).
    """
    if _docker("network", "inspect", NETWORK).returncode == 0:
        return False
    created = _docker("network", "create", NETWORK)
    if created.returncode != 0:
        last = created.stderr.strip().splitlines() or ["no message"]
        raise KickoffError(
            f"the network {NETWORK} cannot be created",
            code=ExitCode.UNREACHABLE,
            causes=[last[-1]],
            hint="start the Docker engine, or give this user access to it",
        )
    return True


def write(path: Path, text: str, mode: int = 0o444) -> None:
    """Write a file at once. The folder keeps other users of the host out; containers run as other users."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(
        os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
    ) as stream:
        stream.write(text)
    temporary.chmod(mode)
    temporary.replace(path)


class _Held:
    """The secrets on this host, one file each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: list[str] = []

    def get(self, name: str) -> str:
        try:
            return (self.folder / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""

    def set(self, name: str, value: str) -> None:
        masking.hide(value)
        before = self.get(name)
        if before == value:
            return
        if not before:
            self.made.append(name)
        write(self.folder / name, value)


def _lookup(key: str, name: str, root: Path, environ: Mapping[str, str]) -> str:
    sealed = Sealed(root, name, environ) if key in _GIVEN else None
    try:
        return secret_source.lookup(key, environ, sealed) or ""
    except ExpansionError as error:
        raise KickoffError(f"{key} cannot be read: {error}") from None


def _address(key: str, given: str, held: _Held, form: str) -> str:
    """Return the address of the stack's servers: as given, as it was, or with a new password."""
    before = held.get(key.lower())
    value = given or before or form.format(secrets.token_hex(24))
    password = urlsplit(value).password
    if not password or value != form.format(password):
        raise KickoffError(
            f"{key} does not lead to this stack's server with a password",
            hint=f"write it as {form.format('PASSWORD')}, or unset it to have a password made",
        )
    if before and value != before:
        raise KickoffError(
            f"{key} differs from the one this stack was made with, which its server still expects",
            at=str(held.folder / key.lower()),
            hint="unset it; to change a password, change it on the server, then in that folder",
        )
    return value


def _password(url: str) -> str:
    password = urlsplit(url).password or ""
    if quote(password, safe="") != password:
        raise KickoffError(
            "a password in DATABASE_URL or REDIS_URL has characters that an address must escape",
            hint="use letters and digits, e.g. from `openssl rand -hex 24`",
        )
    return password


def _exporter_passwords(root: Path, name: str, password: str) -> str:
    targets = yaml.safe_load(
        (root / "configs" / "prometheus" / "targets" / name / "redis.yml").read_text(encoding="utf-8")
    )
    return json.dumps({target: password for group in targets for target in group["targets"]})


def _docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["docker", *arguments],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=60,
            check=False,
        )
    except FileNotFoundError:
        raise KickoffError(
            "docker is not installed here",
            code=ExitCode.UNREACHABLE,
            hint="install Docker Engine 28 or newer",
        ) from None
