"""``kickoff.yml``: what the pipeline must know of the service it ships."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from kickoff import environments
from kickoff.description import COMMAND, Reader, Worker
from kickoff.environments import DeclaredEnvironment
from kickoff.errors import KickoffError
from kickoff.yaml_lines import line_of

CONFIG = Path("kickoff.yml")
FORMER = Path("configs/service.yml")
"""Where the description used to be; it is still read there."""
EVERYTHING = "."
"""A path of a bundle that stands for all that is committed."""
NONE = "none"
"""The value that switches a part off."""
NO_LOAD = f"load: {NONE}"
SMOKE, FUNCTIONAL, LOAD = "smoke-candidate", "functional-candidate", "perf-baseline"
"""Stages of the checks that every service may have."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command of the service's own: name, argument vector, time limit in seconds, variables it is given."""

    name: str
    run: tuple[str, ...]
    timeout_seconds: int
    environment: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BuildStep:
    """A command of the build: argument vector, what it leaves for the artefact, time limit, file and line."""

    run: tuple[str, ...]
    outputs: tuple[str, ...]
    timeout_seconds: int
    at: str


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
    """

    dockerfile: str
    paths: tuple[str, ...]
    repository: str
    platforms: tuple[str, ...]


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
    locustfile: str
    load_environment: tuple[str, ...]
    scenarios: str
    environments: tuple[DeclaredEnvironment, ...]

    def declared(self, environment: str) -> DeclaredEnvironment:
        """Return an environment's declaration; one that nothing reaches by itself when there is none."""
        found = (one for one in self.environments if one.name == environment)
        return next(found, DeclaredEnvironment(environment))

    def at(self, *path: str) -> str:
        """Return file and line of an entry, or of its nearest existing parent, for errors."""
        return f"{self.source}:{line_of(self.text, path)}"

    @property
    def command_at(self) -> str:
        """File and line of the start command, which stands in one of two places."""
        return f"{self.source}:{max(line_of(self.text, path) for path in COMMAND)}"

    def checks_for(self, environment: str) -> tuple[str, ...]:
        """Return the checks that must have passed before a promotion in ``environment``."""
        named = [*self.required_checks, *self.required_checks_in.get(environment, ())]
        named += self.declared(environment).required_checks
        if self.functional is not None and environment in self.functional.environments:
            named.append(FUNCTIONAL)
        return tuple(dict.fromkeys([*named, *(check.stage for check in self.checks_in(environment))]))

    def load_requests(self) -> tuple[HttpCheck, ...]:
        """Return the requests of a load test without a locustfile, each path once; they change nothing."""
        asked = (HttpCheck(name="ready", path=self.ready_path), *self.probe, *self.smoke)
        wanted = {check.path: check for check in asked if check.method == "GET" and check.status < 400}
        return tuple(wanted.values())

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
    path = described_in(root)
    try:
        text = (root / path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise KickoffError(
            f"{CONFIG} is missing",
            at=str(root / path),
            hint="describe your service there: `name`, `run` and `health` are enough; "
            "docs/reference/service.md lists every key",
        ) from None
    return parse(text, str(path))


def parse(text: str, source: str) -> Service:
    """Check a service description given as YAML text; ``source`` names it in errors.

    Raises:
        KickoffError: The text is not YAML or breaks the schema.
    """
    try:
        document = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise KickoffError(f"{source} is not YAML: {error.problem}", at=f"{source}:{line}") from None
    reader = Reader(text, source)
    problem = next(iter(sorted(_validator().iter_errors(document), key=lambda e: e.json_path)), None)
    if problem is not None:
        raise reader.problem(problem)
    _agree(reader, document)
    hooks = document.get("hooks", {})
    health = document["health"]
    live, ready = (health, health) if isinstance(health, str) else (health["live"], health["ready"])
    asked = HttpCheck(name="ready", path=ready)
    bundle = tuple(document.get("bundle", (EVERYTHING,)))
    performance = document.get("performance", {})
    header = document.get("release_header", "X-Release")
    load = document.get("load") != NONE
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
        required_checks_in={
            name: tuple(checks) for name, checks in document.get("required_checks_in", {}).items()
        },
        smoke=tuple(HttpCheck(**check) for check in document.get("smoke", [])) or (asked,),
        probe=tuple(HttpCheck(**check) for check in document.get("probe", [])) or (asked,),
        quality_gate=_commands(reader, document, "quality_gate"),
        functional=_own(reader, document["functional"], "functional") if "functional" in document else None,
        checks=tuple(
            _own(reader, entry, "checks", index) for index, entry in enumerate(document.get("checks", []))
        ),
        requirements=document.get("requirements", ""),
        pre_deploy=_hook(reader, hooks, "pre_deploy"),
        schema_revision=_hook(reader, hooks, "schema_revision"),
        database_revision=_hook(reader, hooks, "database_revision"),
        in_flight=InFlight(**document["in_flight"]) if "in_flight" in document else None,
        load_environment=tuple(performance.get("environment", ())),
        build=_build(reader, document.get("build", [])),
        environment=tuple(document.get("environment", ())),
        load=load,
        locustfile=performance.get("locustfile", ""),
        scenarios=performance.get("scenarios", ""),
        environments=environments.parse(document.get(environments.KEY), text, source),
    )


def _commands(reader: Reader, document: Mapping[str, Any], key: str) -> tuple[Command, ...]:
    return tuple(_command(reader, entry, key, index) for index, entry in enumerate(document.get(key, [])))


def _command(reader: Reader, entry: Mapping[str, Any], *path: str | int) -> Command:
    return Command(
        entry["name"],
        reader.argv(entry["run"], *path, "run"),
        entry.get("timeout_seconds", 600),
        tuple(entry.get("environment", ())),
    )


def _own(reader: Reader, entry: Mapping[str, Any], *path: str | int) -> OwnCheck:
    return OwnCheck(_command(reader, entry, *path), tuple(entry.get("in", ())))


def _build(reader: Reader, entries: Sequence[Any]) -> tuple[BuildStep, ...]:
    steps = []
    for index, entry in enumerate(entries):
        given = entry if isinstance(entry, dict) else {"run": entry}
        steps.append(
            BuildStep(
                run=reader.argv(given["run"], "build", index),
                outputs=tuple(output.rstrip("/") for output in given.get("outputs", ())),
                timeout_seconds=given.get("timeout_seconds", 1800),
                at=reader.at("build", index),
            )
        )
    if steps and not any(step.outputs for step in steps):
        hint = "name what goes into the artefact: `- {run: npm run build, outputs: [dist]}`"
        raise reader.error("the build names no `outputs`, so nothing of it would ship", "build", hint=hint)
    return tuple(steps)


def _hook(reader: Reader, hooks: Mapping[str, Any], name: str) -> tuple[str, ...]:
    return reader.argv(hooks[name], "hooks", name) if name in hooks else ()


def _agree(reader: Reader, document: Mapping[str, Any]) -> None:
    """Refuse a check that is demanded where it does not run: nothing could be promoted there."""
    _demand_no_load(reader, document)
    runs = document.get("functional", {}).get("in", [])
    demanded = {FUNCTIONAL: "every environment"} if FUNCTIONAL in document.get("required_checks", ()) else {}
    declared = document.get(environments.KEY, {}).items()
    further = [(name, (entry or {}).get("required_checks", ())) for name, entry in declared]
    for environment, checks in (*document.get("required_checks_in", {}).items(), *further):
        if FUNCTIONAL in checks and environment not in runs:
            demanded[FUNCTIONAL] = environment
    if demanded and runs:
        raise reader.error(
            f"{FUNCTIONAL} is required in {demanded[FUNCTIONAL]}, and the functional test runs in "
            f"{', '.join(runs)} alone",
            "functional", "in",
            hint="name the environments in one place: `in:` of the functional test makes it required there",
        )  # fmt: skip


def _demand_no_load(reader: Reader, document: Mapping[str, Any]) -> None:
    if document.get("load") != NONE:
        return
    hint = f"take {LOAD} out, or remove `{NO_LOAD}`"
    message = f"{LOAD} is required, and `{NO_LOAD}` switches it off"
    if LOAD in document.get("required_checks", ()):
        raise reader.error(message, "required_checks", hint=hint)
    for name, checks in document.get("required_checks_in", {}).items():
        if LOAD in checks:
            raise reader.error(message, "required_checks_in", name, hint=hint)


def _image(entry: Mapping[str, Any], bundle: Sequence[str]) -> ImageSource:
    return ImageSource(
        dockerfile=entry.get("dockerfile", "Dockerfile"),
        paths=tuple(entry.get("paths", bundle)),
        repository=entry.get("repository", ""),
        platforms=tuple(entry.get("platforms", ("linux/amd64", "linux/arm64"))),
    )


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(
        json.loads(files("kickoff").joinpath("service.schema.json").read_text("utf-8"))
    )
