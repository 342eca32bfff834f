"""What `kickoff stack prepare` leaves on a host, and the alert rules with the limits it renders."""

import re
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from kickoff import stack
from kickoff.environment.loader import load
from kickoff.errors import KickoffError
from kickoff.stack import declaration, preparing
from kickoff.stack.secret_files import Held
from tests.unit.stack.stack_support import ROOT, STACKS, compose

WEBHOOK = {"ALERT_WEBHOOK_URL": "http://alerts.internal/hook"}


def contents(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(params=STACKS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_second_time_changes_nothing(name: str, tmp_path: Path) -> None:
    environ = WEBHOOK | {"KICKOFF_STATE_ROOT": str(tmp_path)}
    first = stack.prepare(name, ROOT, environ)
    before = contents(first.folder)
    again = stack.prepare(name, ROOT, {"KICKOFF_STATE_ROOT": str(tmp_path)})
    assert "api_key" in first.made and again.made == []
    assert contents(again.folder) == before
    assert stat.S_IMODE(first.folder.stat().st_mode) == 0o700


def test_no_secret_is_written_where_another_user_can_go(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[int] = []

    def keep(held: Held, values: Mapping[str, str]) -> list[str]:
        modes.extend(stat.S_IMODE(folder.stat().st_mode) for folder in list(held.folder.parents)[:2])
        return sorted(values)

    monkeypatch.setattr(Held, "keep", keep)
    stack.prepare(name, ROOT, WEBHOOK | {"KICKOFF_STATE_ROOT": str(tmp_path)})
    assert modes == [0o700, 0o700]


def test_an_empty_value_is_rendered_as_nothing(tmp_path: Path) -> None:
    (tmp_path / "configs" / "environments").mkdir(parents=True)
    (tmp_path / "configs" / "environments" / "development.env").write_text("PUBLIC_PORT=8000\n")
    (tmp_path / "configs" / "limits.yml").write_text("host: '{DEPLOY_HOST}', port: {PUBLIC_PORT}\n")
    needs = declaration.Declaration({}, (), {"limits.yml": "configs/limits.yml"})
    found = preparing.render(needs, tmp_path, load("development", tmp_path, {}), {})
    assert found == {"limits.yml": "host: '', port: 8000\n"}


def test_what_it_writes_is_all_that_compose_needs(name: str, tmp_path: Path) -> None:
    prepared = stack.prepare(name, ROOT, WEBHOOK | {"KICKOFF_STATE_ROOT": str(tmp_path)})
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    document = yaml.safe_load(compose(name, prepared.folder / "compose.env", environ, "config"))
    sources = [secret["file"] for secret in document["secrets"].values()]
    sources += [
        mount["source"]
        for service in document["services"].values()
        for mount in service.get("volumes", [])
        if mount["type"] == "bind"
    ]
    ours = [source for source in sources if source.startswith(str(prepared.folder))]
    assert len(ours) > len(document["secrets"])
    assert [source for source in sources if not Path(source).exists()] == []
    names = stack.read(ROOT, name).logins  # of users: no secret
    secrets = {p.read_text() for p in (prepared.folder / "secrets").iterdir() if p.name not in names} - {""}
    assert len(secrets) > 5
    assert not any(secret in (prepared.folder / "compose.env").read_text() for secret in secrets)


def test_passwords_agree_with_the_addresses(name: str, tmp_path: Path) -> None:
    folder = stack.prepare(name, ROOT, WEBHOOK | {"KICKOFF_STATE_ROOT": str(tmp_path)}).folder / "secrets"
    assert (folder / "postgres_app_password").read_text() in (folder / "database_url").read_text()
    assert (folder / "redis_password").read_text() in (folder / "redis_url").read_text()


def test_without_a_receiver_of_alerts_it_refuses(tmp_path: Path) -> None:
    with pytest.raises(KickoffError, match="no alert would reach anybody") as caught:
        stack.prepare("staging", ROOT, {"KICKOFF_STATE_ROOT": str(tmp_path)})
    assert caught.value.code == 2
    assert list(tmp_path.iterdir()) == []


def test_another_password_than_the_servers_is_refused(tmp_path: Path) -> None:
    environ = WEBHOOK | {"KICKOFF_STATE_ROOT": str(tmp_path)}
    stack.prepare("staging", ROOT, environ)
    other = {"DATABASE_URL": "postgresql+psycopg://football:8f2a91c0d4e7b653@postgres:5432/football"}
    with pytest.raises(KickoffError, match="differs from the one this stack was made with") as caught:
        stack.prepare("staging", ROOT, environ | other)
    assert "8f2a91c0d4e7b653" not in caught.value.render()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://football:8f2a91c0d4e7b653@elsewhere:5432/football",
        "postgresql+psycopg://football@postgres:5432/football",
        "postgresql+psycopg://root:8f2a91c0d4e7b653@postgres:5432/football",
        "sqlite+aiosqlite:///football.db",
    ],
)
def test_an_address_of_another_server_is_refused(tmp_path: Path, url: str) -> None:
    environ = WEBHOOK | {"KICKOFF_STATE_ROOT": str(tmp_path), "DATABASE_URL": url}
    with pytest.raises(KickoffError, match="does not lead to this stack's server"):
        stack.prepare("staging", ROOT, environ)
    assert list(tmp_path.rglob("secrets/*")) == []


def test_the_limits_of_the_alerts_are_those_of_the_environment(name: str, tmp_path: Path) -> None:
    prepared = stack.prepare(name, ROOT, WEBHOOK | {"KICKOFF_STATE_ROOT": str(tmp_path)})
    secrets = {
        f"{k}_FILE": str(prepared.folder / "secrets" / k.lower())
        for k in ("API_KEY", "DATABASE_URL", "REDIS_URL")
    }
    environment = load(name, ROOT, secrets)
    rules = yaml.safe_load((prepared.folder / "thresholds.yml").read_text())["groups"][0]["rules"]
    found = {rule["record"]: float(re.fullmatch(r"vector\((.+)\)", rule["expr"])[1]) for rule in rules}  # type: ignore[index]
    assert found == {
        "kickoff:error_rate_threshold:ratio": environment.fraction("ERROR_RATE_THRESHOLD"),
        "kickoff:response_time_threshold:seconds": environment.seconds("RESPONSE_TIME_THRESHOLD"),
        "kickoff:memory_usage_threshold:ratio": environment.fraction("MEMORY_USAGE_THRESHOLD"),
        "kickoff:cpu_usage_threshold:ratio": environment.fraction("CPU_USAGE_THRESHOLD"),
    }


def test_every_limit_is_used_and_missed_when_it_is_not_there() -> None:
    files = (ROOT / "configs/prometheus/rules").glob("*.yml")
    groups = [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]
    rules = {
        rule.get("alert", rule.get("record")): rule["expr"] for group in groups for rule in group["rules"]
    }
    missing = rules.pop("ThresholdsMissing")
    used = set(re.findall(r"kickoff:\w+:\w+", " ".join(rules.values())))
    rendered = (ROOT / "configs/prometheus/thresholds.yml").read_text()
    assert (
        used
        == set(re.findall(r"kickoff:\w+:\w+", rendered))
        == set(re.findall(r"absent\((kickoff:\w+:\w+)\)", missing))
    )


def test_what_preparing_would_write_is_known_beforehand(tmp_path: Path) -> None:
    environ = WEBHOOK | {"KICKOFF_STATE_ROOT": str(tmp_path)}
    folder = stack.prepare("staging", ROOT, environ).folder
    assert stack.upcoming("staging", ROOT, environ) == contents(folder)
    other = stack.upcoming(
        "staging", ROOT, environ | {"ALERT_WEBHOOK_URL": "http://x/", "KICKOFF_PORT": "8111"}
    )
    differing = {file for file, text in contents(folder).items() if other[file] != text}
    assert differing == {"secrets/alert_webhook_url", "compose.env"}
