"""The mutation check: each gate of the engine is taken out in turn, and a row of the fault table must notice.

``make rehearse ARGS=gates`` runs it. A gate whose loss no row notices is decorative.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

from kickoff import github
from kickoff.artifact import bundle
from kickoff.checks.smoke import Readiness, wait_ready
from kickoff.environment import loader
from kickoff.environment.loader import inspect
from kickoff.errors import KickoffError
from kickoff.evidence import RuleResult, Verdict, combine
from kickoff.masking import Masker
from kickoff.release import engine, judge, steps
from kickoff.release.engine import Engine
from kickoff.release.history import History
from kickoff.release.journal import Attempt, Journal
from kickoff.release.store import Lease, Store
from kickoff.release.targets import local
from kickoff.release.targets.local import LocalTarget
from kickoff.release.traefik import MetricsUnreadable, Proxy


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate.

    Attributes:
        name: What it checks.
        without: Takes it out while its context lasts.
        rows: Rows of the fault table that should notice, the likeliest first.
    """

    name: str
    without: Callable[[], AbstractContextManager[object]]
    rows: tuple[str, ...]


def replaced(owner: object, name: str, substitute: Any) -> Callable[[], AbstractContextManager[object]]:
    """Put ``substitute`` in the place of a function."""
    return lambda: patch.object(owner, name, substitute)


def passing(function: str, *rules: str) -> Callable[[], AbstractContextManager[object]]:
    """Let the judge's ``function`` pass whatever it sees; with ``rules``, only where it says one of them."""

    @contextmanager
    def mutate() -> Iterator[None]:
        real = getattr(judge, function)

        def passes(*arguments: Any, **options: Any) -> RuleResult:
            result: RuleResult = real(*arguments, **options)
            if rules and result.rule.split(" within ")[0] not in rules:
                return result
            return replace(result, verdict=Verdict.PASS, reason="")

        with patch.object(judge, function, passes):
            yield

    return mutate


def swallowing(owner: Any, name: str, kind: type[KickoffError], instead: object) -> Callable[[], Any]:
    """Let a function return ``instead`` of raising ``kind``."""
    real = getattr(owner, name)

    def swallows(*arguments: Any, **options: Any) -> Any:
        try:
            return real(*arguments, **options)
        except kind:
            return instead

    return replaced(owner, name, swallows)


def all_of(*mutations: Callable[[], AbstractContextManager[object]]) -> Callable[[], ExitStack]:
    """Take several out together: the same gate stands in more than one place."""

    def mutate() -> ExitStack:
        stack = ExitStack()
        for mutation in mutations:
            stack.enter_context(mutation())
        return stack

    return mutate


def _any_release(*arguments: Any, **options: Any) -> Readiness:
    url, headers, path, _header, _release, seconds, still_running = arguments
    return wait_ready(url, headers, path, "", "", seconds, still_running, **options)


def _doubt_passes(verdicts: Any) -> Verdict:
    verdict = combine(verdicts)
    return Verdict.PASS if verdict is Verdict.INCONCLUSIVE else verdict


def _never_condemned() -> property:
    return property(lambda _attempt: False, lambda _attempt, _value: None)


def _whole_lines(journal: Journal) -> list[dict[str, Any]]:
    lines = journal.path.read_text(encoding="utf-8").splitlines() if journal.path.exists() else []
    return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]


def _no_findings(*arguments: Any, **options: Any) -> Any:
    return replace(inspect(*arguments, **options), findings=[])


# fmt: off
GATES = (
    Gate("the candidate is ready",
         replaced(steps, "wait_ready", lambda *_, **__: Readiness(True, "", 0.0)),
         ("never ready", "candidate gone before it is promoted")),
    Gate("the ready candidate is the expected release", replaced(steps, "wait_ready", _any_release),
         ("ready but wrong release", "release header missing")),
    Gate("the hook succeeds", swallowing(LocalTarget, "run_hook", KickoffError, ""),
         ("migration fails", "migration hangs")),
    Gate("the live release works after the hook", replaced(steps.Steps, "_live_checks", lambda *_: {}),
         ("migration not backward compatible",)),
    Gate("required checks passed", replaced(Engine, "_require_checks", lambda *_: None),
         ("required check missing",)),
    Gate("error rate", passing("_share", "error rate"), ("500 on half of the requests, first release",)),
    Gate("error rate of users", passing("_users"), ("a few users' errors beside a busy probe",)),
    Gate("error rate against live", passing("_fisher"), ("errors within the limit, but more than live",)),
    Gate("p95", passing("_share", "p95"), ("p95 above its limit",)),
    Gate("latency against live", passing("_slower"), ("p95 doubled",)),
    Gate("restarts", passing("_ceiling", "restarts"), ("crash after 5 s",)),
    Gate("memory", passing("_usage", "memory"), ("memory growing",)),
    Gate("cpu", passing("_usage", "cpu"), ("CPU burning",)),
    Gate("the probe expects the release", passing("_release"), ("stray answers of another release",)),
    Gate("enough requests", replaced(judge, "MINIMUM_SAMPLES", 0), ("too few requests to tell",)),
    Gate("doubt is no pass", replaced(engine, "combine", _doubt_passes), ("too few requests to tell",)),
    Gate("the metrics can be read", swallowing(Proxy, "metrics", MetricsUnreadable, {}),
         ("metrics endpoint down",)),
    Gate("a verdict outlives a crash", replaced(Attempt, "condemned", _never_condemned()),
         ("Traefik down in the bake",)),
    Gate("the public address answers as the release", replaced(steps.Steps, "_verify", lambda *_: None),
         ("wrong release for users alone",)),
    Gate("the environment is valid", replaced(loader, "inspect", _no_findings),
         ("environment key missing",)),
    Gate("the artefact has its digest", replaced(bundle, "verify", lambda *_: None),
         ("artefact digest mismatch",)),
    Gate("there is room", replaced(LocalTarget, "require_room", lambda _: None), ("disk nearly full",)),
    Gate("the public port is free", replaced(local, "_free", lambda _: True), ("public port taken",)),
    Gate("the proxy has the route", replaced(Proxy, "_wait_for", lambda *_: None),
         ("Traefik rejects the route",)),
    Gate("the lock", replaced(Lease, "abandoned", lambda *_: True), ("two deploys at once",)),
    Gate("the fence", replaced(Store, "_check_fence", lambda *_: None), ("paused run wakes up overtaken",)),
    Gate("the journal is whole", replaced(Journal, "read", _whole_lines), ("journal damaged",)),
    Gate("the history is intact", replaced(History, "verify", lambda history: len(history.entries())),
         ("history tampered",)),
    Gate("the schema allows going back", replaced(Engine, "_check_schema", lambda *_: None),
         ("rollback past a schema change",)),
    # --- secrets, and commands to the runner, in what others print ---------------------------------------
    Gate("secrets are masked", replaced(Masker, "text", lambda _, text: text),
         ("hook prints its environment", "error page shows the environment")),
    Gate("others' lines are no workflow commands", replaced(github, "_FORGED", re.compile(r"(?!)")),
         ("log lines that forge workflow commands",)),
)
# fmt: on
