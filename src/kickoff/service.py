"""``kickoff.yml``: what the pipeline must know of the service it ships."""

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from kickoff import accepted, environments, notices, yaml_lines
from kickoff.accepted import Accepted
from kickoff.description import (
    COMMAND,
    FUNCTIONAL,
    LOAD,
    NO_LOAD,
    NONE,
    SMOKE,
    SSH,
    BuildStep,
    LoadRequest,
    Reader,
    Worker,
    check,
)
from kickoff.environments import DeclaredEnvironment
from kickoff.errors import KickoffError
from kickoff.notices import Notice
from kickoff.yaml_lines import line_of

CONFIG = Path("kickoff.yml")
FORMER = Path("configs/service.yml")
"""Where the description used to be; it is still read there."""
NATIVE = "native"
"""Stands for the platform of the machine that builds."""
EVERYTHING = "."
"""A path of a bundle that stands for all that is committed."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command of the service's own.

    Attributes:
        name: Its name.
        run: The argument vector.
        timeout_seconds: Its time limit.
        environment: Variables it is given.
        prepares: Whether it runs before the other commands of the gate, for what they find in the checkout.
        reuse: Whether its pass counts again for the same content.
    """

    name: str
    run: tuple[str, ...]
    timeout_seconds: int
    environment: tuple[str, ...] = ()
    prepares: bool = False
    reuse: bool = True


@dataclass(frozen=True, slots=True)
class OwnCheck:
    """A command that tests the candidate; ``environments`` is empty when it runs in all of them."""

    command: Command
    environments: tuple[str, ...] = ()

    @property
    def stage(self) -> str:
        """The stage that holds its evidence, where it stands under ``checks:``."""
        return f"check-{self.command.name}"

    def runs_in(self, environment: str) -> bool:
        """Return whether an environment's candidates are tested by it."""
        return not self.environments or environment in self.environments


@dataclass(frozen=True, slots=True)
class HttpCheck:
    """One request and what its answer must be.

    Attributes:
        name: What people read in the report.
        method: HTTP method.
        path: Path and query.
        json: Request body, sent as JSON; ``None`` for no body.
        status: The expected status code.
        expect: Values the JSON answer must hold, by dotted key.
        contains: Text the answer must contain; empty for no such demand.
    """

    name: str
    path: str
    method: str = "GET"
    json: Any = None
    status: int = 200
    expect: Mapping[str, Any] | None = None
    contains: str = ""


@dataclass(frozen=True, slots=True)
class InFlight:
    """The service's own count of requests in flight: a path and a Prometheus gauge."""

    path: str
    metric: str


@dataclass(frozen=True, slots=True)
class ImageSource:
    """The build of the service's image.

    Attributes:
        dockerfile: Path of the Dockerfile.
        paths: Files and folders that it may copy; nothing else reaches the builder.
        repository: Where the image is pushed: registry and name, without tag; empty when not said.
        platforms: What it shall run on, e.g. ``linux/amd64``.
        over_ssh: Whether it goes to the host over SSH, and to no registry.
    """

    dockerfile: str
    paths: tuple[str, ...]
    repository: str
    platforms: tuple[str, ...]
    over_ssh: bool = False


@dataclass(frozen=True, slots=True)
class Service:
    """The validated content of ``kickoff.yml``.

    ``text`` is that content as it was written, and ``source`` the file's name in errors.
    """

    text: str
    source: str
    name: str
    bundle: tuple[str, ...]
    image: ImageSource
    web_command: tuple[str, ...]
    workers: Mapping[str, Worker]
    live_path: str
    ready_path: str
    release_header: str
    check_headers: Mapping[str, str]
    expected_client_errors: frozenset[int]
    required_checks: tuple[str, ...]
    required_checks_in: Mapping[str, tuple[str, ...]]
    smoke: tuple[HttpCheck, ...]
    probe: tuple[HttpCheck, ...]
    quality_gate: tuple[Command, ...]
    audit: tuple[Command, ...]
    accepted: Accepted
    functional: OwnCheck | None
    checks: tuple[OwnCheck, ...]
    requirements: str
    pre_deploy: tuple[str, ...]
    schema_revision: tuple[str, ...]
    database_revision: tuple[str, ...]
    in_flight: InFlight | None
    build: tuple[BuildStep, ...]
    environment: tuple[str, ...]
    load: bool
    requests: tuple[LoadRequest, ...]
    locustfile: str
    load_environment: tuple[str, ...]
    scenarios: str
    migrations: str
    openapi: str
    environments: tuple[DeclaredEnvironment, ...]
    notices: tuple[Notice, ...]

    def declared(self, environment: str) -> DeclaredEnvironment:
        """Return an environment's declaration; one that nothing reaches by itself when there is none."""
        found = (one for one in self.environments if one.name == environment)
        return next(found, DeclaredEnvironment(environment))

    def at(self, *path: str | int) -> str:
        """Return file and line of an entry, or of its nearest existing parent, for errors."""
        return Reader(self.text, self.source).at(*path)

    @property
    def command_at(self) -> str:
        """File and line of the start command, which stands in one of two places."""
        return f"{self.source}:{max(line_of(self.text, path) for path in COMMAND)}"

    @property
    def no_load(self) -> str:
        """Why there is no load test; empty when there may be one."""
        return "" if self.load else f"no load test ({NO_LOAD} in {self.source})"

    def checks_for(self, environment: str) -> tuple[str, ...]:
        """Return the checks that must have passed before a promotion in ``environment``."""
        named = [*self.required_checks, *self.required_checks_in.get(environment, ())]
        named += self.declared(environment).required_checks
        if self.functional is not None and environment in self.functional.environments:
            named.append(FUNCTIONAL)
        return tuple(dict.fromkeys([*named, *(check.stage for check in self.checks_in(environment))]))

    def load_requests(self) -> tuple[LoadRequest, ...]:
        """Return the requests of a load test without a locustfile.

        Where the description names none, they are those of its checks that change nothing, each path once.
        """
        asked = (HttpCheck(name="ready", path=self.ready_path), *self.probe, *self.smoke)
        harmless = {
            check.path: LoadRequest(check.path, status=check.status)
            for check in asked
            if check.method == "GET" and check.status < 400
        }
        return self.requests or tuple(harmless.values())

    def checks_in(self, environment: str) -> tuple[OwnCheck, ...]:
        """Return the service's own checks of a candidate in ``environment``."""
        return tuple(check for check in self.checks if check.runs_in(environment))


def described_in(root: Path) -> Path:
    """Return the path of the description, relative to the project at ``root``; the file may be missing.

    Raises:
        KickoffError: There are two (exit 2).
    """
    if not (root / FORMER).is_file():
        return CONFIG
    if (root / CONFIG).is_file():
        raise KickoffError(
            f"{CONFIG} and {FORMER} both describe the service",
            at=str(FORMER),
            hint=f"keep one: git rm {FORMER}",
        )
    _tell_former()
    return FORMER


def is_described(root: Path) -> bool:
    """Tell whether the project at ``root`` has a description."""
    return any((root / path).is_file() for path in (CONFIG, FORMER))


@cache
def _tell_former() -> None:
    sys.stderr.write(f"hint: {CONFIG} has taken the place of {FORMER}: git mv {FORMER} {CONFIG}\n")


def load(root: Path) -> Service:
    """Read and check the service description of the project at ``root``.

    Raises:
        KickoffError: The file is missing, is there twice, is not YAML, or breaks the schema; names the line.
    """
    return parse(*read(root))


def name_of(root: Path) -> str:
    """Return the name in the service description of the project at ``root``; the rest may be wrong.

    Raises:
        KickoffError: The file is missing, or has no line with the name and breaks the schema.
    """
    text, source = read(root)
    found = re.search(r"""^name: *(["']?)([a-z][a-z0-9-]{0,39})\1 *(#.*)?$""", text, re.MULTILINE)
    return found[2] if found else parse(text, source).name


def read(root: Path) -> tuple[str, str]:
    """Return the description's text and its path in the project.

    Raises:
        KickoffError: The file is missing, is there twice, or cannot be read (exit 2).
    """
    path = described_in(root)
    try:
        return (root / path).read_text(encoding="utf-8"), str(path)
    except FileNotFoundError:
        raise KickoffError(
            f"{CONFIG} is missing",
            at=str(root / path),
            hint="describe your service there: `name`, `run` and `health` are enough; "
            "docs/reference/service.md lists every key",
        ) from None
    except UnicodeDecodeError as error:
        raise KickoffError(f"{path} cannot be read: {error}", at=str(path), hint="save it as UTF-8") from None


@cache
def parse(text: str, source: str, *, recorded: bool = False) -> Service:
    """Check a service description given as YAML text, and return it.

    Args:
        text: The YAML.
        source: Its name in errors.
        recorded: Whether it was found good when it was recorded, and needs no second check.

    Raises:
        KickoffError: The text is not YAML or breaks the schema.
    """
    document, reader = yaml_lines.load(text, source), Reader(text, source)
    if not recorded:
        check(reader, document)
    hooks = document.get("hooks", {})
    live, ready = _health(document["health"])
    asked = HttpCheck(name="ready", path=ready)
    bundle = tuple(document.get("bundle", (EVERYTHING,)))
    performance, further = document.get("performance", {}), document.get("required_checks_in", {})
    header, load = document.get("release_header", "X-Release"), document.get("load") != NONE
    declared = environments.parse(document.get(environments.KEY), text, source)
    return Service(
        text=text,
        source=source,
        name=document["name"],
        bundle=bundle,
        image=_image(document.get("image", {}), bundle),
        web_command=reader.command(document),
        workers=reader.workers(document),
        live_path=live,
        ready_path=ready,
        release_header="" if header == NONE else header,
        check_headers=document.get("check_headers", {}),
        expected_client_errors=frozenset(document.get("expected_client_errors", ())),
        required_checks=tuple(document.get("required_checks", (SMOKE, LOAD) if load else (SMOKE,))),
        required_checks_in={one: tuple(checks) for one, checks in further.items()},
        smoke=_requests(document.get("smoke", []), asked),
        probe=_requests(document.get("probe", []), asked),
        quality_gate=_commands(reader, document, "quality_gate"),
        audit=_commands(reader, document, accepted.KEY, "audit"),
        accepted=accepted.read(reader, document),
        functional=_own(reader, document["functional"], "functional") if "functional" in document else None,
        checks=_own_checks(reader, document),
        requirements=document.get("requirements", ""),
        pre_deploy=_hook(reader, hooks, "pre_deploy"),
        schema_revision=_hook(reader, hooks, "schema_revision"),
        database_revision=_hook(reader, hooks, "database_revision"),
        in_flight=InFlight(**document["in_flight"]) if "in_flight" in document else None,
        load_environment=tuple(performance.get("environment", ())),
        build=reader.build(document),
        environment=tuple(document.get("environment", ())),
        load=load,
        requests=tuple(LoadRequest(**entry) for entry in document.get("load", ()) if load),
        locustfile=performance.get("locustfile", ""),
        scenarios=performance.get("scenarios", ""),
        migrations=document.get("migrations", ""),
        openapi=document.get("openapi", ""),
        environments=declared,
        notices=notices.read(reader, document, [one.name for one in declared]),
    )


def _health(given: str | Mapping[str, str]) -> tuple[str, str]:
    """Return the paths that tell whether a process is alive, and whether it may have traffic."""
    return (given, given) if isinstance(given, str) else (given["live"], given["ready"])


def _requests(entries: Sequence[Mapping[str, Any]], default: HttpCheck) -> tuple[HttpCheck, ...]:
    return tuple(HttpCheck(**entry) for entry in entries) or (default,)


def _commands(reader: Reader, document: Mapping[str, Any], *path: str) -> tuple[Command, ...]:
    *within, key = path
    for name in within:
        document = document.get(name, {})
    return tuple(_command(reader, entry, *path, index) for index, entry in enumerate(document.get(key, [])))


def _command(reader: Reader, entry: Mapping[str, Any], *path: str | int) -> Command:
    return Command(
        entry["name"],
        reader.argv(entry["run"], *path, "run"),
        entry.get("timeout_seconds", 600),
        tuple(entry.get("environment", ())),
        entry.get("prepares", False),
        entry.get("reuse", True),
    )


def _own_checks(reader: Reader, document: Mapping[str, Any]) -> tuple[OwnCheck, ...]:
    return tuple(
        _own(reader, entry, "checks", place) for place, entry in enumerate(document.get("checks", []))
    )


def _own(reader: Reader, entry: Mapping[str, Any], *path: str | int) -> OwnCheck:
    return OwnCheck(_command(reader, entry, *path), tuple(entry.get("in", ())))


def _hook(reader: Reader, hooks: Mapping[str, Any], name: str) -> tuple[str, ...]:
    return reader.argv(hooks[name], "hooks", name) if name in hooks else ()


def _image(entry: Mapping[str, Any], bundle: Sequence[str]) -> ImageSource:
    return ImageSource(
        dockerfile=entry.get("dockerfile", "Dockerfile"),
        paths=tuple(entry.get("paths", bundle)),
        repository=entry.get("repository", ""),
        platforms=tuple(entry.get("platforms", (NATIVE,))),
        over_ssh=entry.get("transport") == SSH,
    )
