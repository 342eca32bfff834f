"""A foreign service on containers, from ``init`` to production and its metrics, on a machine without any registry."""

import json
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from kickoff.release.targets.ports import free_port
from tests.adoption.foreign import Foreign
from tests.e2e.containers import docker, engine_problem, remove_project

pytestmark = pytest.mark.e2e
QUICK = "BAKE_TIME=2s\nWATCH_TIME=1s\n"


class Unregistered(Foreign):
    """The repository with a name and ports of its own, and an image that goes over SSH."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.name = f"things-{secrets.token_hex(3)}"
        self.ports = {"staging": free_port(), "production": free_port()}
        self.commit()
        self.kickoff("init", "--yes", "--docker")
        self.edit("kickoff.yml", "name: things", f"name: {self.name}")
        self.edit("kickoff.yml", r"\Z", "load: none\nimage: {transport: ssh}\n")
        for environment, port in self.ports.items():
            self.edit(f"docker-compose.{environment}.yml", "name: things", f"name: {self.name}")
            self.edit(
                f"configs/environments/{environment}.env",
                r"PUBLIC_PORT=\d+\n",
                f"PUBLIC_PORT={port}\n{QUICK}",
            )
        self.commit()

    @property
    def environ(self) -> dict[str, str]:
        """As a shell has it that names neither a registry nor a port."""
        return {key: value for key, value in super().environ.items() if key != "KICKOFF_PORT"}

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace the one place in a file that matches."""
        text, count = re.subn(old, new, (self.root / path).read_text("utf-8"), count=1)
        assert count == 1, path
        self.write(path, text)

    def release(self, environment: str, stage: str = "stage", code: int = 0) -> dict[str, Any]:
        """Release the commit that is checked out; return the evidence of a stage."""
        said = self.kickoff("release", "--env", environment, "--json", code=code, limit=200)
        path = Path(json.loads(said)["run"]) / "evidence" / f"{stage}.{environment}.json"
        evidence: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return evidence

    def images(self) -> set[str]:
        """The images of this service that the engine keeps."""
        listed = docker("images", "--format", "{{.Repository}}:{{.Tag}}", f"kickoff.invalid/{self.name}/*")
        return set(listed.split())

    def close(self) -> None:
        """Remove the stacks, with their images."""
        for environment in self.ports:
            remove_project(f"{self.name}-{environment}")
        if images := self.images():
            docker("rmi", "--force", *images)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Unregistered]:
    if engine_problem():
        pytest.skip(engine_problem())
    created = Unregistered(tmp_path)
    try:
        yield created
    finally:
        created.close()


def test_production_gets_the_image_that_staging_proved_and_no_registry_had_it(service: Unregistered) -> None:
    staged = service.release("staging")["facts"]
    digest = staged["facts"]["artifact"]
    produced = service.release("production")["facts"]  # refused, were there no proof of this very digest
    assert produced["facts"]["artifact"] == digest
    assert re.fullmatch(r"[12] of \d+ layers, \d+ kB", staged["sent"]), (
        "the code, and the folder of its data unless an earlier run brought it"
    )
    kept = digest.removeprefix("sha256:")
    assert service.images() == {
        f"kickoff.invalid/{service.name}/{environment}:{kept}" for environment in service.ports
    }
    for port in service.ports.values():
        assert httpx.get(f"http://127.0.0.1:{port}/", timeout=5, trust_env=False).text == "one"


def said_by_alerts(evidence: dict[str, Any]) -> list[dict[str, Any]]:
    return [rule for rule in evidence["rules"] if rule["id"] == "judge.alerts"]


def test_the_observability_profile_is_switched_on_by_one_word_and_has_a_say_in_releases(
    service: Unregistered,
) -> None:
    def found() -> tuple[dict[str, str], dict[str, str]]:
        up = client.get("query", params={"query": "up"}).json()["data"]["result"]
        groups = client.get("rules").json()["data"]["groups"]
        return (
            {one["metric"]["instance"]: one["value"][1] for one in up},
            {rule["name"]: rule["health"] for group in groups for rule in group["rules"]},
        )

    stack = f"{service.name}-staging"
    service.release("staging")
    service.edit("docker-compose.staging.yml", r"profiles: \[\] #", "profiles: [observability] #")
    assert "prometheus" in service.kickoff("stack", "plan", "--env", "staging")
    service.kickoff("stack", "apply", "--env", "staging", limit=200)
    at = docker("compose", "-p", stack, "port", "prometheus", "9090").strip()
    with httpx.Client(base_url=f"http://{at}/api/v1/", trust_env=False) as client:
        deadline = time.monotonic() + 90
        while True:
            up, rules = found()
            if up.get("traefik:8082") == "1" and rules == {"ServiceFails": "ok", "ServiceIsSlow": "ok"}:
                break
            assert time.monotonic() < deadline, (up, rules)
            time.sleep(1)
    service.edit("server.py", "one", "two")
    service.commit()
    (heard,) = said_by_alerts(service.release("staging", "promote"))
    assert (heard["verdict"], heard["measured"], heard["samples"]) == ("pass", "none", 1), heard
    docker("compose", "-p", stack, "stop", "prometheus")
    service.edit("server.py", "two", "three")
    service.commit()
    (unheard,) = said_by_alerts(service.release("staging", "promote", code=3))
    assert unheard["verdict"] == "inconclusive"
    assert "http://prometheus:9090 does not answer" in unheard["reason"]
    assert httpx.get(f"http://127.0.0.1:{service.ports['staging']}/", trust_env=False).text == "two"
    service.edit("docker-compose.staging.yml", r"profiles: \[observability\] #", "profiles: [] #")
    assert "is no longer wanted" in service.kickoff("stack", "plan", "--env", "staging")
    service.kickoff("stack", "apply", "--env", "staging", limit=200)
    assert docker("compose", "-p", stack, "ps", "--all", "--services").split() == ["blue", "green", "traefik"]
