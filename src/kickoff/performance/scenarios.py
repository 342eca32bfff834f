"""The load scenarios and the comparison's settings: the package's own, and what a service's file changes."""

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from kickoff.errors import KickoffError
from kickoff.yaml_lines import line_of

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0}
_DEFAULTS = "defaults.yml"
_HINT = "docs/reference/performance.md lists every key with its unit"


@dataclass(frozen=True, slots=True)
class Step:
    """A part of a run.

    Attributes:
        until: Its end, as a fraction of the duration.
        users: The fraction of the users that are active in it.
    """

    until: float
    users: float


@dataclass(frozen=True, slots=True)
class Scenario:
    """One load scenario.

    Attributes:
        name: Its key in the file.
        description: What it stands for.
        users: Concurrent users at the peak.
        duration: Length in seconds.
        target_rps: Requests a second at the peak; 0 when the users bring their own think time.
        max_error_rate: Highest tolerated share of failed requests.
        max_response_time: Highest tolerated p95 of any endpoint, in milliseconds.
        mix: User classes of the locustfile and their weights; empty for all of them alike.
        shape: The parts of the run, in order; the last ends at 1.
    """

    name: str
    description: str
    users: int
    duration: float
    target_rps: float
    max_error_rate: float
    max_response_time: float
    mix: Mapping[str, int]
    shape: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Objectives:
    """Baseline objectives: times in milliseconds, rates as fractions or per second.

    ``health`` holds the paths whose requests count as health checks; empty for those of the service's
    description.
    """

    scenario: str
    mean: float
    p95: float
    error_rate: float
    health_rps: float
    concurrent_users: int
    health: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Effect:
    """Sizes of an effect, as fractions (milliseconds for the floor).

    Attributes:
        margin: Effects up to this never fail, however certain they are.
        detect: Effects of this size must be visible, or the comparison is inconclusive.
    """

    margin: float
    detect: float


@dataclass(frozen=True, slots=True)
class ComparisonSettings:
    """The settings of the comparison of candidate and live.

    Attributes:
        pairs_per_second: Upper bound of the pairs sent per second.
        max_duration: Upper bound of the run in seconds, when the noise asks for more samples.
        false_alarm: Probability of rejecting an equal release, for the whole family of metrics.
        power: Probability of seeing an effect of size ``detect``.
        instance: What the times of two starts of the same release may differ by, relative.
        p50: Sizes for the median, relative.
        p95: Sizes for the 95th percentile, relative.
        floor: Sizes in milliseconds, by metric, that stand in for the relative ones where they are larger.
        errors: Sizes for the share of failed requests, absolute.
        tail: Sizes for the share of very slow requests, absolute.
    """

    pairs_per_second: float
    max_duration: float
    false_alarm: float
    power: float
    instance: float
    p50: Effect
    p95: Effect
    floor: Mapping[str, Effect]
    errors: Effect
    tail: Effect


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The checked content of the file, with the overrides of one environment applied."""

    scenarios: Mapping[str, Scenario]
    objectives: Objectives | None
    comparison: ComparisonSettings
    source: str

    def get(self, name: str) -> Scenario:
        """Return the scenario ``name``.

        Raises:
            KickoffError: There is none of that name.
        """
        if name not in self.scenarios:
            raise KickoffError(
                f"no scenario named `{name}`",
                at=self.source,
                hint=f"choose one of {', '.join(self.scenarios)}",
            )
        return self.scenarios[name]


def load(path: Path | None, environment: str = "", shown: str = "") -> Catalogue:
    """Read and check the scenarios.

    Args:
        path: The YAML file; ``None`` for a service that has none.
        environment: Name of the environment whose overrides apply; empty for none.
        shown: How errors name the file; the path itself when empty.

    Raises:
        KickoffError: The file is missing or wrong; names file, line, key and the fix.
    """
    if path is None:
        return parse("{}", f"kickoff/performance/{_DEFAULTS}", environment)
    source = shown or str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise KickoffError(
            f"{source} is missing", at=source, hint="set `performance.scenarios` in kickoff.yml"
        ) from None
    return parse(text, source, environment)


def parse(text: str, source: str, environment: str = "") -> Catalogue:
    """Check scenarios given as YAML text; ``source`` names them in errors. What it leaves out has defaults.

    Raises:
        KickoffError: See :func:`load`.
    """
    try:
        document = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise KickoffError(f"{source} is not YAML: {error.problem}", at=f"{source}:{line}") from None
    document = _completed(document)
    _validate(document, text, source, ())
    for name, override in document.get("overrides", {}).items():
        for scenario in override.get("scenarios", {}):
            if scenario not in document["scenarios"]:
                path = ("overrides", name, "scenarios", scenario)
                raise _error(f"there is no scenario `{scenario}` to override", text, source, path)
        # Every environment is checked, so that a mistake shows before that environment is deployed.
        _validate(_merged(document, name), text, source, ("overrides", name))
    chosen = _merged(document, environment)
    scenarios = {name: _scenario(name, entry, text, source) for name, entry in chosen["scenarios"].items()}
    for name, entry in chosen.get("think_time", {}).items():
        if name in scenarios:
            raise _error(f"`{name}` is a scenario already", text, source, ("think_time", name))
        whole = [{"until": "100%", "users": "100%"}]
        full = {**entry, "target_rps": 0.0, "mix": {name: 1}, "shape": whole}
        full["description"] = "think times between requests, no throughput target"
        scenarios[name] = _scenario(name, full, text, source)
    objectives = chosen.get("objectives")
    if objectives and objectives["scenario"] not in scenarios:
        raise _error(
            f"there is no scenario `{objectives['scenario']}`", text, source, ("objectives", "scenario")
        )
    return Catalogue(
        scenarios=scenarios,
        objectives=_objectives(objectives) if objectives else None,
        comparison=_comparison(chosen["comparison"], text, source),
        source=source,
    )


def _completed(document: object) -> Any:  # noqa: ANN401 - its schema is checked after this
    """Return a document with the package's scenarios and settings where it has none of its own.

    The package's overrides belong to its settings: who writes a ``comparison`` writes its overrides, too.
    """
    if not isinstance(document, dict):
        return document
    completed = {**{key: _defaults()[key] for key in ("scenarios", "comparison")}, **document}
    if isinstance(own := document.get("comparison"), dict):
        completed["comparison"] = _deep(_defaults()["comparison"], own)
    if "comparison" not in document:
        given = document.get("overrides", {})
        chosen = {"scenarios"} - document.keys() | {"comparison"}
        milder = {
            name: {part: values for part, values in override.items() if part in chosen}
            for name, override in _defaults()["overrides"].items()
        }
        completed["overrides"] = _deep(milder, given) if isinstance(given, dict) else given
    return completed


@cache
def _defaults() -> dict[str, Any]:
    text = files("kickoff.performance").joinpath(_DEFAULTS).read_text("utf-8")
    return dict(yaml.safe_load(text))


def seconds(text: str) -> float:
    """Convert ``250ms``, ``30s`` or ``5m`` to seconds.

    Raises:
        ValueError: The text is no duration.
    """
    unit = "ms" if text.endswith("ms") else text[-1:]
    if unit not in _SECONDS:
        raise ValueError(f"{text!r} is no duration; write it as 250ms, 30s or 5m")
    return float(text.removesuffix(unit)) * _SECONDS[unit]


def _share(text: str) -> float:
    return float(text.removesuffix("%")) / 100


def _milliseconds(text: str) -> float:
    return seconds(text) * 1000


def _merged(document: Mapping[str, Any], environment: str) -> dict[str, Any]:
    chosen = copy.deepcopy(dict(document))
    override = chosen.pop("overrides", {}).get(environment, {})
    for name, values in override.get("scenarios", {}).items():
        chosen["scenarios"][name].update(values)
    chosen["comparison"] = _deep(chosen["comparison"], override.get("comparison", {}))
    return chosen


def _deep(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _deep(merged[key], value) if both else value
    return merged


def _scenario(name: str, entry: Mapping[str, Any], text: str, source: str) -> Scenario:
    steps = tuple(Step(_share(step["until"]), _share(step["users"])) for step in entry["shape"])
    ends = [step.until for step in steps]
    if ends != sorted(set(ends)) or ends[-1] != 1.0:
        raise _error(
            "the parts of a shape follow one another and the last ends at 100%",
            text,
            source,
            ("scenarios", name, "shape"),
        )
    if max(step.users for step in steps) != 1.0:
        raise _error("one part of a shape has 100% of the users", text, source, ("scenarios", name, "shape"))
    duration = seconds(entry["duration"])
    if duration < 1:
        raise _error("a scenario lasts at least 1s", text, source, ("scenarios", name, "duration"))
    return Scenario(
        name=name,
        description=entry.get("description", ""),
        users=entry["users"],
        duration=duration,
        target_rps=float(entry["target_rps"]),
        max_error_rate=_share(entry["max_error_rate"]),
        max_response_time=seconds(entry["max_response_time"]) * 1000,
        mix=dict(entry.get("mix", {})),
        shape=steps,
    )


def _objectives(entry: Mapping[str, Any]) -> Objectives:
    return Objectives(
        scenario=entry["scenario"],
        mean=seconds(entry["mean"]) * 1000,
        p95=seconds(entry["p95"]) * 1000,
        error_rate=_share(entry["error_rate"]),
        health_rps=float(entry["health_rps"]),
        concurrent_users=entry["concurrent_users"],
        health=tuple(entry.get("health", ())),
    )


def _comparison(entry: Mapping[str, Any], text: str, source: str) -> ComparisonSettings:

    def effect(given: Mapping[str, str], convert: Callable[[str], float], *path: str) -> Effect:
        found = Effect(convert(given["margin"]), convert(given["detect"]))
        if found.detect <= found.margin:
            raise _error("`detect` is larger than `margin`", text, source, ("comparison", *path))
        return found

    effects = {key: effect(entry[key], _share, key) for key in ("p50", "p95", "errors", "tail")}
    floors = entry["floor"]
    floor = {key: effect(floors[key], _milliseconds, "floor", key) for key in ("p50", "p95")}
    false_alarm, power = _share(entry["false_alarm"]), _share(entry["power"])
    if not 0 < false_alarm < 0.5 or not 0.5 < power < 1:
        raise _error(
            "`false_alarm` lies between 0% and 50%, `power` between 50% and 100%",
            text,
            source,
            ("comparison",),
        )
    return ComparisonSettings(
        pairs_per_second=float(entry["pairs_per_second"]),
        max_duration=seconds(entry["max_duration"]),
        false_alarm=false_alarm,
        power=power,
        instance=_share(entry["instance"]),
        floor=floor,
        **effects,
    )


def _validate(document: object, text: str, source: str, prefix: tuple[str, ...]) -> None:
    problem = next(iter(sorted(_validator().iter_errors(document), key=lambda e: e.json_path)), None)
    if problem is not None:
        path = tuple(problem.absolute_path)
        # In a merged document the key stands below the override; without one there, the nearest parent.
        raise _error(problem.message, text, source, (*prefix, *path), ".".join(map(str, path)))


def _error(message: str, text: str, source: str, path: tuple[str | int, ...], key: str = "") -> KickoffError:
    where = key or ".".join(map(str, path))
    return KickoffError(
        f"{where}: {message}" if where else message, at=f"{source}:{line_of(text, path)}", hint=_HINT
    )


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(
        json.loads(files("kickoff.performance").joinpath("scenarios.schema.json").read_text("utf-8"))
    )
