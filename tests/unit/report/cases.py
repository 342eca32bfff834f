"""Realistic evidence of whole runs: what the stages of a pipeline leave behind in each way it can end."""

import json
import math
import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_type_hints

from kickoff.evidence import Evidence, RuleResult, Verdict, combine, fields
from kickoff.report.run import Plan, Run

COMMIT = "4f2c1ab" + "0" * 33
NEW, OLD = "4f2c1ab-0a1b2c3d", "9d0e77c-77aa88bb"
DIGEST = "sha256:3214943a9f6005c86b7d89fa1f9a5e67a8dd11ebc51f138426e696f9f02f0952"
ZERO = datetime(2026, 11, 24, 14, 0, 0, tzinfo=UTC)
HOSTILE = (
    "<script>alert(1)</script></details>|`x`\n# H\r\n```\n![i](http://evil.example/x.png) @team "
    "[l](javascript:alert(1)) \x1b[31mred\x1b[0m \u202eevil\u202c {{ 7*7 }} $x$ ::set-output name=a::b & \"'"
)


def at(seconds: float) -> str:
    """Return a time after the run's begin."""
    return (ZERO + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


def _identity(rule: str) -> str:
    """Return the id that a stage gives a rule of this kind."""
    if ": p95 of" in rule:
        return "perf.p95"
    if ": error rate" in rule:
        return "perf.error-rate"
    return "rollback.verified" if "after rolling back" in rule else "a.rule"


def ok(rule: str, measured: str, threshold: str, samples: int = 1, identity: str = "") -> RuleResult:
    """Return a rule that passed."""
    return RuleResult(identity or _identity(rule), rule, Verdict.PASS, measured, threshold, samples)


def bad(rule: str, measured: str, threshold: str, reason: str, samples: int = 1) -> RuleResult:
    """Return a rule that failed."""
    return RuleResult(_identity(rule), rule, Verdict.FAIL, measured, threshold, samples, reason)


def stage(name: str, begin: float, length: float, rules: Iterable[RuleResult] = (), **more: Any) -> Evidence:
    """Return one stage's evidence; its verdict follows from its rules unless given."""
    found = list(rules)
    values: dict[str, Any] = {
        "stage": name,
        "environment": "staging",
        "verdict": combine(rule.verdict for rule in found) if found else Verdict.PASS,
        "summary": f"{name} done",
        "started": at(begin),
        "finished": at(begin + length),
        "service": "shop",
        "release": NEW,
        "attempt": "a-17",
        "rules": found,
    }
    return Evidence(**(values | more))


def before() -> list[Evidence]:
    """Return the stages before the deployment, all passed."""
    common: dict[str, Any] = {"environment": "", "release": "", "attempt": ""}
    checks = ["ruff", "mypy", "tests with coverage", "bandit", "pip-audit"]
    return [
        stage(
            "validate",
            0,
            0.6,
            [ok("every environment is valid", "6 of 6", "all", 6)],
            summary="6 environments are valid",
            **common,
        ),
        stage(
            "quality-gate",
            1.2,
            41.5,
            [ok(name, "exit 0", "exit 0") for name in checks],
            summary="5 of 5 checks passed",
            **common,
        ),
        stage(
            "build",
            43.4,
            1.1,
            [ok("the commit holds every path", "61 files", "≥ 1 file")],
            summary=f"{DIGEST[:19]}… built: 61 files of commit 4f2c1ab",
            facts={"digest": DIGEST, "commit": COMMIT, "created": True, "bytes": 184_320},
            **common,
        ),
    ]


def staged(changed: bool = True, live: str = OLD, **more: Any) -> Evidence:
    """Return the evidence of a candidate that came up."""
    return stage(
        "stage",
        45.2,
        6.3,
        [ok("ready within READY_TIMEOUT", "2.4 s", "≤ 60 s", 9)],
        summary="4f2c1ab is ready on green",
        facts={
            "changed": changed,
            "live_release": live,
            "candidate_url": "http://127.0.0.1:41873",
            "facts": {"artifact": DIGEST, "environment": "e" * 64, "stack": "5" * 64, "schema": "0003"},
        },
        timeline=[
            {"at": at(45.4), "event": "lock taken"},
            {"at": at(50.9), "event": "ready", "step": "ready", "seconds": 0.907, "colour": "green"},
        ],
        **more,
    )


def smoked(*rules: RuleResult, **more: Any) -> Evidence:
    """Return the evidence of the candidate's smoke test."""
    good = [
        ok("GET /health", "200 in 8 ms", "200"),
        ok("POST /predictions", "200 in 14 ms", "200"),
        ok("answers as the candidate", NEW, NEW, 6),
    ]
    return stage("smoke-candidate", 52.0, 1.9, rules or good, **({"summary": "6 of 6 checks passed"} | more))


def _histogram(median: float, spread: float, total: int) -> list[dict[str, Any]]:
    counts: dict[int, int] = {}
    source = random.Random(7)
    for _ in range(total):
        value = median * math.exp(source.gauss(0, spread))
        bucket = math.ceil(math.log10(value) * 10)
        counts[bucket] = counts.get(bucket, 0) + 1
    low, high = min(counts), max(counts)
    return [{"le_ms": round(10 ** (i / 10), 3), "count": counts.get(i, 0)} for i in range(low, high + 1)]


def measured(compared: bool = True, *rules: RuleResult, **more: Any) -> Evidence:
    """Return the evidence of the performance check."""
    names = (("POST /predictions", 1204, 11.2), ("GET /predictions", 611, 6.4), ("GET /health", 590, 2.1))

    def rows(factor: float, arm: str) -> list[dict[str, Any]]:
        return [
            {
                "name": name,
                "arm": arm,
                "requests": n,
                "failures": 0,
                "scenario": "smoke",
                "p50_ms": round(p50 * factor, 2),
                "p95_ms": round(p50 * 2.3 * factor, 2),
                "p99_ms": round(p50 * 3.9 * factor, 2),
                "mean_ms": round(p50 * 1.2 * factor, 2),
                "max_ms": round(p50 * 8 * factor, 2),
            }
            for name, n, p50 in names
        ]

    good = [
        ok("smoke: error rate", "0.00% (0 of 2405)", "≤ 1%", 2405),
        ok("smoke: p95 of POST /predictions", "25.8 ms", "≤ 1000 ms", 1204),
        ok("smoke: p95 of GET /predictions", "14.7 ms", "≤ 1000 ms", 611),
        ok("smoke: requests a second", "80.2/s", "≥ 80/s", 2405),
    ]
    if not compared:
        reason = "nothing is live yet"
        good.append(
            RuleResult(
                "perf.compared", "comparison with live", Verdict.NOT_APPLICABLE, "none", "none", 0, reason
            )
        )
    series = {"latency_histogram": _histogram(9.0, 0.55, 2405)}
    facts: dict[str, Any] = {
        "endpoints": rows(1.03, "candidate"),
        "endpoints_live": [],
        "comparison": [],
        "overall": [
            {
                "arm": "candidate",
                "requests": 2405,
                "failures": 0,
                "p50_ms": 9.1,
                "p95_ms": 21.8,
                "max_ms": 90.0,
            }
        ],
        "scenarios": [{"name": "smoke", "max_response_ms": 1000.0}],
    }
    if compared:
        series["latency_histogram_live"] = _histogram(8.6, 0.5, 2400)
        facts["endpoints_live"] = rows(1.0, "live")
        live = {"arm": "live", "requests": 2400, "failures": 0, "p95_ms": 21.2, "max_ms": 88.0}
        facts["overall"] = [*facts["overall"], live]
        facts["comparison"] = [
            {
                "scenario": "smoke",
                "endpoint": name,
                "kind": "p95",
                "pairs": n,
                "live": round(p50 * 2.3, 2),
                "candidate": round(p50 * 2.3 * 1.03, 2),
                "effect": 0.03,
                "low": -0.021,
                "high": 0.079,
                "verdict": "pass",
                "finding": "no difference shown",
            }
            for name, n, p50 in names
        ]
    values = {"summary": "smoke: 2405 requests, 0 failed, p95 21.8 ms", "series": series, "facts": facts}
    return stage("perf-baseline", 54.3, 30.4, rules or good, **(values | more))


def _traffic(steps: list[tuple[float, float]], length: int, failing: tuple[int, int]) -> list[dict[str, Any]]:
    source = random.Random(3)
    points: list[dict[str, Any]] = []
    for second in range(length):
        share = next(percent for t, percent in reversed(steps) if t <= second) / 100
        total = 120 + 14 * math.sin(second / 6) + source.uniform(-5, 5)
        failed = round(total * share * 0.05) if failing[0] <= second < failing[1] else 0
        sides = ((NEW, "green", share, failed), (OLD, "blue", 1 - share, 0))
        for release, colour, part, lost in sides:
            points.append(
                {
                    "t": float(second),
                    "release": release,
                    "colour": colour,
                    "rps": round(total * part, 1),
                    "failed": lost,
                    "p95_ms": round(18 + source.uniform(0, 9), 1) if part else None,
                }
            )
    return points


CANARY = [(0.0, 5.0), (12.0, 25.0), (24.0, 50.0), (36.0, 100.0)]


def _judged(steps: list[tuple[float, float]], failing: float = 0) -> list[dict[str, Any]]:
    """Return what was judged at each share of the traffic, ten seconds after it was given."""
    rules = (
        ("error rate of users", "0.00% (0 of 940)", "limit 1%"),
        ("p95 within 1000 ms", "0 of 940", "limit 5%"),
    )
    return [
        {
            "t": t + 10,
            "candidate_percent": percent,
            "verdict": "fail" if percent == failing and index == 0 else "pass",
            "rule": rule,
            "measured": measured,
            "limit": limit,
        }
        for t, percent in steps
        if percent
        for index, (rule, measured, limit) in enumerate(rules)
    ]


def promoted(**more: Any) -> Evidence:
    """Return the evidence of a promotion in canary steps that went well."""
    weights = [{"t": t, "candidate_percent": percent} for t, percent in CANARY]
    values: dict[str, Any] = {
        "summary": f"{NEW} serves all requests",
        "facts": {
            "serving": {"release": NEW, "colour": "green", "answers": "yes"},
            "previous": OLD,
            "address": "http://127.0.0.1:8100",
            "strategy": "canary",
            "outcome": "promoted",
        },
        "series": {"traffic": _traffic(CANARY, 66, (0, 0)), "weights": weights, "judged": _judged(CANARY)},
        "timeline": [{"at": at(85.5 + t), "event": "shift", "weights": {"green": p}} for t, p in CANARY],
    }
    rules = more.pop("rules", None) or [
        ok("errors during the canary", "0.00% (0 of 3118)", "≤ 1%", 3118),
        ok("p95 during the canary", "26 ms", "≤ 1000 ms", 3118),
        ok("errors during the bake", "0.00% (0 of 3604)", "≤ 1%", 3604),
    ]
    return stage("promote", 85.4, 66.2, rules, **(values | more))


def smoked_live(*rules: RuleResult, **more: Any) -> Evidence:
    """Return the evidence of the live smoke test."""
    good = [ok("answers as the release", NEW, NEW, 6)]
    return stage("smoke-live", 152.4, 1.2, rules or good, **({"summary": "6 of 6 checks passed"} | more))


def plan(*deployments: str, **jobs: str) -> Plan:
    """Return the plan of a run; jobs that are not named succeeded."""
    names = ("pre-deployment-checks", "quality-gate", "build-and-push")
    results = dict.fromkeys((*names, *(f"deploy-{name}" for name in deployments)), "success")
    return Plan(
        deployments=deployments,
        event="push",
        ref="refs/heads/main",
        commit=COMMIT,
        service="shop",
        reason="every push to main goes to staging",
        jobs=results | {name.replace("_", "-"): result for name, result in jobs.items()},
    )


def run_of(*documents: Evidence, planned: Plan | None = None, **more: Any) -> Run:
    """Return a run; it was planned for staging unless said otherwise."""
    return Run(documents, plan("staging") if planned is None else planned, actor="ada", **more)


def aborted(begin: float, reason: str = "smoke-candidate failed") -> Evidence:
    """Return the evidence of an abort: its verdict says that nothing was shipped."""
    facts = {
        "outcome": "aborted",
        "exit_code": 0,
        "serving": {"release": OLD, "colour": "blue", "answers": "yes"},
        "previous": OLD,
    }
    return stage("abort", begin, 2.1, verdict=Verdict.FAIL, summary=reason, facts=facts)


def released() -> Run:
    """Return a canary release that went well."""
    return run_of(*before(), staged(), smoked(), measured(), promoted(), smoked_live())


def first_release() -> Run:
    """Return a release where nothing was live before, switched at once."""
    facts = promoted().facts | {"previous": "", "strategy": "blue-green"}
    series = {"traffic": [], "weights": [{"t": 0.0, "candidate_percent": 100}]}
    return run_of(
        *before(),
        staged(live=""),
        smoked(),
        measured(compared=False),
        promoted(facts=facts, series=series),
        smoked_live(),
    )


def rejected_at_smoke() -> Run:
    """Return a release whose candidate answers 500."""
    failing = bad(
        "POST /predictions", "500 in 11 ms", "200", "the candidate answered 500 Internal Server Error"
    )
    log = [f"INFO: request {i} handled" for i in range(17)]
    log += ["ERROR: Exception in ASGI application", "KeyError: 'ratings'"]
    return run_of(
        *before(),
        staged(),
        smoked(
            ok("GET /health", "200 in 8 ms", "200"),
            failing,
            summary="1 of 2 checks failed",
            log_tail=log,
        ),
        aborted(55.0),
        planned=plan("staging", deploy_staging="failure", post_deployment="skipped"),
    )


def rolled_back_after_bake() -> Run:
    """Return a release that failed while it was watched, and was taken back by itself."""
    steps = [*CANARY[:2], (24.0, 100.0), (49.0, 0.0)]
    weights = [{"t": t, "candidate_percent": percent} for t, percent in steps]
    return run_of(
        *before(),
        staged(),
        smoked(),
        measured(),
        promoted(
            verdict=Verdict.FAIL,
            summary="rolled back during the bake",
            rules=[
                ok("errors during the canary", "0.00% (0 of 1118)", "≤ 1%", 1118),
                bad("errors during the bake", "3.1% (62 of 2010)", "≤ 1%", "more errors than allowed", 2010),
                ok("probes answered by 9d0e77c after rolling back", "10 of 10", "10 of 10", 10),
            ],
            facts={
                "outcome": "rolled-back",
                "serving": {"release": OLD, "colour": "blue", "answers": "yes"},
                "previous": NEW,
                "address": "http://127.0.0.1:8100",
                "strategy": "canary",
            },
            series={
                "traffic": _traffic(steps, 58, (34, 49)),
                "weights": weights,
                "judged": _judged(steps, failing=100),
            },
            log_tail=["WARNING: pool exhausted", "ERROR: 503 for POST /predictions"],
        ),
        planned=plan("staging", deploy_staging="failure", post_deployment="skipped"),
    )


def taken_back_by_the_watch() -> Run:
    """Return a release that failed after its live smoke test, and was taken back by the watch."""
    rule = bad("error rate of users", "3.10% (62 of 2010)", "1.00%", "above the limit beyond doubt", 2010)
    watched = stage(
        "watch", 154.0, 40.0, [rule], verdict=Verdict.FAIL, summary="error rate of users in the watch",
        facts={
            "outcome": "rolled-back",
            "exit_code": 5,
            "serving": {"release": OLD, "colour": "blue", "answers": "yes"},
            "previous": OLD,
        },
    )  # fmt: skip
    documents = (*before(), staged(), smoked(), measured(), promoted(), smoked_live(), watched)
    return run_of(*documents, planned=plan("staging", deploy_staging="failure", post_deployment="skipped"))


def unchanged() -> Run:
    """Return a run whose release is live already."""
    serving: dict[str, Any] = {"serving": {"release": NEW, "colour": "blue", "answers": "yes"}}
    serving["address"] = "http://127.0.0.1:8100"
    found = staged(changed=False, live=NEW)
    found.facts |= serving | {"promoted": {"attempt": "a-16", "at": at(-900), "verdict": "pass"}}
    return run_of(*before(), found, smoked_live())


def inconclusive() -> Run:
    """Return a run whose performance check had too few samples."""
    rule = RuleResult(
        "perf.p95",
        "smoke: p95 of POST /predictions",
        Verdict.INCONCLUSIVE,
        "nothing",
        "≤ 1000 ms",
        0,
        "none of 12 requests succeeded",
    )
    perf = measured(False, rule, summary="nothing was measured", series={}, facts={})
    return run_of(*before(), staged(), smoked(), perf, aborted(86))


def hostile() -> Run:
    """Return a rejected run in which every text is hostile."""
    text = HOSTILE
    rules = [
        RuleResult("a.rule", text, verdict, text, text, 1, text)
        for verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS)
    ]
    points: list[dict[str, Any]] = [
        {"t": t, "release": text, "colour": text, "rps": 5, "failed": 1, "p95_ms": text} for t in range(5)
    ]
    facts: dict[str, Any] = {
        "serving": {"release": text, "colour": text, "answers": text},
        "live_down": {"release": text, "since": text, "reason": text, "started_again": False},
        "previous": text,
        "address": text,
        "strategy": text,
        "reason": text,
        "live_release": text,
        "facts": dict.fromkeys(("artifact", "environment", "stack", "schema"), text),
        "endpoints": [{"name": text, "requests": 9, "p50_ms": 1, "p95_ms": 2, "p99_ms": 3}],
    }
    documents = [
        stage(
            name,
            10 * index,
            5,
            rules,
            environment=text,
            service=text,
            release=text,
            attempt=text,
            summary=text,
            inputs={text: text, "digest": text},
            facts={key: value for key, value in facts.items() if key in get_type_hints(fields.of(name))},
            series={
                "traffic": points,
                "weights": [{"t": 0, "candidate_percent": 50}, {"t": 2, "candidate_percent": 0}],
                "latency_histogram": [{"le_ms": 1, "count": 20}, {"le_ms": 2, "count": 20}],
            },
            timeline=[{"at": at(1), "event": text}],
            log_tail=[text, "```", "~~~", "</pre></details>", "::error::no"],
        )
        for index, name in enumerate(("stage", "smoke-candidate", "perf-baseline", "promote"))
    ]
    planned = Plan((text,), text, text, text, text, text, text, {text: text})
    return Run(tuple(documents), planned, (text,), actor=text)


def write(run: Run, directory: Path) -> Path:
    """Write a run's evidence and plan as files and return the folder."""
    for document in run.evidence:
        document.write(directory)
    if run.plan:
        (directory / "plan.json").write_text(json.dumps(_document(run.plan)))
    return directory


def _document(planned: Plan) -> dict[str, Any]:
    return {
        "deployments": list(planned.deployments),
        "event": planned.event,
        "ref": planned.ref,
        "commit": planned.commit,
        "service": planned.service,
        "reason": planned.reason,
        "jobs": dict(planned.jobs),
        "interrupted": dict(planned.interrupted),
    }
