"""What holds for every service of both stacks."""

import re
import shutil
import subprocess
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from kickoff.environment.loader import inspect
from kickoff.environment.schema import read
from kickoff.environment.values import duration
from kickoff.release.route import CANDIDATE, PUBLIC
from kickoff.release.routers.traefik import BUCKETS
from kickoff.release.targets.compose.services import ADDED
from tests.unit.stack.stack_support import BIN, ROOT

ONCE = {"init", "migrate", "restore"}
STATEFUL = {"postgres", "postgres-replica", "prometheus", "grafana", "alertmanager"}


def services(resolved: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = resolved["services"]
    assert {"traefik", "blue", "green", "migrate", "postgres", "backup", "prometheus"} <= set(found)
    return found


def test_every_service_is_confined(resolved: dict[str, Any]) -> None:
    for name, service in services(resolved).items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service.get("cap_add", []) == (["CHOWN"] if name == "init" else []), name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not service.get("privileged"), name
        assert float(service["cpus"]) > 0, name
        assert int(service["mem_limit"]) >= 64 * 2**20, name
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}, name
        assert re.fullmatch(r"\d+:\d+", service["user"]), name
        assert name == "init" or not service["user"].startswith("0:"), name
        assert not any("docker.sock" in str(volume) for volume in service.get("volumes", [])), name


def test_what_stays_is_restarted_and_watched_and_what_runs_once_is_not(resolved: dict[str, Any]) -> None:
    for name, service in services(resolved).items():
        if name in ONCE:
            assert service["restart"] == "no", name
            assert service["healthcheck"]["disable"] is True, name
        else:
            assert service["restart"] == "unless-stopped", name
            assert service["healthcheck"]["test"][0] == "CMD", name


def test_every_image_has_a_full_version(resolved: dict[str, Any]) -> None:
    for name, service in services(resolved).items():
        if service["image"] == "football:local":
            assert name in {"blue", "green", "migrate"}
        else:
            assert re.search(r":v?\d+\.\d+(\.\d+)?(-alpine\d\.\d+)?$", service["image"]), (
                name,
                service["image"],
            )


def test_the_base_image_has_a_full_version() -> None:
    for path in (ROOT / "Dockerfile", *ROOT.glob("configs/*/*.Dockerfile")):
        images = re.findall(r"^(?:ARG BASE_IMAGE=|FROM )(?!\$)(\S+)", path.read_text(), re.MULTILINE)
        assert images
        for image in images:
            assert re.search(r":v?\d+\.\d+(\.\d+)?(-alpine\d\.\d+)?$", image), image


def test_traefik_alone_has_ports_for_users_and_the_engines_are_on_the_loopback(
    resolved: dict[str, Any],
) -> None:
    published = {
        name: service["ports"] for name, service in services(resolved).items() if service.get("ports")
    }
    assert set(published) == {"traefik", "prometheus"}
    for name, ports in published.items():
        for port in ports:
            if name == "prometheus" or port["target"] in {8081, 8082, 8083}:
                assert port["host_ip"] == "127.0.0.1"


def test_networks(resolved: dict[str, Any]) -> None:
    frontend, engine, backend = (
        resolved["networks"][f"football-{name}"] for name in ("frontend", "engine", "backend")
    )
    assert (
        frontend["driver_opts"] == engine["driver_opts"] == {"com.docker.network.bridge.enable_icc": "false"}
    )
    assert backend["internal"] is True
    assert backend["driver_opts"] == {"com.docker.network.bridge.gateway_mode_ipv4": "isolated"}
    joined = {
        key: {name for name, service in services(resolved).items() if key in (service.get("networks") or {})}
        for key in resolved["networks"]
    }
    assert joined["football-frontend"] == {"traefik", "alertmanager", "backup", "restore"}
    assert joined["football-engine"] == {"prometheus"}


def test_no_address_is_fixed_where_the_engine_gives_addresses(resolved: dict[str, Any]) -> None:
    """After a start in another order, another container would have it."""
    for key, network in resolved["networks"].items():
        fixed = [
            ip_address(joined[key]["ipv4_address"])
            for service in services(resolved).values()
            if "ipv4_address" in ((joined := service.get("networks") or {}).get(key) or {})
        ]
        for config in (network.get("ipam") or {}).get("config") or []:
            assert all(address in ip_network(config["subnet"]) for address in fixed)
            assert not any(address in ip_network(config["ip_range"]) for address in fixed)
        assert not fixed or network["ipam"]["config"], key


def test_no_secret_stands_in_an_environment_or_a_command(resolved: dict[str, Any]) -> None:
    folder = resolved["secrets"]
    assert all(set(secret) >= {"file"} for secret in folder.values())
    schema = read(ROOT)
    for name, service in services(resolved).items():
        assert schema.secrets.isdisjoint(service.get("environment") or {}), name
        for secret in service.get("secrets", []):
            assert secret["source"] in folder, name


def test_the_service_has_right_values_before_a_release_gives_it_all(resolved: dict[str, Any]) -> None:
    schema = read(ROOT)
    wanted = {key.name for key in schema.keys.values() if key.audience == "service"}
    environment = resolved["services"]["blue"]["environment"]
    name = environment["APP_ENV"]
    values = inspect(name, ROOT, schema, {}, with_secrets=False).values
    for colour in ("blue", "green", "migrate"):
        service = resolved["services"][colour]
        given = service["environment"]
        [mount] = [m for m in service["volumes"] if m["target"] == "/run/secrets"]
        assert mount["read_only"] is True and not service.get("secrets"), colour
        assert schema.secrets.isdisjoint(given), colour
        assert all(given[key] == values[key] for key in wanted & set(given)), colour
    blue, green = resolved["services"]["blue"], resolved["services"]["green"]
    assert blue["environment"].keys() == green["environment"].keys()
    assert duration(values["SHUTDOWN_GRACE"]) == 15 and blue["stop_grace_period"] == "15s"


def test_a_colour_is_given_nothing_that_the_comparison_with_its_file_would_call_a_change(
    resolved: dict[str, Any],
) -> None:
    given = set(resolved["services"]["blue"]["environment"])
    assert given - ADDED - {"KICKOFF_RELEASE"} <= set(read(ROOT).keys)


def test_traefik_is_set_up_as_the_release_engine_expects(resolved: dict[str, Any]) -> None:
    options = dict(
        flag.removeprefix("--").split("=", 1) for flag in resolved["services"]["traefik"]["command"]
    )
    name = resolved["services"]["blue"]["environment"]["APP_ENV"]
    slow = inspect(name, ROOT, read(ROOT), {}, with_secrets=False).values["RESPONSE_TIME_THRESHOLD"]
    buckets = [float(bound) for bound in options["metrics.prometheus.buckets"].split(",")]
    assert buckets == sorted({*BUCKETS, duration(slow)})
    assert {f"entryPoints.{entry}.address" for entry in (PUBLIC, CANDIDATE, "traefik")} <= set(options)
    assert options["providers.providersThrottleDuration"] == "50ms"
    # Whoever is served last keeps all the others waiting when the proxy is changed.
    users = {PUBLIC, "plain", "local"} & {option.split(".")[1] for option in options if ".address" in option}
    graces = {options.get(f"entryPoints.{entry}.transport.lifeCycle.graceTimeOut", "10s") for entry in users}
    assert max(map(duration, graces)) <= 5
    assert not any(option.startswith("providers.docker") for option in options)
    known = yaml.safe_load((ROOT / "configs/traefik/dynamic/common.yml").read_text())["http"]["middlewares"]
    used = options["entryPoints.public.http.middlewares"].split(",")
    assert {f"{name}@file" for name in known} == set(used)


def test_the_proxy_and_the_service_send_their_traces_through_the_backend_alone(
    resolved: dict[str, Any],
) -> None:
    found = services(resolved)
    options = dict(flag.removeprefix("--").split("=", 1) for flag in found["traefik"]["command"])
    service = found["blue"]["environment"]
    receiver = service["OTEL_EXPORTER_OTLP_ENDPOINT"]
    assert options["tracing.otlp.http.endpoint"] == f"{receiver}/v1/traces"
    assert options["tracing.sampleRate"] == service["OTEL_TRACES_SAMPLER_ARG"]
    assert 0 < float(service["OTEL_TRACES_SAMPLER_ARG"]) < 1
    assert set(found["jaeger"]["networks"]) == set(found["blue"]["networks"]) == {"football-backend"}
    assert receiver == "http://jaeger:4318" and not found["jaeger"].get("ports")
    assert "football-backend" in found["traefik"]["networks"]


def test_the_data_of_what_has_a_state_is_in_a_named_volume(resolved: dict[str, Any]) -> None:
    for name in STATEFUL & set(services(resolved)):
        mounts = resolved["services"][name]["volumes"]
        assert any(mount["type"] == "volume" for mount in mounts), name


def test_every_file_that_is_mounted_exists(resolved: dict[str, Any]) -> None:
    for name, service in services(resolved).items():
        for mount in service.get("volumes", []):
            if mount["type"] == "bind":
                assert mount["read_only"] is True, (name, mount)
                if ".kickoff" not in mount["source"]:
                    assert Path(mount["source"]).exists(), (name, mount)


def test_every_environment_has_a_stack_of_its_own_name(resolved: dict[str, Any]) -> None:
    assert resolved["name"] == f"football-{resolved['services']['blue']['environment']['APP_ENV']}"


def test_redis_targets_are_the_servers_of_the_stack(resolved: dict[str, Any]) -> None:
    volumes = resolved["services"]["prometheus"]["volumes"]
    [mounted] = [one["source"] for one in volumes if one["target"] == "/etc/prometheus/targets"]
    groups = yaml.safe_load((Path(mounted) / "redis.yml").read_text())
    servers = {s for s in services(resolved) if re.fullmatch(r"redis(-\d)?", s)}
    assert {target for group in groups for target in group["targets"]} == {
        f"redis://{s}:6379" for s in servers
    }


def test_hadolint_finds_nothing() -> None:
    linter = shutil.which("hadolint", path=str(BIN)) or shutil.which("hadolint")
    if linter is None:
        pytest.skip("hadolint is not installed")
    files = ["Dockerfile", *map(str, ROOT.glob("configs/*/*.Dockerfile"))]
    done = subprocess.run([linter, *files], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_only_what_the_image_is_made_of_reaches_the_builder() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    allowed = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    copied = set(re.findall(r"^COPY (?!--from)(\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    assert copied == allowed
