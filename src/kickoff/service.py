"""``configs/service.yml``: what the pipeline must know of the service it ships."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from kickoff.errors import KickoffError
from kickoff.yaml_lines import line_of

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

CONFIG = Path("configs/service.yml")
FUNCTIONAL = "functional-candidate"
"""Stage of the functional test."""


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
    """

    dockerfile: str
    paths: tuple[str, ...]
    repository: str
    platforms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Service:
    """The validated content of ``configs/service.yml``."""

    name: str
    bundle: tuple[str, ...]
    image: ImageSource
    web_command: tuple[str, ...]
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
    locustfile: str
    load_environment: tuple[str, ...]
    scenarios: str

    def checks_for(self, environment: str) -> tuple[str, ...]:
        """Return the checks that must have passed before a promotion in ``environment``."""
        named = [*self.required_checks, *self.required_checks_in.get(environment, ())]
        if self.functional is not None and environment in self.functional.environments:
            named.append(FUNCTIONAL)
        return tuple(dict.fromkeys([*named, *(check.stage for check in self.checks_in(environment))]))

    def checks_in(self, environment: str) -> tuple[OwnCheck, ...]:
        """Return the service's own checks of a candidate in ``environment``."""
        return tuple(check for check in self.checks if check.runs_in(environment))


def load(root: Path) -> Service:
    """Read and check the service description of the project at ``root``.

    Raises:
        KickoffError: The file is missing, is not YAML, or breaks the schema; names file and line.
    """
    return parse(_text(root), str(CONFIG))


def name_of(root: Path) -> str:
    """Return the name in the service description of the project at ``root``; the rest may be wrong.

    Raises:
        KickoffError: The file is missing, or has no line with the name and breaks the schema.
    """
    text = _text(root)
    found = re.search(r"""^name: *(["']?)([a-z][a-z0-9-]{0,39})\1 *(#.*)?$""", text, re.MULTILINE)
    return found[2] if found else parse(text, str(CONFIG)).name


def _text(root: Path) -> str:
    path = root / CONFIG
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise KickoffError(
            f"{CONFIG} is missing",
            at=str(path),
            hint="describe your service there; docs/reference/service.md lists every key",
        ) from None


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
    try:
        document = yaml.load(text, yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise KickoffError(f"{source} is not YAML: {error.problem}", at=f"{source}:{line}") from None
    if not recorded:
        _check(text, document, source)
    hooks = document.get("hooks", {})
    performance = document.get("performance", {})
    smoke = tuple(HttpCheck(**check) for check in document["smoke"])
    return Service(
        name=document["name"],
        bundle=tuple(document["bundle"]),
        image=_image(document.get("image", {}), document["bundle"]),
        web_command=tuple(document["processes"]["web"]["command"]),
        live_path=document["health"]["live"],
        ready_path=document["health"]["ready"],
        release_header=document.get("release_header", "X-Release"),
        check_headers=document.get("check_headers", {}),
        expected_client_errors=frozenset(document.get("expected_client_errors", ())),
        required_checks=tuple(document["required_checks"]),
        required_checks_in={
            name: tuple(checks) for name, checks in document.get("required_checks_in", {}).items()
        },
        smoke=smoke,
        probe=tuple(HttpCheck(**check) for check in document.get("probe", []))
        or (HttpCheck(name="ready", path=document["health"]["ready"]),),
        quality_gate=tuple(_command(entry) for entry in document.get("quality_gate", [])),
        functional=_own(document["functional"]) if "functional" in document else None,
        checks=tuple(_own(entry) for entry in document.get("checks", [])),
        requirements=document.get("requirements", ""),
        pre_deploy=tuple(hooks.get("pre_deploy", ())),
        schema_revision=tuple(hooks.get("schema_revision", ())),
        database_revision=tuple(hooks.get("database_revision", ())),
        in_flight=InFlight(**document["in_flight"]) if "in_flight" in document else None,
        load_environment=tuple(performance.get("environment", ())),
        locustfile=performance.get("locustfile", "tests/performance/locustfile.py"),
        scenarios=performance.get("scenarios", "configs/performance/scenarios.yml"),
    )


def _check(text: str, document: Any, source: str) -> None:  # noqa: ANN401 - any YAML
    problem = next(iter(sorted(_validator().iter_errors(document), key=lambda e: e.json_path)), None)
    if problem is not None:
        raise KickoffError(
            f"{problem.json_path}: {problem.message}",
            at=f"{source}:{line_of(text, list(problem.absolute_path))}",
            hint="docs/reference/service.md lists every key with its type",
        )
    _agree(text, document, source)


def _agree(text: str, document: Mapping[str, Any], source: str) -> None:
    """Refuse a functional test that is demanded where it does not run: nothing could be promoted there."""
    runs = document.get("functional", {}).get("in", [])
    demanded = {FUNCTIONAL: "every environment"} if FUNCTIONAL in document["required_checks"] else {}
    for environment, checks in document.get("required_checks_in", {}).items():
        if FUNCTIONAL in checks and environment not in runs:
            demanded[FUNCTIONAL] = environment
    if demanded and runs:
        raise KickoffError(
            f"{FUNCTIONAL} is required in {demanded[FUNCTIONAL]}, and the functional test runs in "
            f"{', '.join(runs)} alone",
            at=f"{source}:{line_of(text, ['functional', 'in'])}",
            hint="name the environments in one place: `in:` of the functional test makes it required there",
        )


def _image(entry: Mapping[str, Any], bundle: Sequence[str]) -> ImageSource:
    return ImageSource(
        dockerfile=entry.get("dockerfile", "Dockerfile"),
        paths=tuple(entry.get("paths", bundle)),
        repository=entry.get("repository", ""),
        platforms=tuple(entry.get("platforms", ("linux/amd64", "linux/arm64"))),
    )


def _own(entry: Mapping[str, Any]) -> OwnCheck:
    return OwnCheck(_command(entry), tuple(entry.get("in", ())))


def _command(entry: Mapping[str, Any]) -> Command:
    return Command(
        entry["name"],
        tuple(entry["run"]),
        entry.get("timeout_seconds", 600),
        tuple(entry.get("environment", ())),
        entry.get("prepares", False),
        entry.get("reuse", True),
    )


@cache
def _validator() -> "Draft202012Validator":
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - loaded where something is checked

    return Draft202012Validator(
        json.loads(files("kickoff").joinpath("service.schema.json").read_text("utf-8"))
    )
