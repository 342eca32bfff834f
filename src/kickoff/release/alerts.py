"""Alerts as a witness of the judge: what Prometheus found wrong with the service after its traffic moved.

An alert counts when it carries the labels of ``ALERTS_LABELS`` and became true after the release met users.
What was wrong before is not the candidate's fault, and must not forbid the release that mends it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from kickoff.evidence import RuleResult, Verdict
from kickoff.probing.http import open_client
from kickoff.release.session import Session

_SECONDS = 5.0
"""How long Prometheus may take to answer; the lease of the attempt lasts longer."""
_SAME_CLOCK = timedelta(seconds=2)
"""What the whole seconds of an answer's date, and its way here, make of two clocks that agree."""
_FIRING = "firing"


class Unreadable(Exception):
    """Prometheus does not answer, or has no answer: no alert could speak, or one cannot be evaluated."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert whose condition is true.

    Attributes:
        name: Its name.
        labels: Its labels.
        state: ``firing``; ``pending`` while its condition has not been true for long enough.
        since: When its condition became true, by this machine's clock.
        value: What its expression gave.
        summary: Its annotation of that name; empty for none.
        runbook: Its annotation ``runbook_url``; empty for none.
    """

    name: str
    labels: Mapping[str, str]
    state: str
    since: datetime
    value: float
    summary: str = ""
    runbook: str = ""


@dataclass(frozen=True, slots=True)
class AlertRule:
    """One rule of Prometheus that raises alerts.

    Attributes:
        name: The name of its alerts.
        labels: The labels that it gives them; others come from what it measures.
        problem: Why it could not be evaluated last; empty when it was.
        alerts: Those whose condition is true now.
    """

    name: str
    labels: Mapping[str, str]
    problem: str
    alerts: Sequence[Alert] = ()

    def carries(self, wanted: Mapping[str, str]) -> bool:
        """Whether its alerts can carry these labels: one of them is its own, and none is another's."""
        return any(self.labels.get(name) == text for name, text in wanted.items()) and all(
            self.labels.get(name, text) == text for name, text in wanted.items()
        )


@dataclass(frozen=True, slots=True)
class Witness:
    """A Prometheus that is asked while a release is on trial.

    Attributes:
        url: Its address; empty for none, and then it is never asked.
        labels: What an alert must carry to be counted.
        since: When the release began to meet users.
        doubt_warns: Whether a release may pass that it could not be asked about.
    """

    url: str
    labels: Mapping[str, str]
    since: datetime
    doubt_warns: bool

    def testify(self) -> list[RuleResult]:
        """Return what the alerts of this moment say of the release; nothing where there is nobody to ask."""
        if not self.url:
            return []
        try:
            return [judge(read(self.url), self.labels, self.since)]
        except Unreadable as error:
            verdict = Verdict.NOT_APPLICABLE if self.doubt_warns else Verdict.INCONCLUSIVE
            ending = "; a warning by ALERTS_UNREADABLE=warn" if self.doubt_warns else ""
            return [_result(verdict, "no data", 0, f"{error}{ending}")]


def witness(session: Session, since: str) -> Witness:
    """Return the Prometheus of an environment: the one it names, else that of its stack.

    Args:
        session: The environment.
        since: When the release began to meet users, ISO 8601.
    """
    given = session.environment.values  # a release that an older version recorded has none of these keys
    pairs = (pair.partition("=") for pair in given.get("ALERTS_LABELS", "").split(",") if pair)
    return Witness(
        url=given.get("ALERTS_URL") or session.target.alerts(),
        labels={name.strip(): text.strip() for name, _, text in pairs},
        since=datetime.fromisoformat(since),
        doubt_warns=given.get("ALERTS_UNREADABLE") == "warn",
    )


def read(url: str) -> list[AlertRule]:
    """Return the rules that raise alerts, with the alerts whose condition is true now.

    By Prometheus' API, https://prometheus.io/docs/prometheus/latest/querying/api/#rules.

    Raises:
        Unreadable: There is no such answer.
    """
    try:
        with open_client(url, {}, seconds=_SECONDS) as client:
            answer = client.get("/api/v1/rules", params={"type": "alert"})
            answer.raise_for_status()
            ahead = _ahead(answer)
            groups = answer.json()["data"]["groups"]
            return [_rule(one, ahead) for group in groups for one in group["rules"]]
    except httpx.HTTPStatusError as error:
        raise Unreadable(f"{url} answers {error.response.status_code}") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unreadable(f"{url} does not answer ({type(error).__name__})") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Unreadable(f"{url} does not answer as Prometheus does") from None


def _ahead(answer: httpx.Response) -> timedelta:
    """Return how far the clock of who answered is ahead of ours, as far as its seconds tell."""
    if "Date" not in answer.headers:
        return timedelta()
    ahead = parsedate_to_datetime(answer.headers["Date"]) - datetime.now(UTC)
    return ahead if abs(ahead) > _SAME_CLOCK else timedelta()


def _rule(found: Mapping[str, Any], ahead: timedelta) -> AlertRule:
    name = found["name"]
    alerts = [
        Alert(
            name=name,
            labels=one["labels"],
            state=one["state"],
            since=datetime.fromisoformat(one["activeAt"]) - ahead,
            value=float(one["value"]),
            summary=one["annotations"].get("summary", ""),
            runbook=one["annotations"].get("runbook_url", ""),
        )
        for one in found["alerts"]
    ]
    return AlertRule(name, found["labels"], found.get("lastError", ""), alerts)


def judge(rules: Sequence[AlertRule], wanted: Mapping[str, str], since: datetime) -> RuleResult:
    """Judge a release by the alerts whose condition is true. Pure.

    One that fires fails the release. One that does not fire yet is doubt, since its condition is true.

    Args:
        rules: The rules that raise alerts.
        wanted: The labels that an alert must carry to be counted.
        since: When the release began to meet users.

    Raises:
        Unreadable: No rule could speak, or one of them cannot be evaluated and none of the others speaks.
    """
    named = [rule for rule in rules if rule.carries(wanted)]
    if not named:
        labels = ",".join(f"{name}={text}" for name, text in wanted.items())
        raise Unreadable(f"no alert carries {labels}")
    found = [alert for rule in named for alert in rule.alerts if wanted.items() <= alert.labels.items()]
    new = sorted(
        (one for one in found if one.since >= since), key=lambda one: (one.state != _FIRING, one.since)
    )
    if new:
        return _accused(new[0], len(named))
    if broken := next((rule for rule in named if rule.problem), None):
        raise Unreadable(f"{broken.name} cannot be evaluated: {broken.problem}")
    before = ", ".join(sorted({alert.name for alert in found}))
    reason = f"not counted, since it was so before: {before}" if before else ""
    return _result(Verdict.PASS, "none", len(named), reason)


def _accused(alert: Alert, samples: int) -> RuleResult:
    fires = alert.state == _FIRING
    told = [alert.summary or "it began after the traffic moved"]
    if alert.runbook:
        told.append(f"runbook {alert.runbook}")
    return _result(
        Verdict.FAIL if fires else Verdict.INCONCLUSIVE,
        f"{alert.name} {'fires' if fires else 'is about to fire'} ({alert.value:.3g})",
        samples,
        "; ".join(told),
    )


def _result(verdict: Verdict, measured: str, samples: int, reason: str) -> RuleResult:
    return RuleResult(
        "judge.alerts", "alerts", verdict, measured, "none since traffic moved", samples, reason
    )
