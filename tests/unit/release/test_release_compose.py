"""What the compose target reads out of a container: its connections, its memory and its processor time."""

import json
import subprocess
import sys
from pathlib import Path

from kickoff.release.targets.compose.engine import established, listening, processors, usage
from kickoff.release.targets.compose.services import WORKER, with_values, with_workers

TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000 10001        0 1
   1: 0200A8C0:1F40 0300A8C0:C001 01 00000000:00000000 00:00000000 00000000 10001        0 2
   2: 0200A8C0:C002 0300A8C0:1F40 01 00000000:00000000 00:00000000 00000000 10001        0 3
   3: 0200A8C0:1F40 0300A8C0:C003 06 00000000:00000000 00:00000000 00000000 10001        0 4
  sl  local_address                         remote_address                        st tx_queue
   0: 0000000000000000FFFF00000200A8C0:1F40 0000000000000000FFFF00000300A8C0:C004 01 00000000:00000000
"""


def test_only_established_connections_to_the_port_count() -> None:
    assert established(TABLE, 8000) == 2
    assert established(TABLE, 8001) == 0
    assert established("", 8000) == 0


def test_ports_that_are_listened_on_are_seen_without_docker_s_resolver() -> None:
    head, mine = "  sl  local_address rem_address st", "  0: 00000000:1F40 00000000:0000 0A"
    resolver = "  1: 0B00007F:A3C1 00000000:0000 0A"
    assert listening("\n".join((head, mine, resolver))) == {8000}
    assert listening("\n".join((head, resolver))) == frozenset()


def test_usage_leaves_the_page_cache_out() -> None:
    second = {"memory_stats": {"usage": 300, "stats": {"inactive_file": 100}}, "cpu_stats": {"cpu_usage": {"total_usage": 2_500_000_000}}}  # fmt: skip
    assert usage(second) == (200, 2.5)
    first = {"memory_stats": {"usage": 300, "stats": {"total_inactive_file": 50}}}
    assert usage(first) == (250, 0.0)
    assert usage({}) == (0, 0.0)


def test_a_container_may_use_what_it_is_limited_to_or_all_that_the_host_has() -> None:
    host = {"cpu_stats": {"online_cpus": 8}}
    assert processors({"NanoCpus": 500_000_000}, host) == 0.5
    assert processors({"NanoCpus": 0, "CpuQuota": 200_000, "CpuPeriod": 0}, host) == 2
    assert processors({"NanoCpus": 0, "CpuQuota": 50_000, "CpuPeriod": 100_000}, host) == 0.5
    assert processors({"CpuQuota": -1}, host) == 8


def test_each_service_of_a_release_has_its_values_however_its_compose_file_lists_them(tmp_path: Path) -> None:
    blue = {"image": "a", "environment": {"OWN": "1"}}
    document = {"name": "x", "services": {"blue": blue, "green": {"image": "a"}}}
    values = {"APP_ENV": "staging", "GREETING": "it's $5 for ${NAME}"}
    path = tmp_path / "release.json"
    path.write_text(json.dumps(with_values(document, values)), encoding="utf-8")
    compose = str(Path(sys.executable).with_name("docker-compose"))
    command = [compose, "-f", str(path), "config", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    read = json.loads(done.stdout)["services"]
    # What compose prints is escaped again, for the next one who reads it.
    escaped = {key: text.replace("$", "$$") for key, text in values.items()}
    assert read["blue"]["environment"] == {"OWN": "1", **escaped}
    assert read["green"]["environment"] == escaped


def test_a_worker_is_its_colour_s_container_and_is_reached_by_nobody() -> None:
    blue = {
        "image": "a",
        "command": ["serve"],
        "expose": ["8000"],
        "labels": {"traefik.enable": "true"},
        "networks": {"back": {"aliases": ["blue.local"]}},
        "secrets": [{"source": "key"}],
    }
    document = {"name": "x", "services": {"blue": blue, "green": {"image": "a"}}}
    services = with_workers(document, {"ticker": {"command": ["tick"]}})["services"]
    assert services["blue"] == blue
    assert services["blue-ticker"] == {
        "image": "a",
        "command": ["tick"],
        "healthcheck": {"disable": True},
        "labels": {WORKER: "blue"},
        "networks": {"back": None},
        "secrets": [{"source": "key"}],
    }
    assert services["green-ticker"]["labels"] == {WORKER: "green"}
    assert with_workers(document, {}) == document
