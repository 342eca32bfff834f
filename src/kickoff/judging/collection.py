"""The rules of one environment by name, each as a text: from its values, ``kickoff.yml`` and the scenarios.

A part of a rule is named after it, ``smoke echo · contains``; with the rule its parts come and go.
"""

import hashlib
import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kickoff import service as services
from kickoff.description import FUNCTIONAL, LOAD
from kickoff.environment import schema as schemas
from kickoff.environment import values as convert
from kickoff.environment.loader import inspect
from kickoff.service import HttpCheck, Service

if TYPE_CHECKING:
    from kickoff.performance.scenarios import Catalogue, Effect, Scenario

Rules = Mapping[str, str]
"""Text by rule."""
VERSION = 1
"""Version of the record; one of another is read as none. A new kind of rule raises it."""
PART = " · "
ALLOWANCE = "allowance "
"""Begins the name of what takes a rule back: where it stands, less is judged."""

_EFFECTS = ("p50", "p95", "errors", "tail")
FIGURES: Mapping[str, tuple[str, str]] = {
    "users": ("lower", ""),
    "duration": ("lower", "duration"),
    "requests a second": ("lower", ""),
    "error rate": ("higher", "percent"),
    "response time": ("higher", "duration"),
    "objective mean": ("higher", "duration"),
    "objective p95": ("higher", "duration"),
    "objective error rate": ("higher", "percent"),
    "objective users": ("lower", ""),
    "objective health requests a second": ("lower", ""),
    "pairs a second": ("lower", ""),
    "longest comparison": ("lower", "duration"),
    "false alarms": ("lower", "percent"),
    "power": ("lower", "percent"),
    "noise of two starts": ("higher", "percent"),
    **{f"{name} {size}": ("higher", "percent") for name in _EFFECTS for size in ("margin", "detect")},
    **{f"{n} floor {size}": ("higher", "duration") for n in ("p50", "p95") for size in ("margin", "detect")},
}
"""Each figure of the load test: which of two values judges less (as ``x-weaker`` says it), and its unit."""


def keys() -> Mapping[str, Mapping[str, Any]]:
    """Return the pipeline's keys that a release is judged by, each with its schema."""
    return {key.name: key.rules for key in schemas.parse("").keys.values() if "x-weaker" in key.rules}


def of_project(root: Path, environment: str) -> Rules:
    """Return the rules that the files of a project demand in an environment, without any secret.

    Raises:
        KickoffError: There is no such environment, or a file is wrong (exit 2).
    """
    values = inspect(environment, root, schemas.read(root), with_secrets=False).values
    return collect(values, services.load(root), environment, root)


def collect(values: Mapping[str, str], service: Service, environment: str, root: Path) -> Rules:
    """Return the rules that a release is judged by.

    Args:
        values: The environment's values by key.
        service: The service.
        environment: The environment's name.
        root: The project, whose files hold the load test.

    Raises:
        KickoffError: The load test is demanded, and its scenarios are wrong (exit 2).
    """
    found = {name: values[name] for name in keys() if name in values}
    if after := service.declared(environment).after:
        found["proof"] = f"of {after}"
    found |= {f"freeze {window.text}": "demanded" for window in service.declared(environment).freezes}
    found |= {"health live": service.live_path, "health ready": service.ready_path}
    if service.release_header:
        found["release header"] = service.release_header
    for command in service.quality_gate:
        found[f"quality gate {command.name}"] = shlex.join(command.run)
    found |= _demanded(service, environment, root, values.get("PERF_SCENARIO", ""))
    found |= dict(_requests("smoke", service.smoke))
    found |= dict(_requests("probe", service.probe))
    for status in sorted(service.expected_client_errors):
        found[f"{ALLOWANCE}for client error {status}"] = "given"
    found |= {f"{ALLOWANCE}for {name}": text for name, text in service.accepted.allowances().items()}
    found |= {f"audit {command.name}": shlex.join(command.run) for command in service.audit}
    return found


def record(rules: Rules) -> dict[str, Any]:
    """Return the JSON form."""
    return {"version": VERSION, "rules": dict(rules)}


def recorded(document: object) -> Rules | None:
    """Return the rules in a record; ``None`` where none was made, or by another version of the format."""
    if not isinstance(document, Mapping) or document.get("version") != VERSION:
        return None
    rules = document.get("rules")
    if not isinstance(rules, Mapping):
        return None
    return {str(name): str(text) for name, text in rules.items()}


def _demanded(service: Service, environment: str, root: Path, scenario: str) -> dict[str, str]:
    own = {check.stage: check.command for check in service.checks_in(environment)}
    if service.functional is not None:
        own[FUNCTIONAL] = service.functional.command
    found = {}
    for name in service.checks_for(environment):
        rule = f"check {name}"
        found[rule] = "demanded"
        if name in own:
            found[f"{rule}{PART}runs"] = shlex.join(own[name].run)
        if name == LOAD:
            found |= {
                f"{rule}{PART}{part}": text for part, text in _load(service, environment, root, scenario)
            }
    return found


def _requests(kind: str, checks: Iterable[HttpCheck]) -> Iterator[tuple[str, str]]:
    named: dict[str, int] = {}
    for check in checks:
        named[check.name] = number = named.get(check.name, 0) + 1
        rule = f"{kind} {check.name}" + (f" ({number})" if number > 1 else "")
        body = "" if check.json is None else f" {_compact(check.json)}"
        yield rule, f"{check.method} {check.path}{body}: {check.status}"
        for key, value in (check.expect or {}).items():
            yield f"{rule}{PART}expects {key}", _compact(value)
        if check.contains:
            yield f"{rule}{PART}contains", check.contains


def _load(service: Service, environment: str, root: Path, name: str) -> Iterator[tuple[str, str]]:
    from kickoff.performance import scenarios  # noqa: PLC0415 - loaded where a load test is demanded

    file = root / service.scenarios if service.scenarios else None
    catalogue = scenarios.load(file, environment, service.scenarios)
    scenario = catalogue.get(name)
    for part, value in _figures(catalogue, scenario):
        yield part, convert.render(value, FIGURES[part][1])
    if scenario.mix:
        yield "mix", ", ".join(f"{user} {weight}" for user, weight in scenario.mix.items())
    yield "shape", ", ".join(f"{step.users:.0%} until {step.until:.0%}" for step in scenario.shape)
    for request in service.requests:
        body = "" if request.json is None else f" {_compact(request.json)}"
        asked = f"request {request.method} {request.path}{body}"
        yield asked, f"{request.status}, weight {request.weight}"
    if service.locustfile:
        yield "locustfile", f"{service.locustfile} ({_digest(root / service.locustfile)})"


def _figures(catalogue: "Catalogue", scenario: "Scenario") -> Iterator[tuple[str, float]]:
    """Yield the figures in base units."""
    yield "users", scenario.users
    yield "duration", scenario.duration
    yield "requests a second", scenario.target_rps
    yield "error rate", scenario.max_error_rate
    yield "response time", scenario.max_response_time / 1000
    # They are judged on one scenario alone.
    if (objectives := catalogue.objectives) is not None and objectives.scenario == scenario.name:
        yield "objective mean", objectives.mean / 1000
        yield "objective p95", objectives.p95 / 1000
        yield "objective error rate", objectives.error_rate
        yield "objective users", objectives.concurrent_users
        yield "objective health requests a second", objectives.health_rps
    settings = catalogue.comparison
    yield "pairs a second", settings.pairs_per_second
    yield "longest comparison", settings.max_duration
    yield "false alarms", settings.false_alarm
    yield "power", settings.power
    yield "noise of two starts", settings.instance
    for name in _EFFECTS:
        yield from _effect(name, getattr(settings, name), 1)
    for name, floor in settings.floor.items():
        yield from _effect(f"{name} floor", floor, 1000)


def _effect(name: str, effect: "Effect", scale: float) -> Iterator[tuple[str, float]]:
    yield f"{name} margin", effect.margin / scale
    yield f"{name} detect", effect.detect / scale


def _compact(value: Any) -> str:  # noqa: ANN401 - any JSON
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    except OSError:
        return "missing"
