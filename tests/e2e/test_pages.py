"""Pages per incident: faults replayed in front of a real Prometheus and a real Alertmanager, twenty times as fast.

The rules and both configurations are the stack's own; only their durations are shorter, and one stand-in answers for
all exporters. A webhook counts what arrives.
"""

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from kickoff import stack
from kickoff.evidence import RuleResult, Verdict
from kickoff.release import alerts
from kickoff.release.targets.ports import free_port
from tests.servers import running
from tests.tools import tool

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).resolve().parents[2]
SPEED = 20
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
ERRORS = 'traefik_service_requests_total{service="blue@file",code="502"}'
UP, ROUTE, DATABASE = (
    'up{job="football",instance="blue:8000"}',
    'probe_success{job="public"}',
    'pg_up{job="postgres"}',
)
REDIS = [f"redis://redis-{number}:6379" for number in range(1, 7)]
WELL: dict[str, float] = {
    UP: 1,
    **{f'up{{job="{job}"}}': 1 for job in ("traefik", "postgres", "node", "alertmanager", "public")},
    ROUTE: 1,
    DATABASE: 1,
    'cache_redis_up{job="football"}': 1,
    'pg_replication_slot_slot_is_active{slot_name="replica"}': 1,
    **{f'redis_up{{job="redis",instance="{node}"}}': 1 for node in REDIS},
    **{f'redis_cluster_slots_ok{{job="redis",instance="{node}"}}': 16384 for node in REDIS},
    "backup_interval_seconds": 86400,
    "backup_last_success_timestamp_seconds": time.time(),
    "backup_stream_timestamp_seconds": time.time() + 1e9,
    'traefik_tls_certs_not_after{cn="football.example"}': time.time() + 90 * 86400,
}
RATES = {'traefik_service_requests_total{service="blue@file",code="200"}': 10.0}
"""Requests a second of the replayed time."""


def shorter(text: str) -> str:
    """Return rules or a configuration with every duration divided."""

    def divided(found: re.Match[str]) -> str:
        seconds = int(found[2]) * UNITS[found[3]]
        return f"{found[1]}{max(seconds * 1000 // SPEED, 1)}ms"

    keys = r"for|keep_firing_for|interval|scrape_interval|evaluation_interval|group_wait|group_interval|repeat_interval"
    return re.sub(rf"(\[|offset |\b(?:{keys}): )(\d+)([smhd])\b", divided, text)


@dataclass
class Incident:
    """The exporters of a stack, and whoever is told.

    Attributes:
        values: Gauges as they are now.
        rates: Counters, by how much they grow in a second of the replayed time.
        posts: What arrived, in order.
    """

    values: dict[str, float] = field(default_factory=lambda: dict(WELL))
    rates: dict[str, float] = field(default_factory=lambda: dict(RATES))
    posts: list[dict[str, Any]] = field(default_factory=list)
    prometheus: str = ""
    alertmanager: str = ""
    counters: dict[str, float] = field(default_factory=dict)
    read: float = field(default_factory=time.monotonic)

    def metrics(self) -> str:
        now = time.monotonic()
        for name, rate in self.rates.items():
            self.counters[name] = self.counters.get(name, 0.0) + rate * (now - self.read) * SPEED
        self.read = now
        lines = {**self.values, **self.counters}.items()
        return "".join(f"{name} {value}\n" for name, value in lines)

    def passes(self, minutes: float) -> None:
        """Let a time pass."""
        time.sleep(minutes * 60 / SPEED)

    def told(self, receiver: str, status: str = "firing") -> list[list[str]]:
        """Return which alerts had this state in each post to a receiver that has any."""
        posts = [post["alerts"] for post in self.posts if post["receiver"] == receiver]
        names = [[a["labels"]["alertname"] for a in alerts if a["status"] == status] for alerts in posts]
        return [sorted(name) for name in names if name]

    def fired(self) -> set[str]:
        """Return every alert that Prometheus saw fire."""
        query = {"query": 'group by (alertname) (max_over_time(ALERTS{alertstate="firing"}[1h]))'}
        answer = httpx.get(f"{self.prometheus}/api/v1/query", params=query).raise_for_status().json()
        return {row["metric"]["alertname"] for row in answer["data"]["result"]} - {"Watchdog"}


@contextmanager
def answering(incident: Incident) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(incident.metrics())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            incident.posts.append(json.loads(body))
            self.answer("")

        def answer(self, text: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    with running(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
        yield f"127.0.0.1:{server.server_address[1]}"


@contextmanager
def serving(command: list[str], ready: str, folder: Path, environ: Mapping[str, str]) -> Iterator[None]:
    log = folder / f"{Path(command[0]).name}.log"
    with log.open("w") as output:
        process = subprocess.Popen(command, cwd=folder, env=dict(environ), stdout=output, stderr=output)
        try:
            deadline = time.monotonic() + 60
            while True:
                assert process.poll() is None and time.monotonic() < deadline, log.read_text()
                with suppress(httpx.HTTPError):
                    if httpx.get(ready).status_code == 200:
                        break
                time.sleep(0.1)
            yield
        finally:
            process.terminate()
            process.wait(30)


def alertmanager(folder: Path, webhook: str) -> tuple[list[str], str]:
    """Return the command and the address of Alertmanager with the stack's configuration."""
    text = (ROOT / "configs/alertmanager/alertmanager.yml").read_text("utf-8")
    # Debian 12 has a version that knows no address in a file.
    text = text.replace("url_file: /run/secrets/alert_webhook_url", f"url: http://{webhook}/")
    (folder / "alertmanager.yml").write_text(shorter(text))
    address = f"127.0.0.1:{free_port()}"
    command = [
        tool("prometheus-alertmanager", "alertmanager"),
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
    ]
    return command, address


def prometheus(folder: Path, exporter: str, manager: str) -> tuple[list[str], str]:
    """Return the command and the address of Prometheus with the stack's rules, which asks one exporter for all."""
    environ = {"ALERT_WEBHOOK_URL": f"http://{exporter}/", "KICKOFF_STATE_ROOT": str(folder / "state")}
    limits = stack.prepare("production", ROOT, environ).folder / "thresholds.yml"
    rules = [*(ROOT / "configs/prometheus/rules").glob("*.yml"), limits]
    rules.append(ROOT / "configs/prometheus/targets/production/production.rules.yml")
    (folder / "rules").mkdir()
    for path in rules:
        (folder / "rules" / path.name).write_text(shorter(path.read_text("utf-8")))
    text = shorter((ROOT / "configs/prometheus/prometheus.yml").read_text("utf-8"))
    configuration = yaml.safe_load(text) | {"rule_files": ["rules/*.yml"]}
    configuration["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [manager]}]}]
    stand_in = {"job_name": "stand-in", "honor_labels": True, "static_configs": [{"targets": [exporter]}]}
    configuration["scrape_configs"] = [stand_in]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    address = f"127.0.0.1:{free_port()}"
    command = [
        tool("prometheus"),
        "--config.file=prometheus.yml",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address={address}",
        # What is sent while Alertmanager is not known yet is sent again.
        f"--rules.alert.resend-delay={60 // SPEED}s",
        # What 3.0 does by itself.
        "--enable-feature=expand-external-labels",
    ]
    return command, address


@pytest.fixture
def incident(tmp_path: Path) -> Iterator[Incident]:
    """A stack where all is well, which has been released to."""
    with watched(tmp_path, Incident()) as one:
        one.passes(3)
        assert one.told("pager") == one.told("tickets") == []
        yield one


@contextmanager
def watched(folder: Path, one: Incident) -> Iterator[Incident]:
    labels = {"APP_ENV": "production", "RUNBOOKS_URL": "https://example.org/runbooks/"}
    with answering(one) as exporter:
        manager, at = alertmanager(folder, exporter)
        server, address = prometheus(folder, exporter, at)
        one.alertmanager, one.prometheus = f"http://{at}", f"http://{address}"
        with (
            serving(manager, f"{one.alertmanager}/-/ready", folder, labels),
            serving(server, f"{one.prometheus}/-/ready", folder, labels),
        ):
            yield one


def fails(rate: float) -> Callable[[Incident], None]:
    return lambda one: one.rates.update({ERRORS: rate})


def stops(*names: str) -> Callable[[Incident], None]:
    return lambda one: one.values.update(dict.fromkeys(names, 0.0))


# The fault, what follows from it, and the one page it is.
FAULTS: list[tuple[str, list[Callable[[Incident], None]], str, set[str]]] = [
    ("the database stops", [stops(DATABASE), fails(5)], "DatabaseDown", {"DatabaseDown", "ErrorRateHigh"}),
    ("a release answers with errors", [fails(2)], "ErrorRateHigh", {"ErrorRateHigh"}),
    (
        "the service goes down",
        [stops(UP, ROUTE), fails(10)],
        "ServiceDown",
        {"ServiceDown", "PublicAddressDown", "ErrorRateHigh"},
    ),
    ("the route is lost", [stops(ROUTE)], "PublicAddressDown", {"PublicAddressDown"}),
]


def said_of(incident: Incident, since: datetime) -> RuleResult:
    """Return what the alerts say of a release that began to meet users then."""
    return alerts.judge(alerts.read(incident.prometheus), {"release": "veto"}, since)


@pytest.mark.parametrize(("fault", "causes", "page", "fired"), FAULTS, ids=[row[0] for row in FAULTS])
def test_an_incident_is_one_page_and_one_end(
    incident: Incident, fault: str, causes: list[Callable[[Incident], None]], page: str, fired: set[str]
) -> None:
    began = datetime.now(UTC)
    assert said_of(incident, began).verdict is Verdict.PASS
    for cause in causes:
        cause(incident)
    incident.passes(5)
    # A release in whose bake this happens is taken back; one that it happened before is not blamed.
    accused = said_of(incident, began)
    assert accused.verdict is Verdict.FAIL and accused.measured.split()[0] in fired, accused
    assert re.search(r"; runbook https://example\.org/runbooks/[a-z-]+\.md$", accused.reason)
    assert said_of(incident, datetime.now(UTC)).verdict is Verdict.PASS
    incident.values.update(WELL)
    incident.rates.pop(ERRORS, None)
    incident.passes(9)
    print(f"{fault}: fired {sorted(incident.fired())}, paged {incident.told('pager')}")
    assert incident.fired() == fired
    assert incident.told("pager") == [[page]]
    # What was held back is over, too, and may be named with it.
    [over] = incident.told("pager", "resolved")
    assert page in over
    assert incident.told("tickets") == []
    [alert] = next(post["alerts"] for post in incident.posts if post["receiver"] == "pager")
    assert alert["labels"]["environment"] == "production" and "runbooks" not in alert["labels"]
    assert re.fullmatch(r"https://example\.org/runbooks/[a-z-]+\.md", alert["annotations"]["runbook_url"])


def test_the_first_release_pages_nobody_and_what_goes_away_after_it_does(tmp_path: Path) -> None:
    with watched(tmp_path, Incident(values={}, rates={})) as one:
        one.passes(5)
        assert one.told("pager") == one.told("tickets") == []
        assert one.told("watchdog") == [["Watchdog"]]
        one.values.update(WELL)
        one.passes(5)
        assert one.told("pager") == one.told("tickets") == []
        one.values.pop(UP)
        one.passes(8)
        assert one.told("pager") == [["ServiceDown"]]


def test_a_silence_for_the_time_of_a_switch_hides_what_is_expected_then_and_nothing_else(
    tmp_path: Path,
) -> None:
    one = Incident()
    with answering(one) as webhook:
        command, at = alertmanager(tmp_path, webhook)
        with serving(command, f"http://{at}/-/ready", tmp_path, {}):

            def amtool(*arguments: str) -> None:
                done = [tool("amtool"), f"--alertmanager.url=http://{at}", *arguments]
                subprocess.run(done, check=True, capture_output=True, timeout=30)

            amtool(
                "silence", "add", "--author=kickoff", "--duration=30m", "--comment=a release",
                "release=quiet", "environment=production",
            )  # fmt: skip
            here = ["severity=warning", "area=service", "environment=production"]
            amtool("alert", "add", "ResponseTimeHigh", *here, "release=quiet")
            amtool("alert", "add", "CacheLost", *here)
            elsewhere = ["severity=warning", "area=service", "environment=staging"]
            amtool("alert", "add", "ResponseTimeHigh", *elsewhere, "release=quiet")
            one.passes(4)
    arrived = {
        (alert["labels"]["alertname"], alert["labels"]["environment"])
        for post in one.posts
        for alert in post["alerts"]
    }
    assert arrived == {("CacheLost", "production"), ("ResponseTimeHigh", "staging")}
