"""The mutation check: each gate of the engine is taken out in turn, and a row of the fault table must notice.

``make rehearse ARGS=gates`` runs it. A gate whose loss no row notices is decorative.
"""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from unittest.mock import ANY, patch

import httpx

from kickoff import github, paths
from kickoff.artifact import admission, bundle, demanded, ledger, promotion, proof
from kickoff.environment import loader
from kickoff.environment.loader import inspect
from kickoff.errors import KickoffError
from kickoff.evidence import RuleResult, Verdict, combine
from kickoff.masking import Masker
from kickoff.probing.prober import Prober
from kickoff.probing.readiness import Readiness, wait_ready
from kickoff.release import (
    alerts,
    certificate,
    judge,
    judged,
    promote,
    readiness,
    recording,
    rollback,
    rollback_targets,
    watch,
)
from kickoff.release.alerts import Alert, AlertRule, Witness
from kickoff.release.attempt import Attempt, Run
from kickoff.release.progress import Progress
from kickoff.release.rollback import Answer, Request
from kickoff.release.routers import MetricsUnreadable, edges
from kickoff.release.routers.edges import Edges
from kickoff.release.routers.traefik import Proxy
from kickoff.release.session import Session
from kickoff.release.stores.files import Store
from kickoff.release.stores.history import History
from kickoff.release.stores.journal import Journal
from kickoff.release.stores.lease import Lease
from kickoff.release.targets.local import target as local
from kickoff.release.targets.local import usage
from kickoff.release.targets.local.supervision import Supervisor
from kickoff.release.targets.local.target import LocalTarget


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
    """Let the judge's ``function`` pass whatever it sees; with ``rules``, only rules of these ids."""

    @contextmanager
    def mutate() -> Iterator[None]:
        real = getattr(judge, function)

        def passes(*arguments: Any, **options: Any) -> RuleResult:
            result: RuleResult = real(*arguments, **options)
            if rules and result.id not in rules:
                return result
            return replace(result, verdict=Verdict.PASS, reason="")

        with patch.object(judge, function, passes):
            yield

    return mutate


def swallowing(owner: Any, name: str, kind: type[Exception], instead: object) -> Callable[[], Any]:
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


def _baked() -> property:
    return property(lambda _attempt: "12:00", lambda _attempt, _value: None)


_answer = rollback.answer


def _taken_back_first(run: Run, request: Request) -> Answer:
    rollback.take_back(run, rollback.in_progress(run))
    return _answer(run, request)


def _pruned_by_age(attempt: Attempt, spare: str = "") -> None:
    running = {slot.release for slot in attempt.store.state().slots.values()} | {spare}
    folders = [f for f in attempt.store.release_folder("").iterdir() if f.name not in running]
    folders.sort(key=lambda folder: folder.stat().st_mtime, reverse=True)
    for folder in folders[attempt.session.environment.integer("KEEP_RELEASES") :]:
        shutil.rmtree(folder)


_accused, _judge_alerts = alerts._accused, alerts.judge


def _only_what_fires(alert: Alert, samples: int) -> RuleResult:
    result = _accused(alert, samples)
    return replace(result, verdict=Verdict.PASS) if result.verdict is Verdict.INCONCLUSIVE else result


def _whenever_it_began(rules: Sequence[AlertRule], wanted: Mapping[str, str], _since: datetime) -> RuleResult:
    return _judge_alerts(rules, wanted, datetime.min.replace(tzinfo=UTC))


def _whole_lines(journal: Journal) -> list[dict[str, Any]]:
    lines = journal.path.read_text(encoding="utf-8").splitlines() if journal.path.exists() else []
    return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]


def _proxied(url: str, headers: Any, *, seconds: float) -> httpx.Client:
    return httpx.Client(base_url=url, headers=headers, timeout=seconds, trust_env=True)


def _no_findings(*arguments: Any, **options: Any) -> Any:
    return replace(inspect(*arguments, **options), findings=[])


# fmt: off
GATES = (
    Gate("the candidate is ready",
         replaced(readiness, "wait_ready", lambda *_, **__: Readiness(True, "", 0.0)),
         ("never ready", "candidate gone before it is promoted")),
    Gate("the ready candidate is the expected release", replaced(readiness, "wait_ready", _any_release),
         ("ready but wrong release", "release header missing")),
    Gate("the hook succeeds", swallowing(LocalTarget, "run_hook", KickoffError, ""),
         ("migration fails", "migration hangs")),
    Gate("the live release works after the hook", replaced(readiness, "live_checks", lambda *_: {}),
         ("migration not backward compatible",)),
    Gate("required checks passed", replaced(promote, "require_checks", lambda *_: None),
         ("required check missing",)),
    Gate("a candidate is judged by what it was staged for", replaced(judged, "require_same", lambda *_: None),
         ("the files demand less once it is staged",)),
    Gate("error rate", passing("_share", "judge.error-rate"), ("500 on half of the requests, first release",)),
    Gate("error rate of users", passing("_users"), ("a few users' errors beside a busy probe",)),
    Gate("error rate against live", passing("_errors_against_live"), ("errors within the limit, but more than live",)),
    Gate("p95", passing("_share", "judge.p95"), ("p95 above its limit",)),
    Gate("latency against live", passing("_slower"), ("p95 far above live",)),
    Gate("restarts", passing("_ceiling", "judge.restarts"), ("crash after 5 s",)),
    Gate("memory", passing("_usage", "judge.memory"), ("memory growing",)),
    Gate("cpu", passing("_usage", "judge.cpu"), ("CPU burning",)),
    Gate("the probe expects the release", passing("_release"), ("stray answers of another release",)),
    Gate("enough requests", replaced(judge, "MINIMUM_SAMPLES", 0), ("too few requests to tell",)),
    Gate("doubt is no pass", replaced(promote, "combine", _doubt_passes), ("too few requests to tell",)),
    Gate("the metrics can be read", swallowing(Proxy, "metrics", MetricsUnreadable, {}),
         ("metrics endpoint down",)),
    Gate("alerts of the service", replaced(Witness, "testify", lambda _: []),
         ("an alert of the service begins to fire",)),
    Gate("the alerts can be read", swallowing(alerts, "read", alerts.Unreadable, [AlertRule("Silent", {"release": "veto"}, "")]),
         ("Prometheus does not answer", "Prometheus does not answer in the bake")),
    Gate("an alert that is about to fire", replaced(alerts, "_accused", _only_what_fires),
         ("an alert of the service is about to fire",)),
    Gate("an alert from before is not the release's", replaced(alerts, "judge", _whenever_it_began),
         ("an alert of the service fires since before the release",)),
    Gate("the certificate of the public name", replaced(certificate, "require", lambda _: []),
         ("the certificate has expired", "nobody answers by TLS under the public name")),
    Gate("a verdict outlives a crash", replaced(Progress, "condemned", _never_condemned()),
         ("Traefik down in the bake",)),
    Gate("the public address answers as the release", replaced(readiness, "verify", lambda *_: None),
         ("wrong release for users alone",)),
    Gate("the environment is valid", replaced(loader, "inspect", _no_findings),
         ("environment key misspelt",)),
    Gate("the artefact has its digest", replaced(bundle, "verify", lambda *_: None),
         ("artefact digest mismatch",)),
    Gate("there is room", replaced(LocalTarget, "require_room", lambda _: None), ("disk nearly full",)),
    Gate("the public port is free", replaced(local, "is_free", lambda _: True), ("public port taken",)),
    Gate("the proxy has the route", replaced(Edges, "await_shown", lambda *_: {}),
         ("Traefik rejects the route",)),
    Gate("the lock", replaced(Lease, "abandoned", lambda *_: True), ("two deploys at once",)),
    Gate("the fence", replaced(Store, "_check_fence", lambda *_: None), ("paused run wakes up overtaken",)),
    Gate("the journal is whole", replaced(Journal, "read", _whole_lines), ("journal damaged",)),
    Gate("the history is intact", replaced(History, "verify", lambda history: len(history.entries())),
         ("history tampered",)),
    # --- the caller's surroundings ----------------------------------------------------------------------
    Gate("only one supervisor", replaced(Supervisor, "process", lambda _: None),
         ("supervisor's socket removed before a release",)),
    Gate("the proxy is asked past the caller's proxies", replaced(edges, "open_client", _proxied),
         ("http_proxy to a dead address",)),
    Gate("stop verifies that nothing answers", replaced(local, "require_silence", lambda _: None),
         ("stop beside a foreign process on the port",)),
    Gate("the state folder's path can be written everywhere", replaced(paths, "_UNFIT", re.compile(r"(?!)")),
         ("state folder with a colon",)),
    Gate("the schema allows going back", replaced(rollback, "check_schema", lambda *_: None),
         ("rollback past a schema change",)),
    Gate("released means judged", replaced(Progress, "baked_at", _baked()),
         ("Ctrl-C in the bake", "SIGTERM in the bake")),
    Gate("one goes back to good releases only", replaced(rollback, "require_target", lambda *_: None),
         ("rollback to a refused release", "rollback to what was rolled back from")),
    Gate("a rollback is done once", replaced(rollback_targets, "last_return", lambda _: None),
         ("rollback twice", "rollback after the judge went back")),
    Gate("a release id names no path", replaced(rollback_targets, "check_id", lambda release: release),
         ("rollback to a path",)),
    Gate("arguments come first", replaced(rollback, "answer", _taken_back_first),
         ("rollback to nowhere beside another deploy",)),
    Gate("serving is asked", replaced(Session, "not_serving", lambda _: ""),
         ("status of what was killed", "status while another release answers")),
    Gate("refused releases push no good one out", replaced(recording, "prune", _pruned_by_age),
         ("good releases beside refused ones",)),
    Gate("a lost state is no first release", replaced(Store, "_named_live", lambda _: False),
         ("state is lost",)),
    Gate("a damaged state is no first release", all_of(
        replaced(Store, "_json", lambda *_: None), replaced(Store, "_named_live", lambda _: False)),
         ("state is {}", "state is null")),
    Gate("the watch judges", replaced(watch, "combine", lambda _: Verdict.PASS), ("bad after it went live",)),
    # --- what users see and our checks do not, and live that is down ------------------------------------
    Gate("client errors of users", passing("_client_errors_of_users"), ("401 to users alone, first release",)),
    Gate("client errors against live", passing("_client_errors_against_live"),
         ("429 share above live, by canary",)),
    Gate("marked and unmarked requests alike", passing("_alike"), ("our own checks are treated worse",)),
    Gate("probes go out unmarked, too", replaced(Prober, "_paired", lambda *_: False),
         ("401 to all unmarked requests, first release",)),
    Gate("the proxy finds the candidate healthy",
         replaced(readiness, "wait_live", lambda *_: Readiness(True, "", 0.0)), ("liveness path is not there",)),
    Gate("all checks send the headers", replaced(Session, "check_headers", lambda _: {}),
         ("ready path wants a key",)),
    Gate("p95 of the probe", passing("_p95"), ("p95 above its limit, and no traffic at all",)),
    Gate("cpu of what the colour may use", replaced(usage, "processors", lambda _: float(os.cpu_count() or 1)),
         ("CPU burning within a limit",)),
    Gate("live that is down is no baseline", replaced(judge.Observation, "down", property(lambda _: False)),
         ("live begins to fail in the canary",)),
    # --- where only what another environment proved may be shipped --------------------------------------
    Gate("the environment's proof is demanded", replaced(admission, "require_proof", lambda *_, **__: None),
         ("proof missing", "proof of another artefact")),
    Gate("the proof is of this artefact", replaced(promotion, "compare", lambda *_: None),
         ("proof of another artefact",)),
    Gate("the proof is undamaged", replaced(ledger, "_hash", lambda _: ANY), ("proof damaged",)),
    Gate("the proof names a promotion that passed", replaced(proof, "judged", lambda _: {"verdict": "pass"}),
         ("proof of a release that nobody promoted",)),
    Gate("the proof is by all that the commit demands", replaced(demanded, "require", lambda *_: None),
         ("proof by less than the commit demands",)),
    Gate("the attempt was let in by a proof", replaced(promote, "require_leave", lambda *_: None),
         ("proof demanded after it was staged",)),
    # --- secrets, and commands to the runner, in what others print ---------------------------------------
    Gate("secrets are masked", replaced(Masker, "text", lambda _, text: text),
         ("hook prints its environment", "error page shows the environment")),
    Gate("others' lines are no workflow commands", replaced(github, "_FORGED", re.compile(r"(?!)")),
         ("log lines that forge workflow commands",)),
)
# fmt: on
