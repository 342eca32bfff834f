"""The alerts: what each one says, when it fires and resolves, where it goes, and what to do then."""

import re
import subprocess
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml

from kickoff import stack
from tests.tools import tool
from tests.unit.stack.stack_support import ROOT

RULES = [
    *sorted((ROOT / "configs/prometheus/rules").glob("*.yml")),
    ROOT / "configs/prometheus/targets/production/production.rules.yml",
]
ALERTMANAGER = ROOT / "configs/alertmanager/alertmanager.yml"
RUNBOOKS = ROOT / "docs/runbooks"
LINK = "{{ $externalLabels.runbooks }}"
CASES: list[dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parent / "alert_cases.yml").read_text(encoding="utf-8")
)
REDIS = [f"redis://redis-{number}:6379" for number in range(1, 7)]
NODE, OWN, MANAGER = (
    'instance="node-exporter:9100"',
    'instance="127.0.0.1:9090"',
    'instance="alertmanager:9093"',
)
POSTGRES = 'job="postgres",instance="postgres-exporter:9187"'
DISK = f'{NODE},device="/dev/vda",fstype="ext4",mountpoint="/"'
# Those of users only where they are not recorded already: the cases of days give the recorded ones.
TRAFFIC = {
    'traefik_service_requests_total{service="blue@file",code="200"}': "0+150x{n}",
    **{
        f'traefik_service_request_duration_seconds_bucket{{service="blue@file",le="{bound}"}}': "0+150x{n}"
        for bound in ("1", "2", "+Inf")
    },
}
WELL = {
    'up{job="football",instance="blue:8000"}': "1x{n}",
    **{f'up{{job="{job}"}}': "1x{n}" for job in ("traefik", "postgres", "node", "alertmanager", "public")},
    **{f'up{{job="redis",instance="{node}"}}': "1x{n}" for node in REDIS},
    'probe_success{job="public",instance="http://traefik:8083/health"}': "1x{n}",
    'cache_redis_up{job="football"}': "1x{n}",
    'container_memory_working_set_bytes{job="football",instance="blue:8000"}': "50x{n}",
    'container_memory_limit_bytes{job="football",instance="blue:8000"}': "100x{n}",
    'container_oom_kills_total{job="football",instance="blue:8000"}': "0x{n}",
    'pg_up{job="postgres"}': "1x{n}",
    f'pg_stat_database_numbackends{{{POSTGRES},datname="football"}}': "20x{n}",
    f"pg_settings_max_connections{{{POSTGRES}}}": "200x{n}",
    'pg_replication_slot_slot_is_active{slot_name="replica"}': "1x{n}",
    'pg_stat_replication_pg_wal_lsn_diff{application_name="replica"}': "1000x{n}",
    **{f'redis_up{{job="redis",instance="{node}"}}': "1x{n}" for node in REDIS},
    **{f'redis_cluster_slots_ok{{job="redis",instance="{node}"}}': "16384x{n}" for node in REDIS},
    "backup_last_success_timestamp_seconds": "0+{every}x{n}",
    "backup_interval_seconds": "86400x{n}",
    "backup_stream_timestamp_seconds": "0+{every}x{n}",
    'traefik_tls_certs_not_after{cn="football.example"}': "7776000x{n}",
    f"node_memory_MemAvailable_bytes{{{NODE}}}": "50x{n}",
    f"node_memory_MemTotal_bytes{{{NODE}}}": "100x{n}",
    f'node_cpu_seconds_total{{{NODE},cpu="0",mode="idle"}}': "0+{every}x{n}",
    f"node_vmstat_oom_kill{{{NODE}}}": "3x{n}",
    f"node_filesystem_avail_bytes{{{DISK}}}": "50x{n}",
    f"node_filesystem_size_bytes{{{DISK}}}": "100x{n}",
    f"node_textfile_scrape_error{{{NODE}}}": "0x{n}",
    f"prometheus_notifications_alertmanagers_discovered{{{OWN}}}": "1x{n}",
    f"prometheus_notifications_errors_total{{{OWN}}}": "0x{n}",
    f"prometheus_notifications_dropped_total{{{OWN}}}": "0x{n}",
    f'prometheus_rule_evaluation_failures_total{{{OWN},rule_group="a"}}': "0x{n}",
    f"prometheus_config_last_reload_successful{{{OWN}}}": "1x{n}",
    f'alertmanager_notifications_failed_total{{{MANAGER},integration="webhook"}}': "0x{n}",
    f"alertmanager_config_last_reload_successful{{{MANAGER}}}": "1x{n}",
}
"""A stack of production where all is well: ``{n}`` scrapes, ``{every}`` seconds apart."""
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


GROUPS: list[dict[str, Any]] = [
    group for path in RULES for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
]
NAMES = [group["name"] for group in GROUPS]
RECORDED = {group["name"] for group in GROUPS if all("record" in rule for rule in group["rules"])}
ALERTS: dict[str, dict[str, Any]] = {
    rule["alert"]: rule for group in GROUPS for rule in group["rules"] if "alert" in rule
}


def seconds(text: str) -> int:
    return sum(int(number) * UNITS[unit] for number, unit in re.findall(r"(\d+)([smhd])", text))


def series(case: Mapping[str, Any], every: int) -> list[dict[str, str]]:
    """Return the input of promtool: what is well, but for what the case says."""
    changed: dict[str, str | None] = case.get("series", {})
    known = {} if case.get("without") == "all" else WELL | (TRAFFIC if every == 15 else {})
    gone = [name for name, values in changed.items() if values is None]
    kept = {
        name: text for name, text in known.items() if not any(name == g or fnmatchcase(name, g) for g in gone)
    }
    kept |= {name: text for name, text in changed.items() if text is not None}
    n = max(map(seconds, case["firing"])) // every + 1
    return [
        {"series": name, "values": text.replace("{n}", str(n)).replace("{every}", str(every))}
        for name, text in kept.items()
    ]


def as_promtool_reads(case: Mapping[str, Any]) -> dict[str, Any]:
    """Return a file of promtool with one case."""
    interval = case.get("every", "15s")
    limits = ["thresholds.yml"] if case.get("limits", True) else []
    others = 'ALERTS{alertstate="firing",alertname!="Watchdog"}'
    return {
        "rule_files": [*limits, "rules.yml"],
        "evaluation_interval": case.get("evaluate", interval),
        "group_eval_order": ["thresholds", *sorted(NAMES, key=lambda name: name not in RECORDED)],
        "tests": [
            {
                "name": case["case"],
                "interval": interval,
                "external_labels": {"runbooks": "docs/runbooks/"},
                "input_series": series(case, seconds(interval)),
                "promql_expr_test": [
                    {
                        "expr": f"group by (alertname) ({others})",
                        "eval_time": when,
                        "exp_samples": [
                            {"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(names)
                        ],
                    }
                    for when, names in case["firing"].items()
                ]
                + [
                    {
                        "expr": f"count({others})",
                        "eval_time": when,
                        "exp_samples": [{"labels": "{}", "value": n}],
                    }
                    for when, n in case.get("count", {}).items()
                ],
            }
        ],
    }


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the limits of staging."""
    state = tmp_path_factory.mktemp("state")
    environ = {"ALERT_WEBHOOK_URL": "http://alerts.internal/hook", "KICKOFF_STATE_ROOT": str(state)}
    return stack.prepare("staging", ROOT, environ).folder


def run(program: str, *arguments: str, folder: Path = ROOT) -> str:
    done = subprocess.run(
        [tool(program), *arguments], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_rules_are_valid(prepared: Path) -> None:
    run("promtool", "check", "rules", "thresholds.yml", *map(str, RULES), folder=prepared)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_exactly_these_alerts_fire(prepared: Path, tmp_path: Path, case: dict[str, Any]) -> None:
    (tmp_path / "thresholds.yml").write_text((prepared / "thresholds.yml").read_text("utf-8"))
    # What needs days has cases of days.
    chosen = case.get("groups") or set(NAMES) - {"usual"}
    groups = [group for group in GROUPS if group["name"] in chosen]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": groups}))
    (tmp_path / "case.yml").write_text(yaml.safe_dump(as_promtool_reads(case)))
    run("promtool", "test", "rules", "case.yml", folder=tmp_path)


def test_every_alert_is_seen_to_fire_to_stay_silent_and_to_resolve() -> None:
    fires, silent, resolves = set[str](), set[str](), set[str]()
    for case in CASES:
        before = set[str]()
        for _, names in sorted(case["firing"].items(), key=lambda entry: seconds(entry[0])):
            resolves |= before - set(names)
            fires |= set(names)
            silent |= ALERTS.keys() - set(names)
            before |= set(names)
    tested = ALERTS.keys() - {"Watchdog"}
    assert fires == tested and silent >= tested
    # The limits do not come and go: who renders them restarts Prometheus.
    assert tested - resolves == {"ThresholdsMissing"}


def test_every_alert_says_how_bad_it_is_what_it_is_about_and_what_to_do() -> None:
    for name, rule in ALERTS.items():
        assert rule["labels"]["severity"] in {"critical", "warning", "none"}, name
        assert (rule["labels"]["severity"] == "none") == (name == "Watchdog")
        assert rule["labels"]["area"] in {"service", "host", "stores", "monitoring"}, name
        assert rule["annotations"].keys() == {"summary", "action", "runbook_url"}, name
        # What is expected while traffic moves never wakes anybody, and what takes a release back is about the service.
        role = rule["labels"].get("release")
        assert role in {None, "quiet", "veto"}, name
        assert role != "quiet" or rule["labels"]["severity"] == "warning", name
        assert role != "veto" or rule["labels"]["area"] == "service", name


def manager(folder: Path) -> str:
    """Return the file of Alertmanager's configuration in a form that every version knows."""
    text = ALERTMANAGER.read_text(encoding="utf-8")
    # The version of Debian 12 has no addresses in files.
    assert text.count("url_file: /run/secrets/alert_webhook_url") == text.count("webhook_configs")
    (folder / "alertmanager.yml").write_text(
        text.replace("url_file: /run/secrets/alert_webhook_url", "url: http://alerts.internal/hook")
    )
    return str(folder / "alertmanager.yml")


def test_alertmanager_takes_its_configuration(tmp_path: Path) -> None:
    assert "SUCCESS" in run("amtool", "check-config", manager(tmp_path))


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_goes_to_whom_its_severity_says(tmp_path: Path, name: str) -> None:
    labels = {"alertname": name, "environment": "production", **ALERTS[name]["labels"]}
    receiver = {"critical": "pager", "warning": "tickets", "none": "watchdog"}[labels["severity"]]
    given = [f"{key}={value}" for key, value in labels.items()]
    test = [
        "config",
        "routes",
        "test",
        f"--config.file={manager(tmp_path)}",
        f"--verify.receivers={receiver}",
    ]
    assert run("amtool", *test, *given).split() == [receiver]


def test_what_silences_another_alert_is_an_alert_and_so_is_what_it_silences() -> None:
    for rule in yaml.safe_load(ALERTMANAGER.read_text(encoding="utf-8"))["inhibit_rules"]:
        assert rule["equal"] == ["environment"]
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            if found := re.fullmatch(r'alertname(=~|=|!=)"(.+)"', matcher):
                meant = found[2].split("|") if found[1] == "=~" else [found[2]]
                for name in meant:
                    assert any(re.fullmatch(name, alert) for alert in ALERTS), matcher
            else:
                assert matcher == 'area="service"'


def test_a_page_of_the_database_is_no_page_of_a_release() -> None:
    """The engine may veto on alerts of the service; those of its stores, host and monitoring are no fault of a release."""
    area = {name: rule["labels"]["area"] for name, rule in ALERTS.items()}
    assert {name for name, where in area.items() if where == "service"} == {
        "ServiceDown", "PublicAddressDown", "ErrorRateHigh", "ErrorBudgetBurnFast", "ErrorBudgetBurnSlow",
        "ResponseTimeHigh", "TrafficUnusual", "CacheLost", "CacheHitsCollapsed", "ServiceMemoryHigh",
        "ServiceOutOfMemory",
    }  # fmt: skip


# -- runbooks -----------------------------------------------------------------------------------------------------


def runbook(name: str) -> Path:
    link: str = ALERTS[name]["annotations"]["runbook_url"]
    assert link.startswith(LINK), name
    return RUNBOOKS / link.removeprefix(LINK)


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    pages = {page.name for page in RUNBOOKS.glob("*.md")} - {"README.md"}
    assert pages == {runbook(name).name for name in ALERTS}
    assert len(pages) == len(ALERTS)
    listed = re.findall(r"^\| (\[.+\|.+) \|$", (RUNBOOKS / "README.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(
        f"[{name}]({runbook(name).name}) | {rule['labels']['severity']} | {rule['labels']['area']}"
        for name, rule in ALERTS.items()
    )


@pytest.mark.parametrize("name", ALERTS)
def test_a_runbook_says_what_it_means_what_to_look_at_what_to_do_and_when_to_wake_somebody(name: str) -> None:
    text = runbook(name).read_text(encoding="utf-8")
    assert text.startswith(f"# {name}\n")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["What it means", "Look", "Do", "Wake somebody"]
    look = text.partition("## Look")[2].partition("## Do")[0]
    [commands] = re.findall(r"^```sh\n(.+?)^```$", look, re.MULTILINE | re.DOTALL)
    assert len(commands.splitlines()) == 3, name
    assert len(text.splitlines()) <= 45, name


def services() -> set[str]:
    texts = [(ROOT / f"docker-compose.{name}.yml").read_text("utf-8") for name in ("staging", "production")]
    return {name for text in texts for name in re.findall(r"^  ([a-z][a-z0-9-]*):", text, re.MULTILINE)}


PAGES = [*sorted(RUNBOOKS.glob("*.md")), ROOT / "docs/how-to/alerts.md", ROOT / "docs/how-to/capacity.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_runbook_has_people_type_parses(page: Path, tmp_path: Path) -> None:
    text = page.read_text("utf-8")
    blocks = re.findall(r"^```sh\n(.+?)^```$", text, re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        subprocess.run(["sh", "-n"], input=block, text=True, check=True, capture_output=True)
    used = r"docker compose -p \S+ (?:logs --tail \d+|exec|restart|start|ps) ([a-z][a-z0-9-]*)"
    assert set(re.findall(used, text)) <= services()
    asked = re.findall(r"promtool query instant \S+ '(.+)'$", "\n".join(blocks), re.MULTILINE)
    rules = [{"record": f"asked:{number}", "expr": expression} for number, expression in enumerate(asked)]
    (tmp_path / "asked.yml").write_text(yaml.safe_dump({"groups": [{"name": "asked", "rules": rules}]}))
    run("promtool", "check", "rules", "asked.yml", folder=tmp_path)
    # What is recorded is recorded; metrics of exporters are not known here.
    recorded = {rule["record"] for group in GROUPS for rule in group["rules"] if "record" in rule}
    assert set(re.findall(r"\b(?:service|slo):\w+(?::\w+)?", " ".join(asked))) <= recorded
